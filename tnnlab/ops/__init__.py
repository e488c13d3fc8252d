"""Functions on tensors: no parameters, no state, no configuration. The length comes last."""

from tnnlab.ops.cross_entropy import linear_cross_entropy
from tnnlab.ops.fft import fast_size
from tnnlab.ops.matrix import toeplitz_matrix
from tnnlab.ops.toeplitz import Choice, choose_method, toeplitz_matmul

__all__ = [
    "Choice",
    "choose_method",
    "fast_size",
    "linear_cross_entropy",
    "toeplitz_matmul",
    "toeplitz_matrix",
]
