"""What the command lines share: a user's mistake is one line and exit code 2, an interrupt exit code 130."""

import signal
import sys
from typing import Final, NoReturn

import typer
from typer.exceptions import TyperException

from collectors.errors import SuriError

INTERRUPTED: Final = 128 + signal.SIGINT


def application() -> typer.Typer:
    """An empty command line; without arguments it prints its help, and a defect of the program keeps its traceback."""
    return typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def run(app: typer.Typer, name: str, words: list[str] | None = None) -> NoReturn:
    """Run a command line as the program `name`, such as `python -m pipeline`, and exit.

    `words` are its arguments; without them, those of this process.
    """
    try:
        code = app(words, prog_name=name, standalone_mode=False)
    except SuriError as error:
        _exit(2, f"suri: error: {error}")
    except TyperException as error:
        message = error.format_message()  # empty where the help was printed instead
        _exit(2, f"suri: error: {message} (see {name} --help)" if message else "")
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED  # as typer itself puts it where it sees the interrupt first
    if code == INTERRUPTED:
        _exit(INTERRUPTED, "suri: interrupted; run the same command again to go on")
    sys.exit(code if isinstance(code, int) else 0)


def _exit(code: int, line: str) -> NoReturn:
    if line:
        print(" ".join(line.splitlines()), file=sys.stderr)
    sys.exit(code)
