"""The `build` fixture: raw files in, records out, by the program's own function."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path

import pytest
from built import Build, Built, read

from collectors.catalog import load
from pipeline.collect import corpus


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Writes `files` (path inside the source's folder: content) and collects `source` from them, each time afresh."""
    calls = count()

    def built(source: str, files: Mapping[str, bytes | str]) -> Built:
        place = tmp_path / str(next(calls))
        for path, content in files.items():
            target = place / "raw" / source / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        corpus(load(), [source], place / "raw", place / "data", workers=1, limit=None)
        return read(place / "data" / "records" / source)

    return built
