"""Packages whose names are imported when they are first used."""

import ast
import importlib
from pathlib import Path

import pytest

PACKAGES = ["tnnlab", "tnnlab.training", "tnnlab.widgets"]


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_see_the_names_that_are_exported(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__file__
    tree = ast.parse(Path(module.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(seen) == set(module.__all__) - {"__version__"} == set(dir(module)) - {"__version__"}
    for name, home in seen.items():
        assert getattr(module, name) is getattr(importlib.import_module(home), name)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_named(package: str) -> None:
    with pytest.raises(AttributeError, match=rf"module '{package}' has no attribute 'nothing'"):
        _ = importlib.import_module(package).nothing
