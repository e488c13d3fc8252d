"""Remember everything, exactly and at any length: convolution as the inputs come in."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tnnlab.generation.memory import Memory
from tnnlab.operators import ToeplitzOperator
from tnnlab.ops import toeplitz_matmul, toeplitz_matrix

BLOCK = 32  # positions that a dot product takes; below, an FFT does not pay


class Online(Memory):
    """Relaxed convolution: exact at any length, O(log² L) a token on average.

    Let 2^p be the largest power of two that divides the position t. Then the inputs
    ``t - 2^p … t - 1`` add their part to the outputs ``t … t + 2^p - 1``, by one FFT of size
    2^(p+1). So every input reaches every later output exactly once: the pairs (input, output)
    are a triangle, cut into squares (van der Hoeven, "Relax, but don't be too lazy", 2002, with
    the kernel known beforehand; Oncescu et al., "Flash Inference", 2024). Inputs of the block of
    32 that the output is in are a dot product.

    Storage doubles when t reaches it, and the kernel is evaluated twice as far out.

    Args:
        operator: causal. Where longer kernels do not extend shorter ones (``operator.extends``),
            its kernel at ``length`` is meant, and there are no positions beyond.
        length: see operator.

    >>> from tnnlab.generation import Streaming
    >>> from tnnlab.operators import TNO
    >>> operator = TNO(4, causal=True)
    >>> streaming = Streaming(operator, lambda module: Online(operator, length=16))
    >>> streaming(torch.randn(1, 40, 4)).shape  # beyond the length, too
    torch.Size([1, 40, 4])
    """

    states = ("block", "ready", "inputs", "pending")
    block: Tensor  # (batch, channels, 32): inputs of the current block
    ready: Tensor  # the same shape: what earlier inputs give to its outputs
    inputs: Tensor  # (batch, channels, places): whole blocks
    pending: Tensor  # the same shape: what they give to outputs
    taps: Tensor
    table: Tensor

    def __init__(self, operator: ToeplitzOperator, length: int) -> None:
        super().__init__()
        self.channels = operator.channels
        self.name, self.kernel = type(operator).__name__, operator.kernel
        self.length = None if operator.extends else length
        self.register_buffer("taps", operator.kernel(length), False)
        self.spectra: dict[int, Tensor] = {}
        # Row r: the taps from all inputs of a block to its output r, zero from later ones.
        table = toeplitz_matrix(self._taps(BLOCK), causal=True).transpose(0, 1).contiguous()
        self.register_buffer("table", table, False)
        for name in self.states:
            self.register_buffer(name, table.new_zeros(0, self.channels, BLOCK), False)

    def start(self, batch: int) -> None:
        self.inputs, self.pending = (t[..., :BLOCK] for t in (self.inputs, self.pending))
        super().start(batch)
        self.stored = self.base = 0  # inputs in ``inputs``; how many ``pending`` has already

    def prepare(self, first: int, n: int) -> None:
        super().prepare(first, n)
        if self.length is not None:
            check_room(self.name, self.length, first + n)
        if n == 1 and first > 0 and first % BLOCK == 0:
            self._turn(first)

    def step(self, x: Tensor) -> Tensor:
        slot = self.clock % BLOCK
        self.block.index_copy_(2, slot, x.unsqueeze(2).to(self.block.dtype))
        y = self.ready.index_select(2, slot).squeeze(2)
        row = self.table.index_select(0, slot).squeeze(0)
        return (y + torch.einsum("cq,bcq->bc", row, self.block)).to(x.dtype)

    def extend(self, x: Tensor) -> Tensor:
        """One FFT over all inputs so far, which also fills ``pending``."""
        self._store(self.first)
        end = self.first + x.shape[1]
        self.reserve(end + 1)
        self.inputs[..., self.first : end] = x.mT
        places = self.inputs.shape[2]
        self.pending = toeplitz_matmul(self._taps(places), self.inputs, causal=True)
        self.stored = self.base = end
        self.block.zero_()
        begin = end - end % BLOCK
        self.ready.copy_(self.pending[..., begin : begin + BLOCK])
        return self.pending[..., self.first : end].mT.to(x.dtype)

    def _turn(self, t: int) -> None:
        """Between two blocks: the square of inputs and outputs that begins here."""
        self._store(t)
        if t == self.inputs.shape[2]:  # a power of two: this square has all inputs
            self.reserve(t + 1)
            self.base = 0
        size = t & -t
        begin = max(t - size, self.base)
        if begin < t:
            inputs = F.pad(self.inputs[..., begin:t], (size - (t - begin), 0))
            self.pending[..., t : t + size] += self.square(inputs)
        self.ready.copy_(self.pending[..., t : t + BLOCK])

    def square(self, inputs: Tensor) -> Tensor:
        """What ``(batch, channels, size)`` inputs give to as many outputs right after them."""
        size = inputs.shape[2]
        if size not in self.spectra:
            self.spectra[size] = torch.fft.rfft(self._taps(2 * size))
        product = torch.fft.rfft(inputs, n=2 * size) * self.spectra[size]
        return torch.fft.irfft(product, n=2 * size)[..., size:]

    def _store(self, end: int) -> None:
        count, begin = end - self.stored, self.stored % BLOCK
        self.inputs[..., self.stored : end] = self.block[..., begin : begin + count]
        self.stored = end

    def reserve(self, places: int) -> None:
        """Room for so many, a power of two."""
        missing = max(BLOCK, 1 << (places - 1).bit_length()) - self.inputs.shape[2]
        if missing > 0:
            self.inputs, self.pending = (
                F.pad(tensor, (0, missing)) for tensor in (self.inputs, self.pending)
            )

    def _taps(self, n: int) -> Tensor:
        if n > self.taps.shape[1] and self.length is None:
            self.taps = self.kernel(n)
        return F.pad(self.taps[:, :n], (0, max(0, n - self.taps.shape[1])))


def check_room(name: str, length: int, positions: int) -> None:
    """Refuse more positions than the length that a kernel was evaluated for.

    Raises:
        ValueError: there are more.
    """
    if positions > length:
        raise ValueError(
            f"the kernel of {name} depends on the length, and was evaluated for {length} "
            f"positions; {positions} are needed: give a larger length"
        )
