"""What licences permit and oblige, by SPDX id, and what the catalog's words for other terms of use add to them.

A reading for those who choose rows, not legal advice; docs/licences.md shows the whole of it as tables.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Use(IntEnum):
    """Whether a use is permitted, the more cautious answer the greater: of several rows the greatest holds for all."""

    GRANTED = 0
    PARTLY = 1
    """Granted for the whole, but parts are under licences of their own."""
    UNSTATED = 2
    """Nobody says so, or those who speak of it disagree."""
    FORBIDDEN = 3

    @property
    def told(self) -> str:
        """The answer in a few words."""
        return ("granted", "granted for the whole, parts differ", "not granted", "forbidden")[self]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What a licence, or a term beside one, says of the rows under it.

    `says` is that in a clause, for messages; `where` names the place in its text that says so. `model_output` are terms
    of the service that wrote the text, which bind beside every licence and are kept apart from it.
    """

    says: str
    where: str
    commercial: Use = Use.GRANTED
    redistribution: Use = Use.GRANTED
    adaptation: Use = Use.GRANTED
    attribution: bool = False
    share_alike: bool = False
    research_only: bool = False
    model_output: bool = False


USES: Final = ("commercial", "redistribution", "adaptation")
DUTIES: Final = ("attribution", "share_alike", "research_only", "model_output")
"""The fields of a `Rule`: uses are permitted or not, duties bind those who use."""

UNKNOWN: Final = "unknown"
"""What stands in a licence's place where upstream states none, or several that disagree."""

OWN: Final = "LicenseRef-"
"""How SPDX begins the name of a licence that has no id."""

VERSIONS: Final = ("1.0", "2.0", "2.5", "3.0", "4.0")
_EITHER: Final = ("only", "or-later")


def _commons(code: str, **rule: bool | Use) -> tuple[tuple[str, ...], Rule]:
    """All versions of one of Creative Commons' licences, with its rule."""
    said = {"NC": "no commercial use", "ND": "no adaptations", "SA": "adaptations under the same licence only"}
    clauses = {"SA": ", 3(b) on adaptations", "NC": "", "ND": "", "BY": ""}
    parts = code.split("-")
    where = f"2(a)(1) on uses, 3(a) on attribution{''.join(clauses[part] for part in parts)} (before 4.0: 3 and 4)"
    return tuple(f"CC-{code}-{version}" for version in VERSIONS), Rule(
        says=", ".join(["attribution", *(said[part] for part in parts if part in said)]),
        where=f"<https://creativecommons.org/licenses/{code.lower()}/4.0/legalcode>, {where}",
        attribution=True,
        **rule,  # type: ignore[arg-type]  # a flag for the duties, a use for the uses
    )


def _free(says: str, where: str, *ids: str) -> tuple[tuple[str, ...], Rule]:
    return ids, Rule(says=says, where=where, attribution=says != "no conditions")


def _copyleft(
    where: str, *ids: str, says: str = "works made of it under the same licence only"
) -> tuple[tuple[str, ...], Rule]:
    return ids, Rule(says=says, where=where, attribution=True, share_alike=True)


UNREAD: Final = Rule(
    says="a licence that is not read here",
    where="<https://spdx.github.io/spdx-spec/>, on the names of licences that have no id",
    commercial=Use.UNSTATED,
    redistribution=Use.UNSTATED,
    adaptation=Use.UNSTATED,
)
"""The rule of a licence that has no id, or one that has no rule here."""

FAMILIES: Final[tuple[tuple[tuple[str, ...], Rule], ...]] = (
    _commons("BY"),
    _commons("BY-SA", share_alike=True),
    _commons("BY-ND", adaptation=Use.FORBIDDEN),
    _commons("BY-NC", commercial=Use.FORBIDDEN),
    _commons("BY-NC-SA", commercial=Use.FORBIDDEN, share_alike=True),
    _commons("BY-NC-ND", commercial=Use.FORBIDDEN, adaptation=Use.FORBIDDEN),
    _free("no conditions", "<https://creativecommons.org/publicdomain/zero/1.0/legalcode>, 2 and 3", "CC0-1.0"),
    _free("no conditions", "<https://opendatacommons.org/licenses/pddl/1-0/>, the preamble", "PDDL-1.0"),
    _free("no conditions", "the text, which is a sentence or two", "0BSD", "MIT-0", "Unlicense", "WTFPL"),
    _free("the notice is kept", "the text: its grant, and the condition on notices", "MIT", "ISC", "BSL-1.0", "Zlib"),
    _free("the notice is kept", "the text: its numbered conditions", "BSD-2-Clause", "BSD-3-Clause"),
    _free(
        "notices are kept and changes told",
        "<https://www.apache.org/licenses/LICENSE-2.0>, 2 and 3 on uses, 4 on notices",
        "Apache-2.0",
    ),
    _free("the licence is passed on", "<https://license.coscl.org.cn/MulanPSL2>, 1, 2 and 4", "MulanPSL-2.0"),
    _free(
        "attribution", "<https://opendatacommons.org/licenses/by/1-0/>, 3 on uses, 4.2 and 4.3 on notices", "ODC-By-1.0"
    ),
    _free(
        "the agreement is passed on with the data",
        "<https://cdla.dev/permissive-2-0/>, 2 (1.0: 2 and 3)",
        "CDLA-Permissive-1.0",
        "CDLA-Permissive-2.0",
    ),
    _free("attribution", "<https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/>", "OGL-UK-3.0"),
    _copyleft("<https://opendatacommons.org/licenses/odbl/1-0/>, 3 on uses, 4.4 on derived databases", "ODbL-1.0"),
    _copyleft("<https://cdla.dev/sharing-1-0/>, 2 on uses, 3 on passing it on", "CDLA-Sharing-1.0"),
    _copyleft(
        "<https://github.com/microsoft/Computational-Use-of-Data-Agreement>, 1.1 and 2 on uses, 3.1 on passing it on",
        "C-UDA-1.0",
        says="for computing with only, and passed on under the same agreement only",
    ),
    _copyleft("<https://www.mozilla.org/MPL/2.0/>, 2 on uses, 3 on passing it on", "MPL-2.0"),
    _copyleft(
        "<https://www.gnu.org/licenses/>, in version 3 sections 4 to 6 (of the FDL: 2 to 4)",
        *(f"{name}-{tail}" for name in ("GPL-2.0", "GPL-3.0", "LGPL-2.1", "LGPL-3.0", "AGPL-3.0") for tail in _EITHER),
        *(f"GFDL-{version}-{tail}" for version in ("1.2", "1.3") for tail in _EITHER),
    ),
    (
        (UNKNOWN,),
        Rule(
            says="no licence is stated, or several that disagree",
            where="nobody: without a licence all rights are reserved, <https://choosealicense.com/no-permission/>",
            commercial=Use.UNSTATED,
            redistribution=Use.UNSTATED,
            adaptation=Use.UNSTATED,
        ),
    ),
    ((f"{OWN}*",), UNREAD),
)
"""The rules in the order of docs/licences.md, each with the ids that it holds for."""

LICENCES: Final[dict[str, Rule]] = {name: rule for names, rule in FAMILIES for name in names if name != f"{OWN}*"}
"""The rule of each licence by its SPDX id, and that of `unknown`."""

TERMS: Final[dict[str, Rule]] = {
    "non-commercial": Rule(
        says="no commercial use",
        where="the licence or the README of the source, or of one that it holds",
        commercial=Use.FORBIDDEN,
    ),
    "research-only": Rule(
        says="for research only",
        where="the README or the card of the source",
        commercial=Use.FORBIDDEN,
        research_only=True,
    ),
    "share-alike": Rule(
        says="adaptations under the same licence only",
        where="the licence of the source, or of one that it holds",
        attribution=True,
        share_alike=True,
    ),
    "openai-output": Rule(
        says="written by a model whose terms forbid using it to build competing models",
        where="<https://openai.com/policies/terms-of-use/>, on what may not be done with output",
        model_output=True,
    ),
    "contested": Rule(
        says="statements on its licence disagree",
        where="the repository, the card and others' lists of licences, side by side",
        commercial=Use.UNSTATED,
        redistribution=Use.UNSTATED,
        adaptation=Use.UNSTATED,
    ),
    "parts-differ": Rule(
        says="parts are under licences of their own",
        where="the sources that it was collected from",
        commercial=Use.PARTLY,
        redistribution=Use.PARTLY,
        adaptation=Use.PARTLY,
    ),
}
"""The rule of each word that stands in a source's `terms`."""

UNTOLD: Final = "terms-unknown"
"""In place of the terms of a source that the catalog does not hold."""

NOT_TOLD: Final = Rule(
    says="its terms are not known, for the catalog has no such source",
    where="nobody",
    commercial=Use.UNSTATED,
    redistribution=Use.UNSTATED,
    adaptation=Use.UNSTATED,
)
