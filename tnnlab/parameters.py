"""Models of equal size: how many parameters a configuration has, and the width that matches."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from tnnlab.models import CausalLM, TNNConfig
from tnnlab.pretrained import Pretrained

Config = TypeVar("Config", bound=TNNConfig)
Model = Callable[[Any], Pretrained]


def count_parameters(config: TNNConfig, model: Model = CausalLM) -> int:
    """How many numbers a model learns, without making it: no memory, no random numbers.

    Args:
        config: the model's shape.
        model: CausalLM, MaskedLM, or a classifier (which takes a configuration of its own).

    >>> count_parameters(TNNConfig.wikitext103())  # the published model
    48662016
    """
    with torch.device("meta"):
        return model(config).num_parameters()


def match_width(
    config: Config, target: int, *, model: Model = CausalLM, multiple: int = 8
) -> Config:
    """The same configuration at the width whose number of parameters is nearest to a target.

    The GLU keeps its width as a multiple of the model's, rounded; all else stays as it is. Of two
    widths as near, the smaller.

    Args:
        config: what to match: any operator, any mixer.
        target: number of parameters, as :func:`count_parameters` counts them.
        model: which model is counted.
        multiple: the width is a multiple of this: of the number of heads, say.

    Raises:
        ValueError: ``target`` or ``multiple`` below 1, or the operator refuses a width on the way
            (the message says why: take a ``multiple`` that fits it).

    >>> target = count_parameters(TNNConfig.wikitext103())
    >>> attention = TNNConfig(operator="attention", expansion=1)
    >>> matched = match_width(attention, target, multiple=64)
    >>> matched.width, round(count_parameters(matched) / target, 2)
    (576, 0.93)
    """
    if target < 1 or multiple < 1:
        raise ValueError(f"target and multiple are at least 1; got {target} and {multiple}")
    ratio = config.glu_width / config.width

    def at(steps: int) -> Config:
        width = steps * multiple
        glu_width = max(1, round(ratio * width)) if config.glu_width else 0
        return dataclasses.replace(config, width=width, glu_width=glu_width)

    def size(steps: int) -> int:
        return count_parameters(at(steps), model)

    high = 1
    while size(high) < target:
        high *= 2
    low = high // 2  # size(low) < target ≤ size(high), where low ≥ 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < target else (low, middle)
    return at(min((steps for steps in (low, high) if steps), key=lambda s: abs(size(s) - target)))
