"""What a reader can change: a slider over numbers, a choice among names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Slider:
    """A slider over numbers.

    Args:
        label: what the reader sees, with its unit.
        values: at least two increasing numbers. They are the slider's stops on a page without a
            kernel; with one, the slider also stops between them.
        start: the number shown first (default: the first of `values`).
        continuous: whether numbers between the stops are allowed (whole ones between whole
            stops).

    >>> slider = Slider("Decay λ", [0.9, 0.95, 0.99], start=0.95)
    >>> slider.check("decay", 0.97)
    0.97
    >>> slider.check("decay", 1.5)
    Traceback (most recent call last):
        ...
    ValueError: decay must lie between 0.9 and 0.99, got 1.5
    """

    label: str
    values: Sequence[float]
    start: float | None = None
    continuous: bool = True

    def __post_init__(self) -> None:
        values = tuple(self.values)
        object.__setattr__(self, "values", values)
        if not all(_is_number(v) for v in values):
            raise TypeError(f"slider {self.label!r}: values must be finite numbers, got {values}")
        if len(values) < 2 or any(a >= b for a, b in pairwise(values)):
            raise ValueError(f"slider {self.label!r}: values must increase, got {values}")
        if self.start is not None and self.start not in values:
            raise ValueError(
                f"slider {self.label!r}: start must be one of {values}, got {self.start}"
            )

    @property
    def whole(self) -> bool:
        """Whether all stops are integers, so that every value is one."""
        return all(isinstance(v, int) for v in self.values)

    def check(self, name: str, value: Any) -> float:
        """Return `value` if the slider allows it; raises ValueError or TypeError otherwise."""
        low, high = self.values[0], self.values[-1]
        if not _is_number(value):
            raise TypeError(f"{name} must be a number from {low} to {high}, got {value!r}")
        if value in self.values:
            return self.values[self.values.index(value)]
        if not self.continuous:
            raise ValueError(f"{name} must be one of {self.values}, got {value}")
        if not low <= value <= high:
            raise ValueError(f"{name} must lie between {low} and {high}, got {value}")
        if self.whole and value != int(value):
            raise ValueError(f"{name} must be a whole number, got {value}")
        return int(value) if self.whole else float(value)

    def encode(self, name: str) -> dict[str, Any]:
        """The control as the front end reads it."""
        return {
            "kind": "slider",
            "name": name,
            "label": self.label,
            "values": list(self.values),
            "continuous": self.continuous,
            "whole": self.whole,
        }


@dataclass(frozen=True)
class Choice:
    """A choice of one among a few names.

    Args:
        label: what the reader sees.
        options: at least two different strings.
        start: the option shown first (default: the first).

    >>> Choice("Kernel", ["smooth", "kink"]).check("kernel", "kink")
    'kink'
    """

    label: str
    options: Sequence[str]
    start: str | None = None

    def __post_init__(self) -> None:
        options = (self.options,) if isinstance(self.options, str) else tuple(self.options)
        object.__setattr__(self, "options", options)
        if not all(isinstance(o, str) for o in options):
            raise TypeError(f"choice {self.label!r}: options must be strings, got {options}")
        if len(options) < 2 or len(set(options)) < len(options):
            raise ValueError(
                f"choice {self.label!r}: give two different options or more: {options}"
            )
        if self.start is not None and self.start not in options:
            raise ValueError(
                f"choice {self.label!r}: start must be one of {options}, got {self.start!r}"
            )

    @property
    def values(self) -> Sequence[str]:
        """The options, under the name that sliders use."""
        return self.options

    def check(self, name: str, value: Any) -> str:
        """Return `value` if it is one of the options; raises ValueError otherwise."""
        if value not in self.options:
            raise ValueError(f"{name} must be one of {self.options}, got {value!r}")
        return value

    def encode(self, name: str) -> dict[str, Any]:
        """The control as the front end reads it."""
        return {
            "kind": "choice",
            "name": name,
            "label": self.label,
            "values": list(self.options),
        }


Control = Slider | Choice


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
