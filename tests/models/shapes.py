"""Small configurations of every operator and mixer, shared by the tests of models."""

from typing import Any

import pytest

SMALL: dict[str, Any] = {
    "vocab_size": 20,
    "depth": 2,
    "width": 8,
    "expansion": 1,
    "glu_width": 12,
    "rpe_width": 8,
    "rpe_depth": 1,
    "dropout": 0.0,
}
OPERATORS: dict[str, dict[str, Any]] = {
    "tno": {},
    "fd": {},
    "ski": {"operator_options": {"inducing": 4, "sparse_width": 3}},
    "rtf": {"operator_options": {"order": 4, "length": 64, "init": "montel"}},
    "s4d": {"operator_options": {"order": 4}},
    "hyena": {"operator_options": {"length": 64, "bands": 2, "width": 8}},
    "attention": {"operator_options": {"heads": 2}},
}
# What a longer input does not change.
EXTENDS = [name for name in OPERATORS if name not in ("fd", "ski")]


def small(operator: str, mixer: str = "gtu", **options: Any) -> dict[str, Any]:
    return {**SMALL, "operator": operator, **OPERATORS[operator], "mixer": mixer, **options}


MIXED = [
    (operator, mixer)
    for mixer in ("gtu", "s4", "hyena")
    for operator in OPERATORS
    if operator != "attention" or mixer == "gtu"
]
EACH = pytest.mark.parametrize(("operator", "mixer"), MIXED)
# For what takes seconds: every mixer once. Operators have such tests of their own.
FEW = pytest.mark.parametrize(
    ("operator", "mixer"), [("tno", "gtu"), ("rtf", "s4"), ("s4d", "hyena"), ("attention", "gtu")]
)
EACH_OPERATOR = pytest.mark.parametrize("operator", OPERATORS)
