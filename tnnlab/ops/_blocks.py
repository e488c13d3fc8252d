"""The Toeplitz product by tiles as batched matrix products: for a CPU, and for reading.

Positions are cut into blocks of ``BLOCK``. One tile, the Toeplitz matrix of the lags around an
offset, serves every pair of blocks at this offset in every sequence: the pairs are the rows of
one matrix product. Half of a dense product's operations where the kernel is causal, and no n × n
matrix. The GPU kernels of :mod:`tnnlab.ops._triton` follow the same plan.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tnnlab.ops.matrix import toeplitz_matrix

BLOCK = 64


def product(kernel: Tensor, x: Tensor, causal: bool, transposed: bool) -> Tensor:
    """``kernel (channels, lags)`` times ``x (batch, channels, n)``, or the transpose."""
    batch, channels, n = x.shape
    block, blocks = _cut(n)
    first = 0 if causal else 1 - n
    if transposed:
        kernel, first = kernel.flip(-1), 1 - n
    last = first + kernel.shape[-1] - 1
    reach = blocks * block
    taps = F.pad(kernel.to(x.dtype), (reach + first, reach - last))  # lag 0 stands at ``reach``
    columns = _columns(x, block)
    y = torch.zeros_like(columns)
    for offset in range(0 if first == 0 else 1 - blocks, 1 if last == 0 else blocks):
        at = reach + offset * block
        tile = toeplitz_matrix(taps[:, at - block + 1 : at + block], causal=False)
        seen = columns[:, _inputs(offset, blocks, batch)]
        y[:, _inputs(-offset, blocks, batch)].baddbmm_(seen, tile.mT)
    y = y.view(channels, blocks, batch, block).permute(2, 0, 1, 3)
    return y.reshape(batch, channels, reach)[..., :n]


def correlate(x: Tensor, g: Tensor, causal: bool) -> Tensor:
    """The sums Σ g[i] x[i - m] over the batch, for all lags m: ``(channels, lags)``."""
    batch, channels, n = x.shape
    block, blocks = _cut(n)
    x_columns, g_columns = _columns(x, block), _columns(g, block)
    first = 0 if causal else 1 - blocks
    sums = x.new_zeros(channels, 2 * blocks + 1, block)  # from lag -blocks · block
    for offset in range(first, blocks):
        tile = torch.bmm(
            g_columns[:, _inputs(-offset, blocks, batch)].mT,
            x_columns[:, _inputs(offset, blocks, batch)],
        )
        # Cut into rows one place shorter than they are, row i stands i places to the right: what
        # shared a diagonal i - j shares a column.
        rows = F.pad(tile.flip(-1), (0, block)).flatten(1)[:, :-block]
        diagonals = rows.reshape(channels, block, 2 * block - 1).sum(1)
        sums.flatten(1)[:, (offset + blocks - 1) * block + 1 :][:, : 2 * block - 1] += diagonals
    start = blocks * block + (0 if causal else 1 - n)
    return sums.flatten(1)[:, start : start + (n if causal else 2 * n - 1)]


def _cut(n: int) -> tuple[int, int]:
    block = min(BLOCK, n)
    return block, -(-n // block)


def _columns(x: Tensor, block: int) -> Tensor:
    """``(batch, channels, n)`` as ``(channels, blocks · batch, block)``."""
    x = F.pad(x, (0, -x.shape[-1] % block)).unflatten(-1, (-1, block))
    return x.permute(1, 2, 0, 3).flatten(1, 2)


def _inputs(offset: int, blocks: int, batch: int) -> slice:
    """Columns of the blocks that are inputs at an offset; at -offset: that are its outputs."""
    return slice(max(-offset, 0) * batch, (blocks - max(offset, 0)) * batch)
