"""A Toeplitz matrix, written out."""

import torch.nn.functional as F
from torch import Tensor


def toeplitz_matrix(kernel: Tensor, causal: bool) -> Tensor:
    """Write the Toeplitz matrix out: ``T[..., i, j] = kernel at lag i - j``.

    Args:
        kernel: taps, ``(..., n)`` if causal (lag 0 first), else ``(..., 2n - 1)``
            (lag -(n-1) first).
        causal: whether negative lags are zero.

    Returns:
        ``(..., n, n)``, differentiable in ``kernel``.

    Raises:
        ValueError: a bidirectional kernel of even length, or no taps at all.

    >>> import torch
    >>> toeplitz_matrix(torch.tensor([1.0, 2.0, 3.0]), causal=True)
    tensor([[1., 0., 0.],
            [2., 1., 0.],
            [3., 2., 1.]])
    """
    if kernel.ndim < 1 or kernel.shape[-1] < 1 or not (causal or kernel.shape[-1] % 2):
        raise ValueError(
            f"a {'causal' if causal else 'bidirectional'} kernel has shape "
            f"{'(..., n)' if causal else '(..., 2n - 1), an odd number of lags'}, n ≥ 1; "
            f"got {tuple(kernel.shape)}"
        )
    if causal:
        n = kernel.shape[-1]
        kernel = F.pad(kernel, (n - 1, 0))
    else:
        n = (kernel.shape[-1] + 1) // 2
    # Windows of the reversed kernel are the rows, last row first.
    return kernel.flip(-1).unfold(-1, n, 1).flip(-2)
