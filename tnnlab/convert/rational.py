"""Between state spaces and rational transfer functions: the loop closes."""

import torch
from torch import Tensor

from tnnlab.convert.reduction import reduce
from tnnlab.convert.systems import StateSpace, tap_error
from tnnlab.operators.rtf import RTF
from tnnlab.ops.rational import companion_matrix


def to_rtf(kernel: Tensor, order: int) -> RTF:
    """A rational transfer function of this order whose kernel is close to the taps.

    The taps are reduced to ``order`` states (:func:`tnnlab.convert.reduce`); the characteristic
    polynomial of A is the denominator, and the first taps give the numerator. The operator's
    coefficients are those of the kernel *aliased* at its length, ``C' = C (I - Aᴸ)``, so that
    ``operator.kernel(n)`` has the taps themselves (Parnichkun et al., ICML 2024, §3.3).

    Args:
        kernel: taps ``(channels, n)``.
        order: s, 1 … n - 1.

    Returns:
        a causal :class:`tnnlab.operators.RTF` of length n, in float64, its weights ready to be
        trained further.

    Raises:
        ValueError: an order out of range, or one so high that polynomial coefficients cannot hold
            the poles in float64 (they are products of all of them): the taps by FFT or by the
            recurrence would be off by more than 1e-6 of the largest.

    >>> taps = 0.5 ** torch.arange(16, dtype=torch.float64)[None]
    >>> torch.dist(to_rtf(taps, order=1).kernel(16), taps) < 1e-4
    tensor(True)
    """
    system = reduce(kernel, order=order)
    length = max(kernel.shape[1] + kernel.shape[1] % 2, order + 1 + (order + 1) % 2)
    taps = system.kernel(length)
    a = _characteristic(system.poles())
    numerator = _circular_numerator(a, taps)
    h0, b = numerator[:, 0], numerator[:, 1:] - numerator[:, :1] * a
    operator = RTF(len(a), causal=True, order=order, length=length).double()
    with torch.no_grad():
        operator.a.copy_(a)
        operator.b.copy_(b)
        operator.h0.copy_(h0)
    _check_taps(operator.kernel(length).detach(), taps[:, :length], order)
    # A recurrence with poles close together can run away where the FFT does not.
    _check_taps(from_rtf(operator).kernel(length), taps[:, :length], order)
    return operator


def from_rtf(operator: RTF) -> StateSpace:
    """The companion form of a causal RTF: a :class:`StateSpace` with its kernel over L lags.

    Raises:
        NotImplementedError: the operator is bidirectional.

    >>> operator = RTF(2, causal=True, order=3, length=16, init="montel").double()
    >>> x = torch.randn(1, 16, 2, dtype=torch.float64)
    >>> torch.allclose(from_rtf(operator).scan(x), operator(x))
    True
    """
    a, b, h0 = (tensor.detach() for tensor in operator.recurrence())
    newest = torch.zeros_like(a)
    newest[:, 0] = 1.0
    return StateSpace(companion_matrix(a), newest, b, h0)


def _check_taps(found: Tensor, wanted: Tensor, order: int) -> None:
    worst = tap_error(found, wanted)
    if not worst <= 1e-6:
        raise ValueError(
            f"a polynomial of order {order} holds these poles only to {worst:.1e} of the largest "
            "tap: take a lower order, or the state space itself (reduce)"
        )


def _characteristic(poles: Tensor) -> Tensor:
    """``a_1 … a_s`` of the monic polynomial with these roots, ``(channels, s)``, real."""
    coefficients = torch.ones(len(poles), 1, dtype=poles.dtype, device=poles.device)
    zero = torch.zeros_like(coefficients)
    for pole in poles.unbind(1):
        shifted = torch.cat([zero, coefficients], dim=1)
        coefficients = torch.cat([coefficients, zero], dim=1) - pole[:, None] * shifted
    return coefficients.real[:, 1:]


def _circular_numerator(a: Tensor, taps: Tensor) -> Tensor:
    """``N_0 … N_s`` with N / (1 + a_1 z⁻¹ + …) equal to the taps' spectrum on L roots of unity.

    On a circle of L places the denominator times the taps: a product of the system's own taps
    vanishes beyond lag s, and what the taps lack beyond L comes round to the front.
    """
    monic = torch.cat([torch.ones_like(a[:, :1]), a], dim=1)
    order = a.shape[1]
    circle = torch.cat([taps[:, taps.shape[1] - order :], taps[:, : order + 1]], dim=1)
    windows = circle.unfold(1, order + 1, 1)  # ends at lag m: k_{m-s} … k_m
    return (windows * monic.flip(1)[:, None]).sum(-1)
