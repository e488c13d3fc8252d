"""The learning rate as a pure function of the number of updates made.

Nothing is stored: a run that resumes at step s asks for the rate at s.
"""

import math

import torch

from tnnlab.training.optimisation import TrainingConfig


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Learning rate of the update that follows ``step`` updates; ``0 <= step <= config.steps``.

    All schedules begin with ``config.warmup`` updates on a line from ``warmup_from`` to the peak.
    Then, with ``t = step``, ``w = warmup``, ``n = steps`` and the peak as the unit:

    * "inverse-square-root": ``sqrt(w / t)`` (Vaswani et al., 2017, section 5.3; the published
      TNN language models use it);
    * "cosine": half a cosine from 1 to ``final_fraction`` at ``t = n`` (Loshchilov & Hutter, 2017);
    * "warmup-stable-decay": 1, then a line to ``final_fraction`` over the last ``cooldown`` updates
      (Hu et al., 2024, section 4).

    >>> config = TrainingConfig(steps=100, warmup=10, learning_rate=1.0, final_fraction=0.1)
    >>> [round(learning_rate(step, config), 2) for step in (0, 5, 10, 55, 100)]
    [0.0, 0.5, 1.0, 0.55, 0.1]
    """
    peak, warmup = config.learning_rate, config.warmup
    if step < warmup:
        return config.warmup_from + (peak - config.warmup_from) * step / warmup
    if config.schedule == "inverse-square-root":
        return peak * math.sqrt(warmup / step)
    if config.schedule == "cosine":
        done = (step - warmup) / max(1, config.steps - warmup)
        height = (1 + math.cos(math.pi * done)) / 2
    else:
        height = min(1.0, (config.steps - step) / config.cooldown)
    return peak * (config.final_fraction + (1 - config.final_fraction) * height)


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, config: TrainingConfig) -> None:
    """Give each group of an optimiser its share of :func:`learning_rate`: ``scale``, which
    :func:`tnnlab.training.setup.make_optimizer` puts there."""
    rate = learning_rate(step, config)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
