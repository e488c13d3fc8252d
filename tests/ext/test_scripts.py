"""Which scripts a page keeps."""

from types import SimpleNamespace
from typing import Any

from tests.ext.conftest import load


def test_widget_state_is_kept_whatever_it_spells() -> None:
    load("vendor")  # which the extension imports
    extension = load("tnnlab_book")

    def script(filename: str | None, **attributes: str) -> Any:
        return SimpleNamespace(filename=filename, attributes=attributes)

    state = script(None, type=extension.WIDGET_STATE, body='{"weights": "AbTHEBEc"}')
    ours, thebe = script("_static/host.js"), script(None, body="const thebe_selector = 1")
    remote = script("https://cdn.example.org/x.js")
    context = {"body": "", "script_files": [state, ours, thebe, remote]}
    extension.keep_local_scripts(None, "page", "page.html", context, None)
    assert context["script_files"] == [state, ours]
