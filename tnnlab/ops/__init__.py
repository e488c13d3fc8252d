"""Functions on tensors: no parameters, no state, no configuration. The length comes last."""

from tnnlab.ops.fft import fast_size
from tnnlab.ops.toeplitz import Choice, choose_method, toeplitz_matmul, toeplitz_matrix

__all__ = ["Choice", "choose_method", "fast_size", "toeplitz_matmul", "toeplitz_matrix"]
