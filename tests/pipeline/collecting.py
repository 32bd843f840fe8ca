"""What the tests of collect share: many rows written fast, the command run as a user runs it, trees compared."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BELLE = "train_2M_CN.json"
"""A name that the source belle claims; its rows may be JSON Lines or an array, its fields those of alpaca."""


def row(number: int) -> dict[str, str]:
    """A short row that differs from every other."""
    return {"instruction": f"Count to {number}.", "input": "", "output": f"One, and so on to {number}."}


def lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as JSON Lines."""
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows).encode()


def lay(raw: Path, source: str, files: Mapping[str, bytes]) -> Path:
    """Write raw files of a source; `raw` itself is returned."""
    for name, content in files.items():
        (raw / source / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / source / name).write_bytes(content)
    return raw


def arguments(raw: Path | str, out: Path, *sources: str, **options: object) -> list[str]:
    """The command `corpus` over some sources, as it is typed."""
    named = [word for source in sources for word in ("--source", source)]
    others = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "pipeline", "corpus", "--from", str(raw), "--out", str(out), *named, *others]


def run(
    command: list[str], environment: Mapping[str, str] | None = None, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `before` is called in its process first."""
    env = {**os.environ, **(environment or {})}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, preexec_fn=before)


def tree(place: Path, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Every file below a place with its sha256; `without` names suffixes of folders and files that do not count."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if path.is_file() and not any(step.endswith(without) for step in name.split("/") if without):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def moments(place: Path) -> dict[str, tuple[int, int]]:
    """When every file below a place was written, and which one it is."""
    stats = {path: path.stat() for path in place.rglob("*")}
    return {path.relative_to(place).as_posix(): (stat.st_mtime_ns, stat.st_ino) for path, stat in stats.items()}
