"""The answer to "why" as plain text, section by section."""

import json
from collections.abc import Generator, Iterator
from typing import Any, Final

from pipeline.why.difference import Change
from pipeline.why.places import Lineage
from pipeline.why.plain import changed, cut, escaped, marked, wrapped

Record = dict[str, Any]

LABEL: Final = 14
"""Columns of the labels on the left."""

_BELOW: Final = " " * (LABEL + 2)

LINES: Final = 4
"""Lines of one overlap or difference, unless all is asked for."""

NOTIONS: Final = {"request": "by request", "row": "by request and answer"}


def told(answer: Record, width: int, *, full: bool) -> Iterator[str]:
    """The lines of an answer (see `answer.why`), no wider than `width` columns unless `full`."""
    yield from _Page(width, full).lines(answer)


class _Page:
    """How wide a page is, and whether texts are given whole."""

    def __init__(self, width: int, full: bool) -> None:
        self.width, self.full = max(width, 40), full

    def lines(self, answer: Record) -> Iterator[str]:
        if answer["reject"] is not None:
            yield from self._reject(answer["reject"])
        every = len(answer["records"]) + answer["more"]
        for number, one in enumerate(answer["records"], 1):
            if number > 1:
                yield ""
            if every > 1:
                yield f"=== {number:,} of {every:,} records"
            yield from self._record(one)
        if answer["more"]:
            yield ""
            yield f"and {answer['more']:,} more records; --full tells of all"

    def _reject(self, found: Record) -> Iterator[str]:
        lineage = Lineage(**found["lineage"], part=0)
        yield f"RAW ROW {escaped(str(lineage))}"
        yield from self._raw(found["raw"])
        yield "RECORD"
        yield from self._line("", f"none: {found['reason']}")
        if found["raw"]["text"] is None and found["bytes"]:
            yield from self._text("as rejected", found["bytes"])

    def _record(self, one: Record) -> Iterator[str]:
        yield f"RAW ROW {escaped(str(Lineage(**one['lineage'])))}"
        yield from self._raw(one["raw"])
        yield "RECORD"
        for name, value in one["record"].items():
            if name not in {"source", "subset", "row", "part"}:
                yield from self._column(name, value)
        yield "VERDICT"
        yield from self._verdict(one["verdict"])
        yield "DUPLICATES"
        yield from self._duplicates(one["duplicates"])
        yield "LEAKS"
        yield from self._leaks(one["leaks"])
        yield "MIXTURES"
        for mixture in one["mixtures"]:
            yield from self._mixture(mixture)
        if not one["mixtures"]:
            yield from self._line("", "none is built")

    def _line(self, label: str, text: str) -> Iterator[str]:
        """A label and a text of our own, parted between words."""
        room, rest = self.width - LABEL - 2, escaped(text)
        head = yield from self._head(label)
        while len(rest) > room and (end := rest.rfind(" ", 0, room + 1)) > 0:
            yield f"{head}{rest[:end]}"
            head, rest = _BELOW, rest[end + 1 :]
        yield f"{head}{rest}".rstrip()

    def _head(self, label: str) -> Generator[str, None, str]:
        """The beginning of a line: the label, or blanks where that is long and has a line of its own."""
        if len(label) < LABEL:
            return f"  {escaped(label):<{LABEL}}"
        yield f"  {escaped(label)}"
        return _BELOW

    def _text(self, label: str, text: str) -> Iterator[str]:
        """A label and a text of unknown origin: cut to the line, or whole, its lines below one another."""
        head = yield from self._head(label)
        if not self.full:
            yield (head + cut(text, self.width - LABEL - 2)).rstrip()
            return
        for line in text.split("\n"):
            yield (head + escaped(line)).rstrip()
            head = _BELOW

    def _safe(self, label: str, text: str) -> Iterator[str]:
        """A label and a text that was made safe before, over as many lines as it takes, else `LINES`."""
        head = yield from self._head(label)
        lines = wrapped(text, self.width - LABEL - 2)
        for line in lines if self.full else lines[:LINES]:
            yield f"{head}{line}".rstrip()
            head = _BELOW
        if not self.full and len(lines) > LINES:
            yield f"{_BELOW}…"

    def _raw(self, raw: Record) -> Iterator[str]:
        if raw["file"] is not None:
            yield from self._line("file", raw["file"])
        if raw["text"] is not None:
            yield from self._text("row", raw["text"])
        if raw["problem"] is not None:
            yield from self._line("not shown", raw["problem"])

    def _column(self, name: str, value: Any) -> Iterator[str]:
        if name == "history":
            for turn in value:
                yield from self._text("user", turn["user"])
                yield from self._text("assistant", turn["assistant"])
        elif value is not None and value != "":
            yield from self._text(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))

    def _verdict(self, verdict: Record) -> Iterator[str]:
        if "problem" in verdict:
            yield from self._line("", verdict["problem"])
            return
        language = verdict["language"]
        upstream = f", upstream says {language['upstream']}" if language["upstream"] else ""
        yield from self._line(
            "language",
            f"{language['found']} (confidence {language['confidence']}); declared {language['declared']}{upstream}",
        )
        for flag in verdict["flags"]:
            yield from self._text(f"{flag['flag']}", flag["evidence"] or "the rule fires no more; run make judge")
            if flag["meaning"]:
                yield from self._line("", flag["meaning"])
        if not verdict["flags"]:
            yield from self._line("flags", "none")
        yield from self._line(
            "length", f"request {verdict['request_chars']:,}, answer {verdict['answer_chars']:,} characters"
        )

    def _duplicates(self, found: Record) -> Iterator[str]:
        for problem in found["problems"]:
            yield from self._line("not searched", problem)
        yield from self._listed("same id", found["same_id"])
        for notion, title in NOTIONS.items():
            if notion in found:
                yield f" {title}"
                yield from self._near(found[notion])

    def _listed(self, label: str, found: Record) -> Iterator[str]:
        yield from self._line(label, _count(found["count"], "other row"))
        for one in found["rows"]:
            yield from self._line("", str(Lineage(**one)))
        yield from self._rest(found)

    def _rest(self, found: Record) -> Iterator[str]:
        if (more := found["count"] - len(found["rows"])) > 0:
            yield from self._line("", f"and {more:,} more")

    def _near(self, found: Record) -> Iterator[str]:
        equal, pairs, cluster = found["equal"], found["pairs"], found["cluster"]
        yield from self._line("same words", _count(equal["count"], "row of another id", "rows of another id"))
        for one in equal["rows"]:
            yield from self._pair("", one)
        yield from self._rest(equal)
        if pairs["problem"] is not None:
            yield from self._line("near", pairs["problem"])
        else:
            yield from self._line("near", _count(pairs["count"], "near-duplicate"))
        for one in pairs["rows"]:
            copies = f" and {_count(one['rows'] - 1, 'row')} of the same words" if one["rows"] > 1 else ""
            yield from self._pair(f"Jaccard {one['jaccard']:.3f} ", one, copies)
        yield from self._rest(pairs)
        if cluster is None:
            yield from self._line("cluster", "none: nothing stands for it, and it for nothing")
        else:
            head = ", ".join(str(Lineage(**one)) for one in cluster["rows"])
            size = _count(cluster["size"], "record")
            yield from self._line("cluster", f"{size}, for which stands {cluster['representative']} {head}".rstrip())

    def _pair(self, lead: str, one: Record, behind: str = "") -> Iterator[str]:
        where = f"{one['id']} {Lineage(**one['lineage'])}" if one["lineage"] else f"{one['id']}, which has no record"
        yield from self._line("", f"{lead}{where}{behind}")
        changes = [Change(**change) for change in one["changes"]]
        shown = changes if self.full else changes[:5]
        for change in shown:
            yield from self._safe("", f"  {changed(change, None if self.full else self.width)}")
        if len(changes) > len(shown):
            yield from self._line("", f"  and {_count(len(changes) - len(shown), 'more difference')}")

    def _leaks(self, found: Any) -> Iterator[str]:
        if isinstance(found, dict):
            yield from self._line("", found["problem"])
            return
        for leak in found:
            yield from self._line("item", leak["item"])
            if leak["text"] is None:
                yield from self._line("", "is not among the evaluation items any more; run make judge")
                continue
            width = None if self.full else self.width - LABEL
            yield from self._safe("its text", marked(leak["text"], leak["spans"], width))
            yield from self._safe("the record", marked(leak["record_text"], leak["record_spans"], width))
        if not found:
            yield from self._line("", "none")

    def _mixture(self, found: Record) -> Iterator[str]:
        rule = f"{found['rule']}: " if found["rule"] else ""
        state = {True: "taken", False: "left out", None: "not known"}[found["taken"]]
        yield from self._line(found["mixture"], f"{state}, {rule}{found['said']}")
        for row in found.get("rows", []):
            repeat = f", repeat {row['repeat']}" if row["repeat"] else ""
            yield from self._line("", f"{row['split']} row {row['position']:,}{repeat}")
        if draw := found.get("draw"):
            last = f", the last of them {draw['last']}" if draw["last"] is not None else ""
            smallest = f"the {draw['taken']:,} smallest of {draw['of']:,} are taken"
            yield from self._line("", f"draw {draw['value']}: {smallest}{last}")
        if template := found.get("template"):
            drawn = f", draw {template['draw']}" if "draw" in template else ""
            number = f": number {template['number']} of {template['of']}" if "number" in template else ""
            said = f" ({template['said']})" if "said" in template else ""
            yield from self._line(
                "", f"template {template['name']}, wording {template['wording']}{drawn}{number}{said}"
            )
        if suffix := found.get("suffix"):
            yield from self._line("", f"suffix {suffix['name']}: {suffix['text'] or suffix.get('said', 'none')}")
        for message in found.get("worded", []):
            yield from self._text(f"  {message['role']}", message["content"])


def _count(number: int, one: str, more: str = "") -> str:
    """A number of things in words; `more` is their plural where that is not made by an s."""
    return f"no {one}" if not number else f"{number:,} {one if number == 1 else more or one + 's'}"
