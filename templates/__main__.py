"""The command line of the templates: `python -m templates import-flan ...`."""

from pathlib import Path
from typing import Annotated

import typer

from collectors.commands import application, run
from templates.flan import import_flan

app = application()


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


if __name__ == "__main__":
    run(app, "python -m templates")
