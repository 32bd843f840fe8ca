"""Trains in processes that are killed where they stand, one after the other, until one is let go to the end.

`python killed.py OUT RECIPE PLACE ...` trains the mixture `greetings` of the data folder OUT as the run `straight`, and
then as the run `killed`, whose attempts kill themselves: PLACE is a share of all the calls of Python functions that the
straight run made, or the name of a function at whose first call the attempt ends. Says how each attempt ended.

A process of its own, which forks before torch has started a thread, so that its seconds of imports are spent once.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["HF_HUB_OFFLINE"] = "1"

from train import run
from train.mixture import find
from train.quiet import quiet
from train.recipe import Recipe

Hook = Callable[[Any, str, Any], None]


def attempt(out: Path, recipe: Recipe, name: str, hook: Hook) -> int:
    """Train in a process whose every call the hook sees, from the first line about the training on; how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def say(line: str) -> None:
        if line.startswith("training "):
            sys.setprofile(hook)

    run.train(out, find(out, "greetings"), recipe, name=name, say=say)
    os._exit(0)


def counting(path: Path) -> Hook:
    """Counts the calls of Python functions, and notes how many there were when the training was written."""
    seen = 0

    def hook(frame: Any, event: str, argument: Any) -> None:
        nonlocal seen
        seen += event == "call"
        if event == "call" and frame.f_code.co_name == "_finish":
            path.write_text(str(seen))

    return hook


def killing(place: str, calls: int) -> Hook:
    """Kills the process at a share of the calls, or at the first call of a function."""
    left = int(float(place) * calls) if place[0].isdigit() else -1

    def hook(frame: Any, event: str, argument: Any) -> None:
        nonlocal left
        if event != "call":
            return
        left -= 1
        if left == 0 or frame.f_code.co_name == place:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def main(out: Path, text: str, places: list[str]) -> None:
    quiet()
    recipe = Recipe.model_validate_json(text)
    counted = out / "calls"
    ends = [attempt(out, recipe, "straight", counting(counted))]
    calls = int(counted.read_text())
    ends += [attempt(out, recipe, "killed", killing(place, calls)) for place in places]
    ends += [attempt(out, recipe, "killed", lambda frame, event, argument: None)]
    print(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
