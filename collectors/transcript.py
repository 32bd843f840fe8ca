"""Transcripts: a whole dialogue packed into one text, its turns behind markers such as `Human:`."""

import re
from collections.abc import Mapping

from collectors.conversation import Speaker, Turns


def turns(text: str, marker: re.Pattern[str], speakers: Mapping[str, Speaker]) -> Turns:
    """The turns of a transcript, cut at `marker`, whose first group is a key of `speakers`.

    What stands before the first marker belongs to no turn.
    """
    found = list(marker.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)] if found else []
    return [(speakers[match[1]], text[match.end() : end]) for match, end in zip(found, ends, strict=True)]
