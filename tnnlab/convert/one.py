"""One operator of a model, converted for the precision that it runs in, with a report."""

from typing import Any

import torch
from torch import nn

from tnnlab._names import nearest
from tnnlab.convert.etsc import etsc
from tnnlab.convert.reduction import ReducedStateSpace, reduce
from tnnlab.convert.systems import DiagonalSSM, StateSpace, tap_error
from tnnlab.operators import ToeplitzOperator

METHODS = ("etsc", "reduced")
# Of the largest tap: how far a diagonal form may be from the full one in the model's precision.
DIAGONAL_ERROR = 1e-4


def toeplitz(operator: nn.Module) -> ToeplitzOperator:
    """The operator, if it is a causal one with a kernel.

    Raises:
        ValueError: it is none.
    """
    if isinstance(operator, ToeplitzOperator) and operator.causal:
        return operator
    name = type(operator).__name__
    if getattr(operator, "causal", False):
        raise ValueError(
            f"{name} has no kernel: it can generate by 'full' without a length, attention also by "
            "'window' or 'online'"
        )
    raise ValueError(f"{name} is not causal, and cannot generate")


@torch.no_grad()
def convert_operator(
    operator: nn.Module,
    method: str,
    *,
    length: int,
    order: int | None = None,
    tolerance: float | None = None,
) -> tuple[DiagonalSSM | StateSpace, dict[str, Any]]:
    """A causal operator's first ``length`` taps as a state space, and how good it is.

    Args:
        operator: any with a kernel.
        method: "etsc" (:func:`tnnlab.convert.etsc`, with the operator's envelope as the decay) or
            "reduced" (:func:`tnnlab.convert.reduce`, diagonal where that holds in the operator's
            precision).
        length: n, at least 1.
        order, tolerance: for "reduced", one of them.

    Returns:
        the system, in the precision of the operator's kernel, and a report: ``form``, ``states``
        (real numbers a channel remembers), ``tap_error`` (of the recurrence with its weights in
        this precision, relative to the largest tap) and, for "reduced", the means and maxima over
        the channels of ``orders``, ``bound``, ``peak_error`` and ``l2_error``, as
        :func:`tnnlab.convert.reduce` names them.

    Raises:
        ValueError: an unknown method, an operator without a kernel, or what the method refuses.

    >>> from tnnlab.operators import TNO
    >>> system, report = convert_operator(TNO(4, causal=True), "etsc", length=32)
    >>> system.kernel(32).shape, report["form"], report["tap_error"] < 1e-3
    (torch.Size([4, 32]), 'diagonal', True)
    """
    operator = toeplitz(operator)
    if method not in METHODS:
        raise ValueError(f"there is no conversion {method!r}: {nearest(method, METHODS)}")
    if method == "etsc" and (order, tolerance) != (None, None):
        raise ValueError("etsc is exact and has as many states as taps: no order, no tolerance")
    taps = operator.kernel(length)
    report: dict[str, Any] = {}
    system: DiagonalSSM | StateSpace
    if method == "etsc":
        system = etsc(taps, decay=operator.envelope()).to(taps.dtype)
        # Its own kernel is by an FFT, and does not see that poles were rounded: a step does.
        poles, residues = map(torch.view_as_complex, (system.poles, system.residues))
        found = DiagonalSSM(poles, residues, system.direct).kernel(length)
    else:
        reduced = reduce(taps, order=order, tolerance=tolerance)
        for name in ("orders", "bound", "peak_error", "l2_error"):
            values = getattr(reduced, name).double()
            report[name] = {"mean": float(values.mean()), "max": float(values.max())}
        system = _diagonal(reduced, taps.dtype)
        found = system.kernel(length)
    error = (found - taps).abs().max() / taps.abs().max()
    head = {
        "operator": type(operator).__name__,
        "form": "diagonal" if isinstance(system, DiagonalSSM) else "full",
        "channels": system.channels,
        "states": system.order,
        "tap_error": float(error),
    }
    return system, {**head, **report}


def _diagonal(reduced: ReducedStateSpace, dtype: torch.dtype) -> DiagonalSSM | StateSpace:
    """The form with O(h) a step, if its rounding errors stay small, else the one with O(h²)."""
    full = StateSpace(reduced.A, reduced.B, reduced.C, reduced.direct)
    length = reduced.hankel_values.shape[1] + 1
    try:
        diagonal = reduced.diagonal().to(dtype)
    except ValueError:
        return full.to(dtype)
    exact = full.kernel(length)
    if tap_error(diagonal.kernel(length).double(), exact) > DIAGONAL_ERROR:
        return full.to(dtype)
    return diagonal
