"""The kernels of many layers from one batched MLP.

An RPE is small: on a GPU each of its operations takes less time than to start it. Layers whose RPEs
have one form, and are asked for one length, are evaluated together.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from tnnlab.operators.fd import FDTNO
from tnnlab.operators.rpe import RPE, evaluate_together
from tnnlab.operators.separable import Separable2D
from tnnlab.operators.tno import TNO

# Without gradients kernels need not exist all at once, and do so only up to this many bytes.
_ROOM = 2**28


def shared_kernels(operators: Sequence[Any], shape: Sequence[int]) -> list[dict[str, Any]]:
    """What to give to each operator besides its input, so that none evaluates its RPE alone.

    Args:
        operators: of a model's layers, in any mixture; only TNO and FDTNO with an RPE, and
            Separable2D of them, are looked at.
        shape: ``(n,)``, or ``(height, width)`` of an image: what they will be applied to.

    Returns:
        keyword arguments for each operator: ``{"kernel": …}``, equal to its own ``kernel(n)`` and
        with gradients to its own parameters, or none where no other operator is like it.

    >>> operators = [TNO(4, causal=True), TNO(4, causal=True), FDTNO(4, causal=True)]
    >>> first, second, other = shared_kernels(operators, (10,))
    >>> torch.allclose(second["kernel"], operators[1].kernel(10), atol=1e-5), other
    (True, {})
    """
    given: list[dict[str, Any]] = [{} for _ in operators]
    alike: dict[Any, list[tuple[Any, dict[str, Any]]]] = defaultdict(list)
    for operator, arguments in zip(operators, given, strict=True):
        parts = [(operator, shape[-1], arguments)]
        if isinstance(operator, Separable2D):
            parts = [
                (operator.along_width, shape[1], arguments.setdefault("along_width", {})),
                (operator.along_height, shape[0], arguments.setdefault("along_height", {})),
            ]
        for part, n, taken in parts:
            if _has_rpe(part):
                alike[_likeness(part, n)].append((part, taken))
    for (n, *_), group in alike.items():
        first = group[0][0]
        positions = first.positions(n)
        size = len(group) * len(positions) * first.rpe.form[0] * 4
        if len(group) == 1 or (size > _ROOM and not torch.is_grad_enabled()):
            continue
        values = evaluate_together([part.rpe for part, _ in group], positions)
        for (part, taken), value in zip(group, values, strict=True):
            taken["kernel"] = part.kernel_of(value, n)
    return given


def _has_rpe(operator: Any) -> bool:
    # Not a subclass of them, which may make its kernel in another way.
    return type(operator) in (TNO, FDTNO) and type(operator.rpe) is RPE


def _likeness(operator: Any, n: int) -> tuple[Any, ...]:
    """Equal where positions and shapes are."""
    weight = operator.rpe.pos_proj.weight
    kind = (type(operator), operator.causal, operator.extends)
    return (n, *kind, operator.rpe.form, weight.dtype, weight.device)
