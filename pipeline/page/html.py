"""The page as one HTML file: its template, style, script, plotly and facts, and a policy that lets nothing else run."""

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any, Final

import jinja2
import plotly.offline

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
)
"""What the page may do, but for its scripts."""

SCRIPT: Final = (
    "words",
    "view",
    "controls",
    "tables",
    "figures",
    "examples",
    "sources",
    "composition",
    "lengths",
    "languages",
    "flags",
    "duplicates",
    "leakage",
    "ledger",
    "page",
)
"""The files of the page's script; each uses what those before it define."""

_ESCAPED: Final = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"}


def html(facts: dict[str, Any]) -> str:
    """The text of the page; the same facts give the same text.

    Texts of the corpus are hostile: they stand in the facts alone, as JSON without any markup, and the script puts them
    on the page as text. Only the two scripts of the page may run, by their sha256, and nothing may be loaded.
    """
    plotly_js, page_js = plotly.offline.get_plotlyjs(), _script()
    allowed = " ".join(_allowed(script) for script in (plotly_js, page_js))
    policy = f"{POLICY}; script-src {allowed}"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    template = environment.from_string(_part("page.html.jinja"))
    return template.render(policy=policy, style=_part("page.css"), plotly=plotly_js, script=page_js, facts=data(facts))


def data(facts: dict[str, Any]) -> str:
    """Facts as JSON that can stand in a script element: without `<`, `>`, `&` and the line ends of JavaScript."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED)


def _script() -> str:
    return '"use strict";\n(() => {\n' + "\n".join(_part(f"script/{name}.js") for name in SCRIPT) + "})();\n"


def _part(name: str) -> str:
    return files("pipeline.page").joinpath(name).read_text(encoding="utf-8")


def _allowed(script: str) -> str:
    """A script as a content security policy names it (https://www.w3.org/TR/CSP3/#grammardef-hash-source)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
