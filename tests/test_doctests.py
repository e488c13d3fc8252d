"""The API reference: it has every public name, and every entry has an example.

The examples themselves are tests of their own: pytest collects them from the package's modules.
"""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tnnlab

PAGES = sorted((Path(__file__).parents[1] / "book/5_reference").glob("api*.md"))
DIRECTIVE = re.compile(r"^\.\. (currentmodule|auto\w+|py:data):: (\S+)((?:\n   :.*)*)", re.M)

# Modules with entries that have no example as yet; the list may only get shorter.
WITHOUT_EXAMPLES = {
    "tnnlab.training.evaluation",
    "tnnlab.training.loop",
    "tnnlab.widgets.writer",
}


def entries(page: Path) -> dict[str, Any]:
    """What a page documents, by its full name."""
    found: dict[str, Any] = {}
    module = "tnnlab"
    for kind, name, options in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
        if kind in ("automodule", "currentmodule"):
            module = name
        if kind == "automodule" and ":no-members:" not in options:
            home = importlib.import_module(module)
            excluded = re.findall(r":exclude-members: (.*)", options)
            names = set(public_names(home)) - set(", ".join(excluded).split(", "))
            found |= {f"{module}.{n}": getattr(home, n) for n in names}
        elif kind in ("autofunction", "autoclass", "py:data"):
            full = name if name.startswith("tnnlab.") else f"{module}.{name}"
            home, _, last = full.rpartition(".")
            found[full] = getattr(importlib.import_module(home), last)
    return found


def public_names(module: ModuleType) -> list[str]:
    """What a module exports, or the functions and classes that it defines; its constants aside."""
    if hasattr(module, "__all__"):
        return [n for n in module.__all__ if is_code(getattr(module, n))]
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and is_code(thing) and thing.__module__ == module.__name__
    ]


def is_code(thing: Any) -> bool:
    return inspect.isclass(thing) or inspect.isfunction(thing)


def or_skip(page: Path) -> dict[str, Any]:
    try:
        return entries(page)
    except ImportError as error:  # an extra that is not installed: the message names it
        pytest.skip(str(error))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_entry_has_an_example(page: Path) -> None:
    found = without_example(or_skip(page))
    assert not {name for name, module in found.items() if module not in WITHOUT_EXAMPLES}


def test_what_has_examples_leaves_the_list() -> None:
    found = {name: thing for page in PAGES for name, thing in or_skip(page).items()}
    assert {*without_example(found).values()} >= WITHOUT_EXAMPLES


def without_example(found: dict[str, Any]) -> dict[str, str]:
    """The entries without one, each with the module that defines it."""
    parser = doctest.DocTestParser()
    code = {name: thing for name, thing in found.items() if is_code(thing)}
    return {
        name: thing.__module__
        for name, thing in code.items()
        if not parser.get_examples(thing.__doc__ or "")
    }


def test_examples_are_collected(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getoption("doctestmodules")
    assert "tnnlab" in pytestconfig.getini("testpaths")


def test_every_exported_name_is_in_the_reference() -> None:
    known = {name: thing for page in PAGES for name, thing in or_skip(page).items()}
    packages = [m.name for m in pkgutil.walk_packages(tnnlab.__path__, "tnnlab.") if m.ispkg]
    exported = {
        f"{package}.{name}" for package in packages for name in exports(package)
    }  # a test of a package without exports would say nothing
    assert len(packages) > 5 and len(exported) > 50
    assert not exported - known.keys()


def exports(package: str) -> list[str]:
    return list(getattr(importlib.import_module(package), "__all__", []))


def test_the_list_of_top_level_names() -> None:
    text = next(page for page in PAGES if page.stem == "api").read_text(encoding="utf-8")
    listed = re.findall(r"^   (tnnlab\.\S+)$", text, re.M)
    for name in listed:
        home, _, last = name.rpartition(".")
        assert getattr(importlib.import_module(home), last) is getattr(tnnlab, last)
    assert {name.rpartition(".")[2] for name in listed} == {*tnnlab.__all__} - {"__version__"}
