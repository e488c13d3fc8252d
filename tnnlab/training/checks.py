"""Refusals that say what was given and what is allowed."""

from tnnlab._names import nearest
from tnnlab.training.errors import ConfigError


def check(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    check(value in allowed, f"{key} cannot be {value!r}: {nearest(value, allowed)}")


def at_least(key: str, value: float | None, least: float) -> None:
    """Refuse numbers below ``least``; ``None`` (the key is switched off) passes."""
    check(value is None or value >= least, f"{key} is {value}; it is at least {least}")


def between(key: str, value: float, low: float, high: float) -> None:
    check(low <= value < high, f"{key} is {value}; it lies in [{low}, {high})")


def no_future(norm: str, others: str = "'rms' or 'layer'") -> None:
    """Refuse a norm through which a causal model would see what comes later."""
    check(
        norm != "batch",
        f"model.norm is 'batch', whose statistics show a causal model the future: take {others}",
    )
