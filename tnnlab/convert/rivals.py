"""The two ways to a state space that ETSC was compared with, to be compared with.

Qin & Zhong (EMNLP 2023): a Vandermonde system with other nodes than the roots of unity, and
gradient descent on poles and residues.
"""

import torch
from torch import Tensor

from tnnlab.convert.systems import DiagonalSSM, as_taps
from tnnlab.ops.statespace import diagonal_taps, pole_powers


def vandermonde_matrix(poles: Tensor, n: int) -> Tensor:
    """``λ_j^(m-1)`` for lags m = 1 … n - 1: ``(n - 1, h)`` from poles ``(h,)``.

    >>> vandermonde_matrix(torch.tensor([1.0, 0.5]).cfloat(), 4).real
    tensor([[1.0000, 1.0000],
            [1.0000, 0.5000],
            [1.0000, 0.2500]])
    """
    return pole_powers(poles[None], torch.arange(n - 1))[0].T


def vandermonde_fit(
    kernel: Tensor, poles: Tensor, *, dtype: torch.dtype = torch.float64
) -> DiagonalSSM:
    """Residues for given poles, by least squares on the taps.

    Args:
        kernel: taps ``(channels, n)``.
        poles: λ, ``(h,)``, real or complex, the same in all channels.
        dtype: float32 or float64, of the arithmetic: what is lost to rounding depends on it.

    Returns:
        a :class:`~tnnlab.convert.DiagonalSSM`, exact where h ≥ n - 1 and the matrix is far from
        singular.

    >>> system = vandermonde_fit(torch.tensor([[9.0, 4.0, 2.0, 1.0]]), torch.tensor([0.5, 0.9]))
    >>> system.kernel(4).round(decimals=6)
    tensor([[9., 4., 2., 1.]], dtype=torch.float64)
    """
    taps = as_taps(kernel)
    matrix = vandermonde_matrix(poles.to(torch.complex128), taps.shape[1])
    work = torch.complex64 if dtype == torch.float32 else torch.complex128
    solution = torch.linalg.lstsq(matrix.to(work), taps[:, 1:].T.to(work)).solution
    residues = solution.T.to(torch.complex128)
    return DiagonalSSM(poles.to(residues).expand_as(residues), residues, taps[:, 0])


def gradient_fit(
    kernel: Tensor, states: int, *, steps: int = 1000, lr: float = 1e-2, seed: int = 0
) -> tuple[DiagonalSSM, Tensor]:
    """Poles and residues by Adam on the squared error of the taps.

    Poles are ``exp(-exp(α) + iθ)``, inside the unit circle whatever is learned; they start at
    magnitudes near 1 and evenly spread angles, residues at random.

    Args:
        kernel: taps ``(channels, n)``.
        states: h, complex states.
        steps, lr: of Adam.
        seed: of the residues.

    Returns:
        the system, and the relative error after each step, ``(steps,)``.

    >>> system, errors = gradient_fit(0.5 ** torch.arange(8)[None], states=2, steps=50, lr=0.1)
    >>> bool(errors[-1] < errors[0] / 10)
    True
    """
    taps = as_taps(kernel)
    channels, n = taps.shape
    generator = torch.Generator().manual_seed(seed)
    angles = (torch.linspace(0, torch.pi, states, dtype=torch.float64)).repeat(channels, 1)
    decays = torch.full_like(angles, -4.0)
    start = torch.randn(2, channels, states, generator=generator, dtype=torch.float64)
    weights = [w.requires_grad_() for w in (angles, decays, *(start * states**-0.5))]
    optimizer = torch.optim.Adam(weights, lr=lr)
    errors = []
    for _ in range(steps):
        poles, residues = _system(*weights)
        difference = diagonal_taps(poles, residues, taps[:, 0], n) - taps
        loss = difference.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.detach().sqrt() / taps.norm())
    with torch.no_grad():
        poles, residues = _system(*weights)
    return DiagonalSSM(poles, residues, taps[:, 0]), torch.stack(errors)


def _system(
    angles: Tensor, decays: Tensor, real: Tensor, imaginary: Tensor
) -> tuple[Tensor, Tensor]:
    return torch.polar(torch.exp(-torch.exp(decays)), angles), torch.complex(real, imaginary)
