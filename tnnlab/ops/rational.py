"""Rational transfer functions: a few coefficients, a kernel of any length. ::

    H(z) = h_0 + (b_1 z⁻¹ + … + b_s z⁻ˢ) / (1 + a_1 z⁻¹ + … + a_s z⁻ˢ)

Coefficients are ``(channels, s)``, ``h_0`` is ``(channels,)``. See Parnichkun et al., "State-Free
Inference of State-Space Models: The Transfer Function Approach" (ICML 2024), §3.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def rational_taps(a: Tensor, b: Tensor, h0: Tensor, length: int) -> Tensor:
    """The kernel whose spectrum on ``length`` roots of unity is H: state-free, O(L log L).

    It is the impulse response *aliased in time*, ``Σ_q k_{m + qL}``: what decays slower than the
    length wraps around. :func:`unaliased` gives the system that has these taps without wrapping.

    Args:
        a, b: denominators and numerators, ``(channels, s)``.
        h0: the tap at lag 0, ``(channels,)``.
        length: L, even.

    Returns:
        taps at lags 0 … L - 1, ``(channels, L)``; differentiable.

    Raises:
        ValueError: shapes that do not fit, or an odd length.

    >>> a, b, h0 = torch.tensor([[-0.5]]), torch.tensor([[1.0]]), torch.zeros(1)  # 1, 0.5, 0.25, …
    >>> rational_taps(a, b, h0, 4)  # the tap at lag 4, 0.125, has wrapped around to lag 0
    tensor([[0.1333, 1.0667, 0.5333, 0.2667]])
    """
    _check(a, b, h0)
    if length < 2 or length % 2:
        raise ValueError(f"the number of roots of unity is even, at least 2; got {length}")
    numerator = torch.fft.rfft(_fold(F.pad(b, (1, 0)), length))
    denominator = torch.fft.rfft(_fold(F.pad(a, (1, 0), value=1.0), length))
    taps = torch.fft.irfft(numerator / denominator, n=length)
    return torch.cat([taps[:, :1] + h0[:, None], taps[:, 1:]], dim=1)


def impulse_response(a: Tensor, b: Tensor, h0: Tensor, n: int) -> Tensor:
    """The exact taps at lags 0 … n - 1, ``(channels, n)``: the recurrence fed one impulse.

    The naive twin of :func:`rational_taps`: one step per lag, no aliasing.

    >>> a, b, h0 = torch.tensor([[-0.5]]), torch.tensor([[1.0]]), torch.zeros(1)
    >>> impulse_response(a, b, h0, 4)
    tensor([[0.0000, 1.0000, 0.5000, 0.2500]])
    """
    _check(a, b, h0)
    state = torch.zeros_like(a)
    taps = []
    for lag in range(n):
        x = torch.ones_like(h0) if lag == 0 else torch.zeros_like(h0)
        y, state = rational_step(a, b, h0, x, state)
        taps.append(y)
    return torch.stack(taps, dim=-1)


def rational_step(
    a: Tensor, b: Tensor, h0: Tensor, x: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of the companion recurrence: a dot product and a shift, O(s) per channel.

    Args:
        a, b, h0: as above.
        x: the input, ``(..., channels)``.
        state: ``(..., channels, s)``, newest entry first; zeros to begin with.

    Returns:
        the output ``(..., channels)`` and the next state.

    >>> a, b, h0 = torch.tensor([[-0.5]]), torch.tensor([[1.0]]), torch.tensor([2.0])
    >>> y, state = rational_step(a, b, h0, torch.tensor([3.0]), torch.zeros(1, 1))
    >>> y, state
    (tensor([6.]), tensor([[3.]]))
    """
    y = (b * state).sum(-1) + h0 * x
    newest = x - (a * state).sum(-1)
    return y, torch.cat([newest[..., None], state[..., :-1]], dim=-1)


def companion_matrix(a: Tensor) -> Tensor:
    """The state matrix A of the recurrence, ``(channels, s, s)``; its eigenvalues are the poles.

    >>> matrix = companion_matrix(torch.tensor([[-0.75, 0.125]]))
    >>> matrix, torch.linalg.eigvals(matrix).real.sort().values
    (tensor([[[ 0.7500, -0.1250],
             [ 1.0000,  0.0000]]]), tensor([[0.2500, 0.5000]]))
    """
    order = a.shape[-1]
    shift = torch.eye(order, dtype=a.dtype, device=a.device).roll(1, dims=0)
    matrix = shift.expand(*a.shape[:-1], order, order).clone()
    matrix[..., 0, :] = -a
    return matrix


def unaliased(a: Tensor, b: Tensor, h0: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The ``(b, h_0)`` whose exact impulse response is the aliased one, over ``length`` lags.

    For ``length > s`` they are ``C = C' (I - Aᴸ)⁻¹`` and ``h_0 + Σ_{q ≥ 1} k_{qL}`` (ICML 2024,
    §3.3), here read off the aliased taps: the denominator times their series is the numerator,
    ``b_m = Σ_{j<m} a_j k_{m-j}``. No power of A is formed: where poles lie close together that
    loses all digits.

    Raises:
        ValueError: a pole on an L-th root of unity, where the aliased kernel is not defined.

    >>> a, b, h0 = torch.tensor([[-0.5]]), torch.tensor([[1.0]]), torch.zeros(1)
    >>> b, h0 = unaliased(a, b, h0, 4)
    >>> torch.dist(impulse_response(a, b, h0, 4), torch.tensor([[2, 16, 8, 4]]) / 15) < 1e-6
    tensor(True)
    """
    taps = rational_taps(a, b, h0, length)
    if not bool(taps.isfinite().all()):
        raise ValueError(f"a pole lies on a root of unity of length {length}: the sum diverges")
    order = a.shape[-1]
    known = F.pad(taps[:, 1:], (order - 1, max(0, order - length + 1)))
    monic = F.pad(a[:, :-1], (1, 0), value=1.0)
    product = (known.unfold(1, order, 1)[:, :order] * monic.flip(1)[:, None]).sum(-1)
    # Lags beyond the length are free: nothing is asked of them.
    return product * (torch.arange(1, order + 1, device=a.device) < length), taps[:, 0]


def _fold(coefficients: Tensor, length: int) -> Tensor:
    """Wrap a polynomial longer than ``length``: on the roots of unity, z^(m + L) = z^m."""
    missing = -coefficients.shape[-1] % length
    return F.pad(coefficients, (0, missing)).unflatten(-1, (-1, length)).sum(-2)


def _check(a: Tensor, b: Tensor, h0: Tensor) -> None:
    if a.ndim != 2 or a.shape != b.shape or h0.shape != a.shape[:1]:
        raise ValueError(
            "a and b have shape (channels, order), h0 (channels,); "
            f"got {tuple(a.shape)}, {tuple(b.shape)}, {tuple(h0.shape)}"
        )
