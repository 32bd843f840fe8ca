"""Artefact folders: whole or not there, whatever a run was cut by; one run at a time; honest notes of hashes."""

import contextlib
import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.errors import ArtefactError
from pipeline.folder import Hashes, building, fingerprint, lock, manifest, restore, write_manifest, writing


def fill(folder: Path, text: str) -> None:
    (folder / "rows").write_text(text, encoding="utf-8")
    write_manifest(folder, {"text": text})


def tree(place: Path) -> dict[str, bytes | None]:
    """Every file below a place with its bytes, and every folder."""
    return {
        path.relative_to(place).as_posix(): path.read_bytes() if path.is_file() else None for path in place.rglob("*")
    }


def test_a_folder_is_put_in_place_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "records" / "one"
    with building(folder) as part:
        assert part == tmp_path / "records" / "one.part"
        assert not folder.exists()
        fill(part, "new")
        assert manifest(folder) is None
    assert manifest(folder) == {"text": "new"}
    assert set(tree(tmp_path)) == {"records", "records/one", "records/one/rows", "records/one/manifest.json"}


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    for text in ("first", "second"):
        with building(folder) as part:
            assert list(part.iterdir()) == []
            fill(part, text)
            (part / text).touch()
    assert set(tree(folder)) == {"rows", "manifest.json", "second"}
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


class Stop(Exception):
    """What cuts a run in these tests."""


def test_a_run_that_fails_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    with building(folder) as part:
        fill(part, "old")
    before = tree(folder)
    with contextlib.suppress(Stop), building(folder) as part:
        (part / "rows").write_text("half", encoding="utf-8")
        raise Stop
    assert tree(folder) == before
    assert (tmp_path / "one.part" / "rows").read_text(encoding="utf-8") == "half"
    with building(folder) as part:
        assert list(part.iterdir()) == []
        fill(part, "new")
    assert manifest(folder) == {"text": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("cut", ["before the first rename", "between the renames", "before the old one is gone"])
def test_a_replacement_cut_anywhere_is_mended(tmp_path: Path, cut: str) -> None:
    folder, old, part = (tmp_path / name for name in ("one", "one.old", "one.part"))
    old_stands = {"before the first rename": folder, "between the renames": old, "before the old one is gone": old}
    new_stands = {"before the first rename": part, "between the renames": part, "before the old one is gone": folder}
    for place, text in ((old_stands[cut], "old"), (new_stands[cut], "new")):
        place.mkdir()
        fill(place, text)
    restore(folder)
    left = "new" if cut == "before the old one is gone" else "old"
    assert manifest(folder) == {"text": left}
    assert not old.exists()
    restore(folder)
    assert manifest(folder) == {"text": left}
    with building(folder) as filled:
        assert list(filled.iterdir()) == []
        fill(filled, "newer")
    assert manifest(folder) == {"text": "newer"}
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EFBIG, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "name a folder one can write to with --out"),
        (errno.EROFS, "name a folder one can write to with --out"),
    ],
)
def test_what_the_system_refuses_is_one_line(tmp_path: Path, number: int, hint: str) -> None:
    with pytest.raises(ArtefactError) as caught, writing(tmp_path):
        raise OSError(number, os.strerror(number))
    said = str(caught.value)
    assert said.startswith(f"{tmp_path}: cannot be written: {os.strerror(number)}")
    assert hint in said
    assert "\n" not in said


def test_a_manifest_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert manifest(tmp_path) is None
    assert manifest(tmp_path / "none") is None
    for text in ("{", "[]", "\x00", ""):
        (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
        with pytest.raises(ArtefactError, match=r"manifest\.json: .*build it again"):
            manifest(tmp_path)


def test_two_runs_cannot_hold_one_folder(tmp_path: Path) -> None:
    with lock(tmp_path / "data"):
        with pytest.raises(ArtefactError, match=rf"another run \(process {os.getpid()}\)"), lock(tmp_path / "data"):
            pass
        with lock(tmp_path / "other"):
            pass
    with lock(tmp_path / "data"):
        pass


def test_a_data_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ArtefactError, match=r"cannot be written.*--out"), lock(place):
            pass
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


# --- fingerprints and hashes --------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(parts=st.dictionaries(st.text("abc", min_size=1), values, max_size=4))
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(parts: dict[str, object]) -> None:
    assert fingerprint(**parts) == fingerprint(**dict(reversed(parts.items())))
    assert fingerprint(**parts) != fingerprint(**parts, z=None)


def test_a_fingerprint_is_the_same_on_every_machine() -> None:
    # printf '{"a":[1,null],"b":"字"}' | sha256sum
    assert fingerprint(b="字", a=[1, None]) == hashlib.sha256('{"a":[1,null],"b":"字"}'.encode()).hexdigest()


def test_hashes_are_kept_until_a_file_changes(tmp_path: Path) -> None:
    file, out = tmp_path / "file", tmp_path / "data"
    out.mkdir()
    file.write_bytes(b"one")
    hashes = Hashes(out)
    assert hashes.get(file) is None
    assert hashes.take(file) == hashlib.sha256(b"one").hexdigest()
    hashes.save()
    assert Hashes(out).get(file) == hashlib.sha256(b"one").hexdigest()
    moment = file.stat().st_mtime_ns
    file.write_bytes(b"two")
    os.utime(file, ns=(moment + 1, moment + 1))
    assert Hashes(out).get(file) is None
    assert Hashes(out).take(file) == hashlib.sha256(b"two").hexdigest()


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "3", '{"%s": 3}', '{"%s": [1, 2]}', '{"%s": [1, "2", null]}', "\x00"]
)
def test_damaged_notes_are_none(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    name = json.dumps(str(file.resolve())).strip('"')
    (tmp_path / ".hashes.json").write_text(damage.replace("%s", name), encoding="utf-8")
    assert Hashes(tmp_path).take(file) == hashlib.sha256(b"one").hexdigest()
