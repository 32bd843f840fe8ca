"""The command line of the templates: `python -m templates import-flan ...`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from collectors.errors import SuriError
from templates.flan import import_flan

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def templates() -> None:
    """How a record is worded: task templates, suffixes and prompts."""


@app.command("import-flan")
def flan(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="FLAN's flan/v2/templates.py, or its patterns as JSON.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write one YAML file a task.")],
) -> None:
    """Turn FLAN's chain-of-thought patterns into templates; nothing in FILE is executed."""
    wordings = import_flan(source, out)
    print(f"{wordings} zero-shot wordings written to {out}; name this folder as a mixture's template")


def main() -> None:
    """Run a command; a user's mistake is one line on stderr and exit code 2."""
    try:
        app(prog_name="python -m templates")
    except SuriError as error:
        print(f"suri: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
