"""Sphinx extension of the book: what the API reference cannot be told by a setting."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

LONG_SIGNATURE = re.compile(r'<dl>\n(<dd><em class="sig-param">.*?)</dl>', re.S)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-signature", mend_defaults)
    app.connect("html-page-context", mend_long_signatures, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mend_defaults(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, arguments: str, returned: str
) -> tuple[str, str] | None:
    """`<factory>`, the default of a dataclass's mutable field, is no Python: no type is linked."""
    if arguments and "<factory>" in arguments:
        return arguments.replace("<factory>", "..."), returned
    return None


def mend_long_signatures(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Sphinx writes one argument a line as a list of definitions without terms: no valid list."""

    def lines(found: re.Match[str]) -> str:
        inside = found[1].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
        return f'<span class="sig-lines">{inside}</span>'

    if "body" in context:
        context["body"] = LONG_SIGNATURE.sub(lines, context["body"])
