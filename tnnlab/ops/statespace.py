"""Linear state spaces: their taps, and what a sequence leaves in their states. ::

    s_i = A s_{i-1} + B x_i,    y_i = D x_i + C s_{i-1},    so taps D, C B, C A B, C A² B, …

The output reads the state *before* it is updated: lag 0 is ``D`` alone. Matrices are per channel:
``A (channels, h, h)``, ``B`` and ``C (channels, h)``, ``D (channels,)``. Where A is diagonal it is
given by its poles λ, ``(channels, h)`` complex, with B = 1, and the residues c in C's place:
``y_i = D x_i + Re Σ_j c_j s_{i-1,j}``. Of a conjugate pair one half is kept, c counted twice.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 64  # steps taken at once


def hankel_matrix(kernel: Tensor) -> Tensor:
    """What the past can do to the future: ``H[..., i, j] = kernel at lag i + j + 1``, else 0.

    Args:
        kernel: causal taps ``(..., n)``, n ≥ 2.

    Returns:
        ``(..., n - 1, n - 1)``, symmetric.

    >>> hankel_matrix(torch.tensor([9.0, 1.0, 2.0, 3.0]))
    tensor([[1., 2., 3.],
            [2., 3., 0.],
            [3., 0., 0.]])
    """
    n = kernel.shape[-1]
    if n < 2:
        raise ValueError(f"a Hankel matrix needs lags 0 and 1 at least, (..., n ≥ 2); got n = {n}")
    return F.pad(kernel[..., 1:], (0, n - 2)).unfold(-1, n - 1, 1)


def statespace_taps(A: Tensor, B: Tensor, C: Tensor, D: Tensor, n: int) -> Tensor:
    """The taps at lags 0 … n - 1, ``(channels, n)``: O(n h²) in few, large products.

    >>> A, B, C = torch.tensor([[[0.5]]]), torch.tensor([[1.0]]), torch.tensor([[4.0]])
    >>> statespace_taps(A, B, C, torch.tensor([9.0]), 4)
    tensor([[9., 4., 2., 1.]])
    """
    rows, power = C[:, None], A  # C, C A, C A², … and A to the number of rows
    while rows.shape[1] < n - 1:
        rows = torch.cat([rows, rows @ power], dim=1)
        power = power @ power
    taps = (rows[:, : n - 1] @ B[..., None])[..., 0]
    return torch.cat([D[:, None], taps], dim=1)


def statespace_state(A: Tensor, B: Tensor, x: Tensor) -> Tensor:
    """The state that a sequence leaves, from zero: ``x (batch, channels, n)`` to
    ``(batch, channels, h)``, some steps at a time.

    >>> A, B = torch.tensor([[[0.5]]]), torch.tensor([[1.0]])
    >>> statespace_state(A, B, torch.tensor([[[4.0, 2.0, 1.0]]]))  # 4 / 4 + 2 / 2 + 1
    tensor([[[3.]]])
    """
    columns, power = B[..., None], A
    while columns.shape[-1] < min(BLOCK, x.shape[-1]):
        columns = torch.cat([columns, power @ columns], dim=-1)
        power = power @ power
    x = F.pad(x, (-x.shape[-1] % columns.shape[-1], 0)).unflatten(-1, (-1, columns.shape[-1]))
    state = x.new_zeros(*x.shape[:2], B.shape[-1])
    for block in x.unbind(2):
        new = torch.einsum("chm,bcm->bch", columns.flip(-1), block)
        state = torch.einsum("cij,bcj->bci", power, state) + new
    return state


def pole_powers(poles: Tensor, exponents: Tensor) -> Tensor:
    """``λ^m`` for real exponents m: ``(channels, h)`` and ``(m,)`` to ``(channels, h, m)``.

    By magnitude and angle, so that λ¹⁰⁰⁰⁰ has no more rounding than its angle.

    >>> pole_powers(torch.tensor([[0.5 + 0j]]), torch.arange(4)).real
    tensor([[[1.0000, 0.5000, 0.2500, 0.1250]]])
    """
    m = exponents.to(poles.real.dtype)
    return torch.polar(poles.abs()[..., None] ** m, poles.angle()[..., None] * m)


def diagonal_taps(poles: Tensor, residues: Tensor, direct: Tensor, n: int) -> Tensor:
    """The taps at lags 0 … n - 1, ``(channels, n)``: O(n h).

    ``λ^(q B + m) = λ^(q B) λ^m``: two tables of √n powers and a matrix product between them.

    >>> poles, residues = torch.tensor([[0.5 + 0j]]), torch.tensor([[4 + 0j]])
    >>> diagonal_taps(poles, residues, torch.tensor([9.0]), 4)
    tensor([[9., 4., 2., 1.]])
    """
    side = max(1, round(n**0.5))
    far = pole_powers(poles, side * torch.arange(-(-n // side), device=poles.device))
    near = pole_powers(poles, torch.arange(side, device=poles.device))
    taps = ((residues[..., None] * far).mT @ near).real.flatten(1)[:, : n - 1]
    return torch.cat([direct[:, None], taps], dim=1)


def diagonal_state(poles: Tensor, x: Tensor) -> Tensor:
    """The complex state that a sequence leaves: ``(batch, channels, n)`` to
    ``(batch, channels, h)``.

    >>> diagonal_state(torch.tensor([[0.5 + 0j]]), torch.tensor([[[4.0, 2.0, 1.0]]]))
    tensor([[[3.+0.j]]])
    """
    block = min(BLOCK, x.shape[-1])
    near = pole_powers(poles, torch.arange(block, device=poles.device)).flip(-1)
    far = pole_powers(poles, torch.tensor([block], device=poles.device))[..., 0]
    x = F.pad(x, (-x.shape[-1] % block, 0)).unflatten(-1, (-1, block))
    state = torch.zeros(*x.shape[:2], poles.shape[-1], dtype=near.dtype, device=x.device)
    for part in x.unbind(2):
        state = far * state + torch.einsum("chm,bcm->bch", near, part.to(near.dtype))
    return state
