"""What a user gets wrong or a machine takes away: one line, exit code 2, and nothing that was built is touched."""

import contextlib
import gzip
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from collecting import BELLE, ROOT, arguments, lay, lines, row, run, tree
from hub import Hub

from collectors.commands import run as run_here
from pipeline.__main__ import app
from pipeline.folder import lock

GOOD = lines(map(row, range(5)))
MEDICAL = "department,title,ask,answer\n" + "".join(
    f"科{n},题目{n},问题很长的一句话{n},回答也是一句话{n}\n" for n in range(50)
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A data folder in which something was built before."""
    raw = lay(tmp_path / "before", "belle", {BELLE: GOOD})
    assert command(raw, tmp_path / "data", "belle") == 0
    return tmp_path / "data"


def command(raw: Path | str, out: Path, *sources: str, **options: object) -> int:
    """The exit code of `corpus`, run in this process by the program's own command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(sys, "argv", ["pipeline", *arguments(raw, out, *sources, **options)[3:]])
        with pytest.raises(SystemExit) as left:
            run_here(app, "python -m pipeline")
    assert isinstance(left.value.code, int)
    return left.value.code


Refused = Callable[..., str]


@pytest.fixture
def refused(out: Path, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Runs `corpus`, which must refuse in one line; the line. What was built before must be as it was."""

    def refused(raw: Path | str, *sources: str, **options: object) -> str:
        before = tree(out, without=(".part", ".lock", ".hashes.json"))
        capfd.readouterr()
        code = command(raw, options.pop("to", out), *sources, **{"workers": 1, **options})  # type: ignore[arg-type]
        said = capfd.readouterr().err
        assert code == 2, said
        assert tree(out, without=(".part", ".lock", ".hashes.json")) == before
        return one_line(said)

    return refused


def one_line(said: str) -> str:
    """What is said on stderr: exactly one line, and no traceback."""
    assert said.startswith("suri: error: "), said
    assert said.endswith("\n")
    assert said.count("\n") == 1, said
    return said.removeprefix("suri: error: ").removesuffix("\n")


# --- names and keys -----------------------------------------------------------------------------------------------


def test_an_unknown_source(refused: Refused) -> None:
    assert refused("sample", "bele") == "unknown source bele; did you mean belle or tables?"
    assert refused("sample", "belle", "zzzz").startswith("unknown source zzzz; known: alpaca, ")


def test_an_unknown_mixture(out: Path) -> None:
    done = run([sys.executable, "-m", "pipeline", "mix", "alpaca-bele-cot", "--out", str(out)])
    assert done.returncode == 2
    assert one_line(done.stderr).startswith("unknown mixture alpaca-bele-cot; did you mean alpaca-belle-cot")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"licence": "MIT"}, "sources.belle.licence: unknown key; did you mean license"),
        ({"lang": "Chinese"}, "sources.belle.lang: "),
        ({"collector": "bele"}, "sources.belle: unknown collector bele; did you mean belle?"),
        ({"files": ["/abs.json"]}, "sources.belle.files: '/abs.json' is no glob"),
    ],
)
def test_a_catalog_that_is_wrong(refused: Refused, tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    catalog = yaml.safe_load((ROOT / "catalog.yaml").read_text(encoding="utf-8"))
    catalog["sources"]["belle"] |= wrong
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(catalog, allow_unicode=True), encoding="utf-8")
    raw = lay(tmp_path / "raw", "belle", {BELLE: GOOD})
    assert said in refused(raw, "belle", catalog=path)


def test_no_catalog(refused: Refused, tmp_path: Path) -> None:
    line = refused("sample", "belle", catalog=tmp_path / "none.yaml")
    assert line == f"{tmp_path / 'none.yaml'}: cannot be read: No such file or directory"


def test_wrong_flags(refused: Refused, out: Path) -> None:
    assert "No such option: --sorce (Possible options: --source" in refused("sample", sorce="belle")
    for name in ("workers", "limit"):
        for value in ("0", "-1", "many"):
            assert f"Invalid value for '--{name}'" in refused("sample", "belle", **{name: value})


# --- folders ------------------------------------------------------------------------------------------------------


def test_a_missing_folder(refused: Refused, tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: GOOD})
    assert refused(raw, "belle", "alpaca").startswith(f"alpaca: no folder {raw / 'alpaca'}; ")
    assert refused(tmp_path / "none", "belle").startswith(f"belle: no folder {tmp_path / 'none' / 'belle'}; ")
    assert refused(tmp_path / "none").startswith(f"{tmp_path / 'none'}: no such folder; ")
    assert refused(lay(tmp_path / "odd", "bele", {BELLE: GOOD})).startswith(f"{tmp_path / 'odd'}: holds no folder of a")
    assert "matches" in refused(lay(tmp_path / "else", "belle", {"rows.json": GOOD}), "belle")


def test_a_source_that_is_missing_costs_no_work(refused: Refused, tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: GOOD + GOOD})
    refused(raw, "belle", "alpaca")


def test_an_unwritable_data_folder(refused: Refused, tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: GOOD})
    file = raw / "belle" / BELLE
    for place in (file, file / "below"):
        line = refused(raw, "belle", to=place)
        assert line.startswith(f"{place}: cannot be written: ")
        assert line.endswith("; name a folder one can write to with --out")
    assert file.read_bytes() == GOOD


def test_a_file_where_records_should_go(refused: Refused, tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: GOOD})
    place = tmp_path / "taken"
    place.mkdir()
    (place / "records").write_text("mine", encoding="utf-8")
    assert refused(raw, "belle", to=place).startswith(f"{place / 'records' / 'belle'}: cannot be written: ")
    assert (place / "records").read_text(encoding="utf-8") == "mine"


def test_two_runs_at_once(refused: Refused, out: Path, tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: GOOD + GOOD})
    with lock(out):
        line = refused(raw, "belle")
        assert line.startswith(f"{out}: another run (process {os.getpid()}) is writing there; wait for it or ")
        done = run(arguments(raw, out, "belle"))
        assert (done.returncode, one_line(done.stderr)) == (2, line)
    assert command(raw, out, "belle") == 0


def test_a_damaged_manifest(refused: Refused, out: Path, tmp_path: Path) -> None:
    for text in ("{", "[]"):
        (out / "records" / "belle" / "manifest.json").write_text(text, encoding="utf-8")
        line = refused(tmp_path / "before", "belle")
        assert line.startswith(f"{out / 'records' / 'belle' / 'manifest.json'}: ")
        assert line.endswith("delete the folder and build it again")


def test_a_manifest_without_a_fingerprint_is_built_again(out: Path, tmp_path: Path) -> None:
    folder = out / "records" / "belle"
    before = tree(folder)
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    assert command(tmp_path / "before", out, "belle") == 0
    assert tree(folder) == before


# --- files --------------------------------------------------------------------------------------------------------

SOUND = json.dumps(row(1)).encode()
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab\nsize 12345\n"
CHINESE = lines(
    {"instruction": f"请用一句话介绍第{n}座城市的历史。", "input": "", "output": "它是一座古老的城市。"}
    for n in range(20)
)
PAIRS = lines(
    {"chosen": f"\n\nHuman: {n}?\n\nAssistant: yes", "rejected": "\n\nHuman: q\n\nAssistant: b"} for n in range(20)
)

FILES: list[tuple[str, str, str, bytes, str]] = [
    ("an empty file", "belle", BELLE, b"", "is empty; fetch it again, or remove it"),
    ("blanks", "belle", BELLE, b"\n \n", "is empty"),
    ("an empty gzip", "belle", BELLE, gzip.compress(b""), "is empty"),
    ("a gzip of lines cut short", "hh_rlhf", "helpful-base/train.jsonl.gz", gzip.compress(PAIRS)[:-9],
     "the gzip is cut short or damaged"),
    ("a gzip cut in its head", "hh_rlhf", "helpful-base/train.jsonl.gz", gzip.compress(PAIRS)[:5],
     "the gzip is cut short"),
    ("a gzip of an array cut short", "belle", BELLE, gzip.compress(b"[" + SOUND + b"]")[:-9], "the gzip is cut short"),
    ("a last line cut in the middle", "belle", BELLE, GOOD + SOUND[:30], "ends in the middle of row 5; the file is"),
    ("a last line cut in a character", "belle", BELLE, GOOD + '{"instruction": "字'.encode()[:-1], "row 5; the file"),
    ("an only line cut", "belle", BELLE, SOUND[:-1], "ends in the middle of row 0; the file is cut short, fetch it"),
    ("a packed last line cut", "belle", BELLE, gzip.compress(GOOD + SOUND[:30]), "row 5; the file is cut short"),
    ("an array cut in an element", "alpaca", "alpaca_data.json", b"[" + SOUND + b",\n" + SOUND[:30],
     "ends in the middle of element 1; the file is cut short, fetch it again"),
    ("an array cut between elements", "alpaca", "alpaca_data.json", b"[" + SOUND + b",\n",
     "ends behind 1 elements, without its closing bracket; the file is cut short, fetch it again"),
    ("an array of a bracket", "alpaca", "alpaca_data.json", b"[", "ends behind 0 elements"),
    ("two arrays", "alpaca", "alpaca_data.json", b"[" + SOUND + b"]\n[" + SOUND + b"]", "holds more behind its array"),
    ("an LFS pointer", "belle", BELLE, LFS, "is a Git LFS pointer, not the data; run git lfs pull, or fetch the file"),
    ("an LFS pointer for a CSV", "chinese_medical", "a.csv", LFS, "is a Git LFS pointer"),
    ("an LFS pointer for a gzip", "hh_rlhf", "helpful-base/train.jsonl.gz", LFS, "is a Git LFS pointer"),
    ("GB18030 for UTF-8", "belle", BELLE, CHINESE.decode().encode("gb18030"),
     "is no UTF-8 (GB18030?), but the catalog says utf-8; convert it, or mend the catalog"),
    ("UTF-16 for UTF-8", "belle", BELLE, CHINESE.decode().encode("utf-16"),
     "is UTF-16 or UTF-32, but the catalog says utf-8"),
    ("UTF-16 without a mark", "belle", BELLE, GOOD.decode().encode("utf-16-le"), "is UTF-16 or UTF-32"),
    ("UTF-8 for GB18030", "chinese_medical", "a.csv", MEDICAL.encode(), "is UTF-8, but the catalog says gb18030"),
    ("a CSV without its column", "chinese_medical", "a.csv", MEDICAL.replace(",ask,", ",a,").encode("gb18030"), "ask"),
    ("a CSV with other marks", "chinese_medical", "a.csv", MEDICAL.replace(",", ";").encode("gb18030"), "ask"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "name", "content", "said"), [case[1:] for case in FILES], ids=[case[0] for case in FILES]
)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_cannot_be_meant(
    refused: Refused, tmp_path: Path, source: str, name: str, content: bytes, said: str, workers: int
) -> None:
    raw = lay(tmp_path / "raw", source, {name: content})
    line = refused(raw, source, workers=workers)
    assert line.startswith(f"{source}: {raw / source / name}: ")
    assert said in line


def test_a_line_cut_in_the_middle_of_a_file_costs_one_row(out: Path, tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: GOOD + SOUND[:30] + b"\n" + GOOD})
    done = run(arguments(raw, out, "belle"))
    assert (done.returncode, done.stderr) == (0, "")
    where = out / "records" / "belle"
    assert done.stdout == f"belle: 11 raw rows, 10 records, rejected 1 unparsable (see {where / 'rejects.jsonl'})\n"
    shown = {"file": BELLE, "row": 5, "reason": "unparsable", "bytes": SOUND[:30].decode()}
    assert json.loads((where / "rejects.jsonl").read_bytes()) == shown


def test_a_source_without_a_record_is_a_warning(out: Path, tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: lines([{"instruction": "a", "output": ""}])})
    done = run(arguments(raw, out, "belle"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "warning: belle: no row gave a record"


def test_as_a_user_runs_it(out: Path, tmp_path: Path) -> None:
    before = tree(out, without=(".part", ".lock"))
    raw = lay(tmp_path / "raw", "belle", {BELLE: GOOD + SOUND[:30]})
    done = run(arguments(raw, out, "belle"))
    assert (done.returncode, done.stdout) == (2, "")
    where = raw / "belle" / BELLE
    assert one_line(done.stderr) == (
        f"belle: {where}: ends in the middle of row 5; the file is cut short, fetch it again"
    )
    assert tree(out, without=(".part", ".lock")) == before


# --- a full disk --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows for several shards of some megabytes each, which do not compress."""
    texts = (os.urandom(40).hex() for _ in range(200_000))
    rows = ({"instruction": f"Keep {number}.", "input": "", "output": text} for number, text in enumerate(texts))
    return lay(tmp_path_factory.mktemp("large") / "raw", "belle", {BELLE: lines(rows)})


def limited(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_may_not_grow(large: Path, out: Path, workers: int) -> None:
    before = tree(out / "records", without=(".part",))
    done = run(arguments(large, out, "belle", workers=workers), before=limited(1 << 20))
    assert done.returncode == 2, done.stderr
    line = one_line(done.stderr)
    assert line.startswith(
        f"{out / 'records' / 'belle'}: cannot be written: File too large; nothing finished before was"
    )
    assert "free some space or name another folder with --out" in line
    assert tree(out / "records", without=(".part",)) == before
    assert run(arguments(large, out, "belle", workers=workers)).returncode == 0


def test_rejects_that_may_not_grow(out: Path, tmp_path: Path) -> None:
    rows = ({"instruction": "x" * 600, "output": ""} for _ in range(5000))
    raw = lay(tmp_path / "raw", "belle", {BELLE: lines(rows)})
    done = run(arguments(raw, out, "belle"), before=limited(1 << 20))
    assert (done.returncode, "File too large" in one_line(done.stderr)) == (2, True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    asked = [mount or "mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if mount is None or subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("mounting is refused here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk(large: Path, small_disk: Path, tmp_path: Path, workers: int) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: GOOD})
    assert run(arguments(raw, small_disk, "belle")).returncode == 0
    before = tree(small_disk, without=(".part", ".lock"))
    done = run(arguments(large, small_disk, "belle", workers=workers))
    assert done.returncode == 2, done.stderr
    assert "cannot be written: No space left on device; nothing finished before" in one_line(done.stderr)
    assert tree(small_disk, without=(".part", ".lock")) == before


def test_a_disk_without_a_byte_left(small_disk: Path, tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: GOOD})
    with (small_disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            pass
    done = run(arguments(raw, small_disk, "belle"))
    assert done.returncode == 2, done.stderr
    assert "cannot be written: No space left on device" in one_line(done.stderr)


# --- no network ---------------------------------------------------------------------------------------------------


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address of the loopback where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_no_network(out: Path, nobody: str, tmp_path: Path) -> None:
    before = tree(out, without=(".lock",))
    environment = {
        "HF_ENDPOINT": nobody,
        "HF_HOME": str(tmp_path / "hf"),
        "NO_PROXY": "127.0.0.1",
        "HF_HUB_OFFLINE": "0",
    }
    done = run(arguments("hub", out, "hh_rlhf"), environment)
    assert done.returncode == 2, done.stderr
    line = one_line(done.stderr)
    assert line.startswith("hh_rlhf: Anthropic/hh-rlhf@main: out of reach (")
    assert line.endswith("; check the network, or give the files with --from DIR")
    assert tree(out, without=(".lock",)) == before


def test_offline_by_choice(out: Path, nobody: str, tmp_path: Path) -> None:
    environment = {"HF_ENDPOINT": nobody, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = run(arguments("hub", out, "hh_rlhf"), environment)
    assert done.returncode == 2, done.stderr
    assert one_line(done.stderr).startswith(f"hh_rlhf: no folder {out / 'raw' / 'hh_rlhf'};")


def test_from_the_hub_and_again(hub: Hub, tmp_path: Path) -> None:
    parts = ("harmless-base", "helpful-base", "helpful-online", "helpful-rejection-sampled")
    hub.add("Anthropic/hh-rlhf", {f"{part}/train.jsonl.gz": gzip.compress(PAIRS) for part in parts})
    out = tmp_path / "data"
    asked = arguments("hub", out, "hh_rlhf")
    done = run(asked, {"HF_ENDPOINT": hub.url})
    assert (done.returncode, done.stderr) == (0, "")
    first, *said = done.stdout.splitlines()
    assert first == "fetching 4 files, 612 bytes"
    assert "hh_rlhf: 80 raw rows, 80 records" in said
    hub.requests.clear()
    done = run(asked, {"HF_ENDPOINT": hub.url})
    assert (done.returncode, done.stderr) == (0, "")
    assert "hh_rlhf: 80 raw rows, 80 records (up to date)" in done.stdout.splitlines()
    assert hub.calls() == []
