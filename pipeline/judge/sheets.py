"""Questions in Excel workbooks without agreed headings, as MMCU's: read by position, a sheet after the other."""

import io
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import fastexcel
import polars as pl

from collectors.errors import SourceError
from collectors.suites import Fields

_LETTERS: Final = re.compile(r"[\s\u3000,，、.]*[A-HＡ-Ｈ](?:[\s\u3000,，、.]*[A-HＡ-Ｈ])*[\s\u3000,，、.]*")
"""An answer: the letters of one option or of several."""


def sheet_rows(data: bytes, fields: Fields, broken: Callable[[str], SourceError]) -> Iterator[dict[str, Any]]:
    """The rows of all sheets: the question stands in the first column, the answer in the last, between them options.

    They come under the names that `fields` has for them. A first row whose last cell is not the letters of an answer
    is a heading, and so no row. `broken` for what is no workbook.
    """
    try:
        sheets = pl.read_excel(
            io.BytesIO(data), sheet_id=0, has_header=False, engine="calamine", infer_schema_length=0,
            raise_if_empty=False,
        )  # fmt: skip
    except fastexcel.FastExcelError as error:
        raise broken(f"is no Excel workbook ({str(error).splitlines()[0]}); fetch it again") from None
    question = fields.question if isinstance(fields.question, str) else fields.question[0]
    for sheet in sheets.values():
        for number, cells in enumerate(sheet.iter_rows()):
            filled = [str(cell) for cell in cells if cell is not None]
            if len(filled) < 2 or (number == 0 and not _LETTERS.fullmatch(filled[-1])):
                continue
            between = {name: "\n".join(filled[1:-1]) for name in fields.options[:1]}
            yield {question: filled[0], **between, **({fields.answer: filled[-1]} if fields.answer else {})}
