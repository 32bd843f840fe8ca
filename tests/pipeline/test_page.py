"""The report: what it counts, that its texts do nothing, and the page in a browser."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from collecting import BELLE, arguments, lay, lines, run
from hypothesis import given
from hypothesis import strategies as st

from collectors.catalog import load
from collectors.errors import ArtefactError
from pipeline.engine import Engine
from pipeline.page.build import page
from pipeline.page.excerpts import LENGTH, cut, marked, masked
from pipeline.page.facts import facts
from pipeline.page.html import data
from pipeline.page.near import between

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = (
    "</script><script>document.title='hit'</script><img src=x onerror=\"document.title='hit'\">]]>\u2028<!--<b>x</b>"
)
FOLDER = "<img src=x onerror=document.title='hit'>"
QUESTION = "Which of the seven rivers that rise on the old glacier runs north before it turns to the sea at last?"
SUITE = "quiz<b>"

ALPACA = [
    {"instruction": "Name three primary colours.", "input": "", "output": "Red, blue and yellow."},
    {"instruction": "Tell me how tall the tower is.", "input": "", "output": "It is 324 metres tall."},
    {"instruction": QUESTION, "input": "", "output": "The third of them does."},
]
# The first says what one of alpaca says; two say the same in other letters; one echoes what is no text but markup.
CHINESE = [
    {"instruction": "name three primary colours", "input": "", "output": "Red, blue, and yellow!"},
    {"instruction": "写一首关于春天的短诗。", "input": "", "output": "春风吹过小河边，柳树发芽满山川。"},
    {"instruction": "写一首关于春天的短诗", "input": "", "output": "春风吹过小河边，柳树发芽满山川！"},
    {"instruction": HOSTILE, "input": "", "output": HOSTILE},
    {"instruction": "", "input": "", "output": ""},
]


def corpus(place: Path, *, judged: bool) -> Path:
    raw = lay(place / "raw", "alpaca", {"alpaca_data.json": json.dumps(ALPACA).encode()})
    lay(raw, "belle", {f"{FOLDER}/{BELLE}": lines(CHINESE)})
    out = place / "data"
    done = run(arguments(raw, out, "alpaca", "belle", workers=1))
    assert done.returncode == 0, done.stderr
    if judged:
        suite = place / "suite.jsonl"
        suite.write_bytes(lines([{"question": QUESTION}, {"question": "How many eggs are in half a dozen of dozens?"}]))
        command = [sys.executable, "-m", "pipeline", "judge", "--out", str(out), "--workers", "1"]
        done = run([*command, "--suite", f"{SUITE}={suite}"])
        assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("judged"), judged=True)


@pytest.fixture(scope="module")
def unjudged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("unjudged"), judged=False)


def report(out: Path) -> list[str]:
    done = run([sys.executable, "-m", "pipeline", "report", "--out", str(out), "--workers", "1"])
    assert "Traceback" not in done.stderr
    return [str(done.returncode), *done.stdout.splitlines(), *done.stderr.splitlines()]


@pytest.fixture(scope="module")
def found(judged: Path) -> dict[str, Any]:
    with Engine(1) as engine:
        return facts(load(None), judged, engine)


def test_rows_characters_and_tags_are_counted_by_group(found: dict[str, Any]) -> None:
    alpaca, belle = found["groups"]
    tags = {"source": 0, "lang": "EN", "task": "MT", "gen": "SI", "license": "CC-BY-NC-4.0"}
    assert {name: alpaca[name] for name in tags} == tags
    assert (alpaca["rows"], belle["rows"]) == (3, 4)
    assert alpaca["request_chars"] == sum(len(row["instruction"]) for row in ALPACA)
    assert alpaca["answer_chars"] == sum(len(row["output"]) for row in ALPACA)
    # 27, 30 and 101 characters: from 22, from 22 and from 100 on.
    assert alpaca["lengths"]["request"] == {found["edges"].index(22): 2, found["edges"].index(100): 1}


def test_the_ledger_is_that_of_the_manifests(found: dict[str, Any]) -> None:
    belle = found["sources"][1]
    assert (belle["raw_rows"], belle["rows_with_records"], belle["records"]) == (5, 4, 4)
    assert belle["rejected"] == {"empty instruction": 1}


def test_near_duplicates_are_told_between_sources_and_within(found: dict[str, Any]) -> None:
    assert found["near_state"] == "judged"
    # Group 0 is alpaca, 1 is belle: a row of each in the other, and two of belle in belle.
    for notion in ("request", "row"):
        assert found["near"][notion] == {"sources": [(0, 1, 1), (1, 0, 1), (1, 1, 2)], "elsewhere": [(0, 1), (1, 1)]}


def test_leaks_count_items_once_and_show_what_overlaps(found: dict[str, Any]) -> None:
    assert found["suites"] == {SUITE: 2}
    assert found["held"] == [(SUITE, [0], 1)]
    assert found["groups"][0]["leaks"] == {SUITE: 1}
    [(group, item, number)] = found["leaked"]
    assert (group, item) == (0, f"{SUITE}/suite.jsonl:0")
    overlap = found["rows"][number]["items"][item]
    assert overlap["item"] == ["", QUESTION.rstrip("?"), "?"]
    assert overlap["record"] == ["", QUESTION.rstrip("?"), "?\nThe third of them does."]


def test_an_example_tells_what_fired(found: dict[str, Any]) -> None:
    [number] = {number for group, flag, number in found["flagged"] if flag == "echo"}
    row = found["rows"][number]
    assert row["subset"] == f"{FOLDER}/{BELLE}"
    assert row["flags"]["echo"]
    assert row["request"] == (HOSTILE[: LENGTH // 2], max(len(HOSTILE) - LENGTH // 2, 0))


def test_the_same_corpus_gives_the_same_bytes_whatever_the_workers(judged: Path) -> None:
    written = []
    for workers in (1, 2):
        with Engine(workers) as engine:
            written.append(page(load(None), judged, engine).path.read_bytes())
    assert written[0] == written[1]


def test_a_source_without_a_record_stands_in_the_ledger(tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: lines([{"instruction": "a", "input": "", "output": ""}])})
    assert run(arguments(raw, tmp_path / "data", "belle")).returncode == 0
    with Engine(1) as engine:
        told = facts(load(None), tmp_path / "data", engine)
    assert (told["sources"][0]["raw_rows"], told["sources"][0]["records"]) == (1, 0)
    assert (told["groups"][0]["lang"], told["groups"][0]["rows"]) == ("CN", 0)


def test_without_a_corpus_one_line_says_so_and_nothing_is_made(tmp_path: Path) -> None:
    place = tmp_path / "nowhere"
    assert report(place) == [
        "2",
        f"suri: error: {place / 'records'}: holds no finished records; run make corpus, or name another data folder "
        "with --out",
    ]
    assert not place.exists()


def test_without_verdicts_the_report_says_how_they_are_made(unjudged: Path) -> None:
    assert report(unjudged) == [
        "0",
        f"report: 7 rows of 2 sources: {unjudged / 'report.html'}",
        "warning: no verdicts on the records of alpaca, belle; run make judge",
    ]


def test_lengths_without_verdicts_are_those_of_the_verdicts(unjudged: Path, found: dict[str, Any]) -> None:
    with Engine(1) as engine:
        told = facts(load(None), unjudged, engine)
    for name in ("rows", "request_chars", "answer_chars", "lengths"):
        assert [one[name] for one in told["groups"]] == [one[name] for one in found["groups"]]


def test_verdicts_of_other_records_are_stale(judged: Path, tmp_path: Path) -> None:
    out = shutil.copytree(judged, tmp_path / "data", ignore=shutil.ignore_patterns("report.html"))
    path = out / "records" / "alpaca" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "another"}))
    with Engine(1) as engine:
        told = facts(load(None), out, engine)
    assert [source["state"] for source in told["sources"]] == ["stale", "judged"]
    assert told["groups"][0]["languages"] == {}


@pytest.mark.parametrize(
    "damage", ["verdicts/alpaca/{shard}", "verdicts/_pairs/{pairs}", "verdicts/_suites/items.arrow"]
)
def test_what_cannot_be_read_is_one_line(judged: Path, tmp_path: Path, damage: str) -> None:
    out = shutil.copytree(judged, tmp_path / "data", ignore=shutil.ignore_patterns("report.html"))
    [shard] = (out / "records" / "alpaca").glob("*.arrow")
    pairs = "row-00000.arrow"
    path = out / damage.format(shard=shard.name, pairs=pairs)
    path.write_bytes(b"no shard")
    with Engine(1) as engine, pytest.raises(ArtefactError, match=f"{re.escape(str(path))}: .*make judge") as told:
        page(load(None), out, engine)
    assert "\n" not in str(told.value)
    assert not (out / "report.html").exists()


keyed = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=12)


unequal = st.tuples(st.integers(1, 8), st.integers(1, 8)).filter(lambda pair: pair[0] != pair[1])


@given(keyed, st.lists(unequal, max_size=6))
def test_near_duplicates_are_those_of_every_pair_of_records(
    records: list[tuple[int, int]], pairs: list[tuple[int, int]]
) -> None:
    owners = [0, 0, 1, 2]  # the source of each group
    frame = pl.DataFrame(records, schema={"group": pl.UInt32, "key": pl.UInt64}, orient="row")
    listed = pl.DataFrame(pairs, schema={"a_key": pl.UInt64, "b_key": pl.UInt64}, orient="row")
    near = {frozenset(pair) for pair in pairs}
    inside, outside = dict[tuple[int, int], int](), dict[int, int]()
    for place, (group, key) in enumerate(records):
        alike = {
            owners[other]
            for at, (other, its) in enumerate(records)
            if at != place and key and its and (key == its or frozenset((key, its)) in near)
        }
        for source in alike:
            inside[group, source] = inside.get((group, source), 0) + 1
        outside[group] = outside.get(group, 0) + bool(alike - {owners[group]})
    assert between(frame, owners, [listed]) == (
        sorted((group, source, rows) for (group, source), rows in inside.items()),
        sorted((group, rows) for group, rows in outside.items() if rows),
    )


def test_a_text_is_cut_and_says_how_much_is_left_out() -> None:
    assert cut("abcdef", 4) == ("abcd", 2)
    assert cut("abcd", 4) == ("abcd", 0)


def test_an_overlap_far_into_a_text_is_what_is_shown() -> None:
    text = "x" * 1000 + "same" + "y" * 1000
    assert marked(text, [(1000, 1004)]) == ["…" + "x" * 40, "same", "y" * (LENGTH - 44) + "…"]
    assert marked("same, and same again", [(0, 4), (10, 14)]) == ["", "same", ", and ", "same", " again"]
    assert marked("nothing", []) == ["nothing"]


@given(st.text(max_size=900), st.lists(st.integers(0, 899), unique=True, max_size=8))
def test_what_is_shown_of_a_text_stands_in_it(text: str, edges: list[int]) -> None:
    cuts = sorted(edge for edge in edges if edge <= len(text))
    shown = "".join(marked(text, list(zip(cuts[::2], cuts[1::2], strict=False))))
    assert shown.removeprefix("…").removesuffix("…") in text


def test_personal_data_are_masked() -> None:
    assert masked("Write to mary.smith@example.org.") == "Write to ma••.•••••@•••••••.•••."
    assert masked("+86 138 0013 8000, 12 of 2024") == "+86 ••• •••• ••••, 12 of 2024"


@given(st.text())
def test_facts_hold_no_markup_and_read_back_as_they_were(text: str) -> None:
    told = data({"text": text + HOSTILE})
    assert not re.search("[<>&\u2028\u2029]", told)
    assert json.loads(told) == {"text": text + HOSTILE}


# ---- in a browser ---------------------------------------------------------------------------------------------------

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FIGURES = ["sources", "composition", "lengths", "lengths-request", "lengths-answer", "flags", "duplicates", "leakage"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Opened:
    """A report in the browser, with everything that it complained of and asked for."""

    def __init__(self, browser: Any, out: Path) -> None:
        self.file = out / "report.html"
        if not self.file.exists():
            with Engine(1) as engine:
                page(load(None), out, engine)
        self.page: Page = browser.new_page(viewport={"width": 1366, "height": 768})
        self.page.set_default_timeout(15_000)  # milliseconds; a page that fails is not waited for
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(self.file.as_uri())
        self.page.wait_for_selector("body[data-drawn]")

    def table(self, place: str) -> list[str]:
        """The first cell of every line of a table."""
        return self.page.locator(f"#{place} tbody tr td:first-child").all_inner_texts()

    def figure(self, place: str) -> dict[str, Any]:
        """How many traces a figure has, and the size of what is drawn of them."""
        asked = """place => {
            const box = document.getElementById(place);
            const drawn = box.querySelector("svg.main-svg")?.getBoundingClientRect();
            return {traces: box.data?.length || 0, width: drawn?.width || 0, height: drawn?.height || 0};
        }"""
        return dict(self.page.evaluate(asked, f"{place}-figure" if "-" not in place else place))

    def cell(self, place: str, row: int, column: int) -> None:
        """Click a cell of a matrix."""
        where = self.page.evaluate(
            """([place, row, column]) => {
                const box = document.getElementById(place), {xaxis, yaxis} = box._fullLayout;
                box.scrollIntoView({block: "center"});
                const {left, top} = box.getBoundingClientRect();
                return [left + xaxis._offset + xaxis.c2p(column), top + yaxis._offset + yaxis.c2p(row)];
            }""",
            [place, row, column],
        )
        self.page.mouse.move(*where)
        self.page.mouse.click(*where)

    def well(self) -> None:
        """Nothing was complained of, nothing asked for but the file, and no text of the corpus was run."""
        assert self.said == []
        assert self.asked == [self.file.as_uri()]
        assert self.page.title() == "Corpus report"
        assert self.page.locator("body img, body b, body script:not([type]) ~ script ~ script").count() == 0


@pytest.fixture(scope="module")
def tab(browser: Any, judged: Path) -> Iterator[Opened]:
    there = Opened(browser, judged)
    yield there
    there.page.close()


@pytest.fixture
def opened(tab: Opened) -> Iterator[Opened]:
    tab.page.click("#reset")
    yield tab
    tab.well()


def test_every_figure_is_drawn_and_nothing_leaves_the_page(opened: Opened) -> None:
    for place in FIGURES:
        drawn = opened.figure(place)
        assert drawn["traces"] >= 1, place
        assert drawn["width"] > 100, place
        assert drawn["height"] > 40, place
    assert opened.page.locator(".absent:visible").all_inner_texts() == []
    assert "7 rows from 2 sources" in opened.page.locator("#lead").inner_text()


def test_filters_act_on_tables_and_figures(opened: Opened) -> None:
    assert opened.table("sources-table") == ["alpaca", "belle"]
    opened.page.click("#filters [data-value=CN]")
    assert opened.table("sources-table") == ["belle"]
    assert opened.table("ledger-table") == ["belle"]
    assert opened.table("languages-table") == ["belle"]
    assert opened.table("duplicates-table") == ["belle"]
    assert opened.page.locator("#shown").inner_text() == "1 of 2 sources"
    assert opened.page.evaluate("document.getElementById('sources-figure').data.map(trace => trace.name)") == [
        "CN (Chinese)"
    ]
    opened.page.click("#reset")
    opened.page.fill("#text", "ALP")
    assert opened.table("sources-table") == ["alpaca"]
    opened.page.fill("#text", "no such source")
    assert opened.page.locator("#sources-figure").inner_text() == "Nothing passes the filters."
    opened.page.click("#reset")
    opened.page.select_option("#licence", label="CC-BY-NC-4.0")
    assert opened.table("sources-table") == ["alpaca"]
    opened.page.click("#reset")
    assert opened.figure("sources")["traces"] == 2
    assert opened.figure("leakage")["traces"] == 1


def test_a_click_on_a_flag_shows_rows_as_text(opened: Opened) -> None:
    flags = opened.page.evaluate("document.getElementById('flags-figure').layout.xaxis.ticktext")
    opened.cell("flags-figure", 1, flags.index("echo"))
    examples = opened.page.locator("#flags-examples")
    assert examples.locator("h3").inner_text() == "echo in belle: 1 row"
    shown = examples.locator(".example").inner_text()
    assert FOLDER in shown
    assert "<script>document.title='hit'</script>" in shown


def test_a_click_on_a_leak_marks_what_overlaps(opened: Opened) -> None:
    opened.cell("leakage-figure", 0, 0)
    examples = opened.page.locator("#leakage-examples")
    assert examples.locator("h3").inner_text() == f"{SUITE} in alpaca: 1 row, 1 item of 2"
    assert examples.locator("mark").all_inner_texts() == [QUESTION.rstrip("?")] * 2


def test_a_heading_sorts_its_table(opened: Opened) -> None:
    opened.page.locator("#sources-table thead button", has_text="rows").click()
    assert opened.table("sources-table") == ["belle", "alpaca"]
    opened.page.locator("#sources-table thead button", has_text="rows").click()
    assert opened.table("sources-table") == ["alpaca", "belle"]


def test_the_notion_of_near_duplicates_can_be_chosen(opened: Opened) -> None:
    button = opened.page.locator("#duplicates-options button", has_text="request alone")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert opened.figure("duplicates")["traces"] == 1


def test_a_page_without_verdicts_draws_the_rest_and_says_what_is_missing(browser: Any, unjudged: Path) -> None:
    there = Opened(browser, unjudged)
    said = there.page.locator(".absent:visible").all_inner_texts()
    assert said == ["There are no verdicts for any source; make judge makes them."] * 4
    assert there.figure("sources")["traces"] == 2
    assert there.figure("lengths-request")["traces"] == 1
    assert there.figure("flags")["traces"] == 0
    there.well()
    there.page.close()
