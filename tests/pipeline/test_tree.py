"""The tree of a mixture: its rows in shards of even size, its card, and a manifest that names no machine."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import CREDITS, collected, content, digest, judged, mixture, row, rows_of, verdict

from collectors.catalog import load
from collectors.errors import ArtefactError
from pipeline import folder, parquet
from pipeline.export import export
from pipeline.formats import Format
from pipeline.push import listing, write

Row = dict[str, Any]

TRAIN = "data/train-00000-of-00001.parquet"
HOLDOUT = "data/holdout-00000-of-00001.parquet"
FIGURE = "figures/composition.png"
ROWS = [row(1), row(2, "belle", "说出一种颜色。", "蓝色。"), row(3, answer="Red.")]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A data folder that holds the mixture `two`."""
    mixture(tmp_path / "data", ROWS, [row(4)])
    return tmp_path / "data"


def test_the_tree_holds_the_rows_as_they_were_mixed(out: Path, tmp_path: Path) -> None:
    done = write("two", tmp_path / "tree", out, CREDITS)
    assert done.files == ("README.md", HOLDOUT, TRAIN, FIGURE, "manifest.json")
    assert rows_of(tmp_path / "tree", "train") == ROWS
    assert rows_of(tmp_path / "tree", "holdout") == [row(4)]


def test_every_reader_sees_plain_columns(out: Path, tmp_path: Path) -> None:
    write("two", tmp_path / "tree", out, CREDITS)
    found = pq.read_schema(tmp_path / "tree" / TRAIN)
    kinds = {field.name: str(field.type) for field in found}
    assert kinds["messages"] == "list<element: struct<role: string, content: string>>"
    assert (kinds["source"], kinds["license"], kinds["id"]) == ("string", "string", "string")
    assert (kinds["row"], kinds["part"], kinds["repeat"]) == ("uint64", "uint16", "uint32")


def test_datasets_reads_both_splits_of_a_local_tree(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    write("two", tmp_path / "tree", out, CREDITS)
    found = datasets.load_dataset(str(tmp_path / "tree"), cache_dir=str(tmp_path / "cache"))
    assert {split: rows.to_list() for split, rows in found.items()} == {"train": ROWS, "holdout": [row(4)]}


FORMS: list[tuple[Format, Row]] = [
    (
        "alpaca",
        {"instruction": "Name a colour.", "input": "", "output": "Red.", "id": row(3)["id"], "source": "alpaca"},
    ),
    ("messages", {"messages": row(3, answer="Red.")["messages"]}),
    (
        "sharegpt",
        {
            "conversations": [{"from": "human", "value": "Name a colour."}, {"from": "gpt", "value": "Red."}],
            "id": row(3)["id"],
            "source": "alpaca",
        },
    ),
    (
        "prompt-completion",
        {
            "prompt": [{"role": "user", "content": "Name a colour."}],
            "completion": [{"role": "assistant", "content": "Red."}],
        },
    ),
]


@pytest.mark.parametrize(("form", "third"), FORMS)
def test_rows_are_published_in_the_formats_of_export(
    form: Format, third: Row, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    to, beside = tmp_path / "tree", tmp_path / "export"
    assert write("two", to, out, CREDITS, form=form).changed
    assert not write("two", to, out, CREDITS, form=form).changed
    exported = export(load(), beside, out, name="two", mixture=True, form=form, kind="parquet")
    assert exported.manifest["rows"] == 4
    for split, count in (("train", 3), ("holdout", 1)):
        assert rows_of(to, split) == pq.ParquetFile(beside / f"{split}.parquet").read().to_pylist()
        assert len(rows_of(to, split)) == count
    assert rows_of(to, "train")[2] == third
    found = datasets.load_dataset(str(to), cache_dir=str(tmp_path / "cache"))
    assert found["train"][2] == third
    told = [(file.path, file.bytes, file.sha256) for file in listing("two", out, CREDITS, form=form)]
    assert told == [(path, len(data), digest(data)) for path, data in sorted(content(to).items())]
    text = (to / "README.md").read_text()
    assert f"Rows are laid out as `--format {form}` has them" in text
    assert "No column tells a row's licence." in text
    shown = text.partition("## Columns")[2].partition("## Citation")[0]
    assert [line.split("`")[1] for line in shown.splitlines() if line.startswith("| `")] == list(third)
    assert write("two", to, out, CREDITS).changed
    assert rows_of(to, "train") == ROWS


def test_the_command_takes_a_format_by_its_name(out: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "push", "two", "--out", str(out), "--to", str(tmp_path / "tree")]
    subprocess.run([*command, "--format", "messages"], check=True, capture_output=True)
    assert rows_of(tmp_path / "tree", "holdout") == [{"messages": row(4)["messages"]}]
    done = subprocess.run([*command, "--format", "mesages"], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "messages" in done.stderr


def test_formats_are_cut_into_shards_as_well_and_lose_nothing(tmp_path: Path) -> None:
    rows = [row(place, answer=noise(place, 2000)) for place in range(40)]
    mixture(tmp_path, rows, per_file=7)
    write("two", tmp_path / "tree", tmp_path, CREDITS, form="sharegpt", shard_bytes=10_000)
    assert len(list((tmp_path / "tree" / "data").iterdir())) > 2
    said = [one["conversations"][1]["value"] for one in rows_of(tmp_path / "tree", "train")]
    assert said == [noise(place, 2000) for place in range(40)]


def test_the_manifest_names_the_files_and_no_machine(tmp_path: Path) -> None:
    recipe = {"about": "a b", "file": "/home/someone/mix.yaml", "parts": [{"raw": "~/raw", "suffix": "/ and so on"}]}
    mixture(tmp_path / "data", ROWS, recipe=recipe)
    write("two", tmp_path / "tree", tmp_path / "data", CREDITS)
    manifest = json.loads((tmp_path / "tree" / "manifest.json").read_text())
    data = (tmp_path / "tree" / TRAIN).read_bytes()
    assert manifest["files"][0] == {
        "path": TRAIN,
        "split": "train",
        "rows": 3,
        "bytes": len(data),
        "sha256": digest(data),
    }
    assert [entry["path"] for entry in manifest["files"]] == [TRAIN, FIGURE, "README.md"]
    assert manifest["recipe"] == {
        "about": "a b",
        "file": "mix.yaml",
        "parts": [{"raw": "raw", "suffix": "/ and so on"}],
    }
    for text in content(tmp_path / "tree").values():
        assert b"/home/" not in text
        assert str(tmp_path).encode() not in text


def test_equal_mixtures_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        mixture(tmp_path / name, ROWS, [row(4)])
        write("two", tmp_path / name / "tree", tmp_path / name, CREDITS)
    assert content(tmp_path / "a" / "tree") == content(tmp_path / "b" / "tree")


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=30),
    per_file=st.integers(1, 7),
    bound=st.integers(1, 9000),
)
def test_shards_are_cut_by_bytes_and_lose_nothing(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], per_file: int, bound: int
) -> None:
    out = tmp_path_factory.mktemp("cut")
    rows = [row(place, answer=digest(b"%d" % place) * (size // 64)) for place, size in enumerate(sizes)]
    mixture(out, rows, per_file=per_file)
    write("two", out / "tree", out, CREDITS, shard_bytes=bound)
    assert rows_of(out / "tree", "train") == rows
    names = sorted(path.name for path in (out / "tree" / "data").iterdir())
    assert names == [f"train-{place:05d}-of-{len(names):05d}.parquet" for place in range(len(names))]
    for name in names[:-1]:
        assert (out / "tree" / "data" / name).stat().st_size >= bound


LENGTHS = {
    "short": [64] * 60_000,
    "long": [40_000] * 120,
    "mixed": [64, 64, 640, 20_000, 64, 128_000, 64, 64] * 40,
    "long ones side by side": [64] * 20_000 + [100_000] * 40,
}


def noise(number: int, size: int) -> str:
    """Text of so many characters that no two rows share, so that compression halves it at best."""
    return hashlib.shake_256(b"%d" % number).hexdigest(size // 2)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_shards_have_200_to_500_mb_whatever_the_rows(lengths: list[int], tmp_path: Path) -> None:
    """At a thousandth of the size."""
    rows = [row(place, answer=noise(place, size)) for place, size in enumerate(lengths)]
    mixture(tmp_path, rows, per_file=65_536)
    write("two", tmp_path / "tree", tmp_path, CREDITS, shard_bytes=parquet.SHARD_BYTES // 1000)
    sizes = [path.stat().st_size for path in sorted((tmp_path / "tree" / "data").iterdir())]
    assert len(sizes) > 4
    assert min(sizes) >= 200_000
    assert max(sizes) <= 500_000
    answers = [found["messages"][1]["content"] for found in rows_of(tmp_path / "tree", "train")]
    assert answers == [noise(place, size) for place, size in enumerate(lengths)]


@pytest.mark.parametrize(("count", "shards"), [(1, 1), (10, 1), (20, 1), (30, 1), (40, 2), (50, 2)])
def test_what_is_too_little_for_a_shard_goes_to_the_one_before(count: int, shards: int, tmp_path: Path) -> None:
    """Rows of 13 kB each, at a thousandth of the size: the end of 390 kB stays with the first 260, that of 520 not."""
    mixture(tmp_path, [row(place, answer=noise(place, 20_000)) for place in range(count)])
    write("two", tmp_path / "tree", tmp_path, CREDITS, shard_bytes=parquet.SHARD_BYTES // 1000)
    names = [path.name for path in sorted((tmp_path / "tree" / "data").iterdir())]
    assert names == [f"train-{place:05d}-of-{shards:05d}.parquet" for place in range(shards)]
    assert [found["row"] for found in rows_of(tmp_path / "tree", "train")] == list(range(count))


def test_row_groups_are_bounded_so_that_memory_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 4)
    mixture(tmp_path, [row(place) for place in range(10)])
    write("two", tmp_path / "tree", tmp_path, CREDITS)
    found = pq.ParquetFile(tmp_path / "tree" / TRAIN).metadata
    assert [found.row_group(place).num_rows for place in range(found.num_row_groups)] == [2, 3, 2, 3]
    assert [found["row"] for found in rows_of(tmp_path / "tree", "train")] == list(range(10))


def test_a_listing_tells_what_would_be_written_and_writes_nothing(out: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    told = listing("two", out, CREDITS, shard_bytes=100)
    assert sorted(tmp_path.rglob("*")) == before
    write("two", tmp_path / "tree", out, CREDITS, shard_bytes=100)
    files = content(tmp_path / "tree")
    assert [(file.path, file.bytes, file.sha256) for file in told] == [
        (path, len(data), digest(data)) for path, data in sorted(files.items())
    ]


def test_a_card_that_changes_leaves_the_shards_as_they_are(out: Path, tmp_path: Path) -> None:
    write("two", tmp_path / "tree", out, CREDITS)
    before = (tmp_path / "tree" / TRAIN).stat().st_ino
    judged(out, "alpaca", verdict(4, leaks=["gsm8k/test.jsonl:0"]), records=1203, suites=["gsm8k"])
    assert write("two", tmp_path / "tree", out, CREDITS).changed
    assert "gsm8k 1 " in (tmp_path / "tree" / "README.md").read_text()
    assert (tmp_path / "tree" / TRAIN).stat().st_ino == before
    write("two", tmp_path / "other", out, CREDITS)
    assert content(tmp_path / "other") == content(tmp_path / "tree")


def test_the_card_tells_where_the_records_came_from(out: Path, tmp_path: Path) -> None:
    origin = {"github": "tatsu-lab/stanford_alpaca", "revision": "main", "commit": "761dc5b", "converted": False}
    collected(out, "alpaca", origins=[origin], limit=500, files=[{"path": "a.json", "sha256": "00" * 32, "rows": 2}])
    write("two", tmp_path / "tree", out, CREDITS)
    card = (tmp_path / "tree" / "README.md").read_text()
    commands = ("--from hub --source alpaca --limit 500", "--from hub --source belle")
    assert "\n".join(f"python -m pipeline corpus {one}" for one in commands) in card
    assert "| `alpaca` | github tatsu-lab/stanford_alpaca at `761dc5b` |     1 | 500" in card


def test_a_second_writing_leaves_the_folder_as_it_is(out: Path, tmp_path: Path) -> None:
    write("two", tmp_path / "tree", out, CREDITS)
    before = (tmp_path / "tree" / TRAIN).stat().st_ino
    write("two", tmp_path / "tree", out, CREDITS)
    assert (tmp_path / "tree" / TRAIN).stat().st_ino == before


def test_a_changed_mixture_replaces_the_tree(out: Path, tmp_path: Path) -> None:
    write("two", tmp_path / "tree", out, CREDITS)
    mixture(out, ROWS[:1])
    write("two", tmp_path / "tree", out, CREDITS)
    assert sorted(content(tmp_path / "tree")) == ["README.md", TRAIN, FIGURE, "manifest.json"]
    assert [path.name for path in tmp_path.glob("tree*")] == ["tree"]


@pytest.mark.parametrize("stranger", ["notes.txt", "data/mine.parquet", ".git/config"])
def test_a_folder_with_other_files_is_not_replaced(out: Path, tmp_path: Path, stranger: str) -> None:
    write("two", tmp_path / "tree", out, CREDITS)
    (tmp_path / "tree" / stranger).parent.mkdir(exist_ok=True)
    (tmp_path / "tree" / stranger).write_text("mine")
    mixture(out, ROWS[:1])
    before = content(tmp_path / "tree")
    with pytest.raises(ArtefactError, match=f"tree: holds {stranger}, which no published mixture has written"):
        write("two", tmp_path / "tree", out, CREDITS)
    assert content(tmp_path / "tree") == before


def test_a_mixture_itself_is_no_place_for_its_tree(out: Path) -> None:
    with pytest.raises(ArtefactError, match="name a new folder"):
        write("two", out / "mixes" / "two", out, CREDITS)
    assert (out / "mixes" / "two" / "train-00000.arrow").exists()


@pytest.mark.parametrize("beside", ["tree.old", "tree.part"])
def test_a_folder_beside_the_tree_that_is_not_ours_stays(out: Path, tmp_path: Path, beside: str) -> None:
    (tmp_path / beside).mkdir()
    (tmp_path / beside / "thesis.tex").write_text("mine")
    with pytest.raises(ArtefactError, match=r"is in the way and holds thesis\.tex; move it or name another folder"):
        write("two", tmp_path / "tree", out, CREDITS)
    assert (tmp_path / beside / "thesis.tex").read_text() == "mine"


def test_a_place_below_a_file_is_told_in_one_line(out: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="cannot be written: Not a directory"):
        write("two", tmp_path / "file" / "tree", out, CREDITS)


def test_a_full_disk_is_told_of_and_leaves_the_tree_that_was_there(out: Path, tmp_path: Path) -> None:
    write("two", tmp_path / "tree", out, CREDITS)
    before = content(tmp_path / "tree")
    mixture(out, [row(place, answer=digest(b"%d" % place)) for place in range(2000)])
    program = """
import resource, sys
from pathlib import Path
from collectors.errors import ArtefactError
from pipeline.push import listing, write
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write("two", Path(sys.argv[1]), Path(sys.argv[2]), {})
except ArtefactError as error:
    print(error)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "tree"), str(out)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "tree: cannot be written: " in said
    assert "File too large; nothing finished before was touched" in said
    assert said.count("\n") == 1
    assert content(tmp_path / "tree") == before


def test_a_mixture_that_is_not_built(out: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ArtefactError, match=r"twoo is not built in .*; run: make mix MIX=twoo \(built: did you mean two\?\)"
    ):
        write("twoo", tmp_path / "tree", out, CREDITS)


def test_nothing_is_built_at_all(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"run: make mix MIX=two \(built: none is known\)"):
        write("two", tmp_path / "tree", tmp_path / "nowhere", CREDITS)


def test_an_unfinished_mixture(out: Path, tmp_path: Path) -> None:
    (out / "mixes" / "two" / "manifest.json").unlink()
    with pytest.raises(ArtefactError, match="two: is unfinished; run: make mix MIX=two"):
        write("two", tmp_path / "tree", out, CREDITS)


def test_a_mixture_whose_files_were_touched(out: Path, tmp_path: Path) -> None:
    file = out / "mixes" / "two" / "train-00000.arrow"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match=r"MIX=two again: train-00000\.arrow is not the file its manifest names"):
        write("two", tmp_path / "tree", out, CREDITS)
    file.unlink()
    with pytest.raises(ArtefactError, match=r"train-00000\.arrow is missing"):
        write("two", tmp_path / "tree", out, CREDITS)
    assert not (tmp_path / "tree").exists()


def test_a_manifest_that_tells_of_other_rows(out: Path, tmp_path: Path) -> None:
    place = out / "mixes" / "two"
    folder.write_manifest(place, {**(folder.manifest(place) or {}), "rows": {"train": 4, "holdout": 1}})
    with pytest.raises(ArtefactError, match="train holds 3 rows, its manifest tells of 4; run make mix MIX=two again"):
        write("two", tmp_path / "tree", out, CREDITS)


def test_arrow_files_of_the_example_are_files_and_not_streams(out: Path) -> None:
    assert ipc.open_file(out / "mixes" / "two" / "train-00000.arrow").num_record_batches == 1
