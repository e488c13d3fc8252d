"""Operators and layers that remember, against the whole sequence at once."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tnnlab.attention import POSITIONS, Attention, LearnedPositions
from tnnlab.convert import etsc, reduce
from tnnlab.generation.attention import KeyValueCache, NextPositions
from tnnlab.generation.memory import Memory, Streaming
from tnnlab.generation.online import BLOCK, Online
from tnnlab.generation.recurrent import Recurrent
from tnnlab.generation.window import ShortConvolution, Window
from tnnlab.mixers import Hyena
from tnnlab.operators import ToeplitzOperator
from tnnlab.ops import toeplitz_matrix

# Pieces that a sequence comes in: many single positions, and longer ones.
PIECES = st.lists(st.one_of(st.just(1), st.integers(1, 90)), min_size=1, max_size=60)


class Given(ToeplitzOperator):
    """An operator with these taps, for as long as they go."""

    def __init__(self, taps: Tensor, extends: bool = True) -> None:
        super().__init__(len(taps), causal=True)
        self.extends = extends
        self.register_buffer("taps", taps)

    def kernel(self, n: int) -> Tensor:
        assert isinstance(self.taps, Tensor) and n <= self.taps.shape[1]
        return self.taps[:, :n]


def product(taps: Tensor, x: Tensor) -> Tensor:
    """``(channels, n)`` and ``(batch, n, channels)``, by the definition; missing taps are zero."""
    n = x.shape[1]
    kernel = torch.zeros(len(taps), n, dtype=taps.dtype)
    kernel[:, : taps.shape[1]] = taps[:, :n]
    return torch.einsum("cij,bjc->bic", toeplitz_matrix(kernel, causal=True), x)


def in_pieces(streaming: Streaming, x: Tensor, pieces: list[int], **options: Any) -> Tensor:
    streaming.start(len(x))
    return torch.cat([streaming(part, **options) for part in x.split(pieces, dim=1)], dim=1)


def normal(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def remembering(operator: ToeplitzOperator, make: Callable[[], Memory]) -> Streaming:
    return Streaming(operator, lambda module: make() if module is operator else None)


@settings(max_examples=40, derandomize=True)
@given(pieces=PIECES, width=st.integers(1, 100))
def test_a_window_has_the_first_taps(pieces: list[int], width: int) -> None:
    taps, x = normal(3, width), normal(2, sum(pieces), 3)
    streaming = remembering(Given(taps), lambda: Window(taps))
    torch.testing.assert_close(in_pieces(streaming, x, pieces), product(taps, x))


@settings(max_examples=60, derandomize=True)
@given(pieces=PIECES, length=st.integers(1, 100))
@example(pieces=[40] + [1] * 300, length=1)
@example(pieces=[1] * 50 + [13] + [1] * 300, length=1)
def test_online_has_all_taps(pieces: list[int], length: int) -> None:
    taps, x = normal(3, 16384), normal(2, sum(pieces), 3)
    operator = Given(taps)
    streaming = remembering(operator, lambda: Online(operator, length))
    torch.testing.assert_close(in_pieces(streaming, x, pieces), product(taps, x))


def test_online_step_by_step_over_many_doublings() -> None:
    taps, x = normal(2, 4096), normal(1, 1100, 2)
    streaming = remembering(Given(taps), lambda: Online(Given(taps), 1))
    torch.testing.assert_close(in_pieces(streaming, x, [1] * 1100), product(taps, x))
    (memory,) = streaming.memories
    assert isinstance(memory, Online)
    # An FFT for every block, of sizes that halve in number as they double.
    assert sorted(memory.spectra) == [BLOCK * 2**p for p in range(6)]


def test_online_knows_where_its_kernel_ends() -> None:
    operator = Given(normal(2, 50), extends=False)
    streaming = remembering(operator, lambda: Online(operator, 50))
    x = normal(1, 51, 2)
    torch.testing.assert_close(
        in_pieces(streaming, x[:, :50], [1] * 50), product(operator.taps, x[:, :50])
    )
    with pytest.raises(ValueError, match=r"kernel of Given .* for 50 positions; 51 are needed"):
        streaming(x[:, 50:])


@settings(max_examples=30, derandomize=True)
@given(pieces=PIECES, n=st.integers(2, 60), decay=st.floats(0.8, 1))
def test_a_state_space_goes_on_as_its_kernel(pieces: list[int], n: int, decay: float) -> None:
    taps = normal(3, n) * decay ** torch.arange(n)
    x = normal(2, sum(pieces), 3)
    few = reduce(taps, order=max(1, min(4, n - 2)))  # fewer than n - 1, which is nilpotent
    for system in (etsc(taps, decay=decay), few, few.diagonal()):
        streaming = remembering(system, lambda s=system: Recurrent(s))
        expected = product(system.kernel(sum(pieces)), x)
        torch.testing.assert_close(in_pieces(streaming, x, pieces), expected, atol=1e-6, rtol=1e-6)


@settings(max_examples=20, derandomize=True)
@given(pieces=PIECES, positions=st.sampled_from(POSITIONS))
def test_attention_with_a_cache(pieces: list[int], positions: str) -> None:
    torch.manual_seed(0)
    attention = Attention(6, 8, causal=True, heads=2, positions=positions).double()
    x = normal(2, sum(pieces), 6)
    streaming = Streaming(
        attention, lambda m: KeyValueCache(m, x.shape[1]) if isinstance(m, Attention) else None
    )
    with torch.no_grad():
        torch.testing.assert_close(in_pieces(streaming, x, pieces), attention(x))
    with pytest.raises(ValueError, match=r"cache of keys and values .* give a larger length"):
        streaming(x[:, :1])


@settings(max_examples=20, derandomize=True)
@given(pieces=PIECES, padding=st.integers(0, 5))
def test_learned_positions_go_on_counting(pieces: list[int], padding: int) -> None:
    n = padding + sum(pieces)
    positions = LearnedPositions(n, 4).double()
    x, mask = normal(2, n, 4), torch.ones(2, n, dtype=torch.bool)
    mask[0, :padding] = False
    streaming = Streaming(
        positions, lambda m: NextPositions(positions, n) if m is positions else None
    )
    streaming.start(2)
    first, *others = x.split([padding + pieces[0], *pieces[1:]], dim=1)
    found = [streaming(first, mask=mask[:, : first.shape[1]]), *map(streaming, others)]
    torch.testing.assert_close(torch.cat(found, dim=1), positions(x, mask))
    with pytest.raises(ValueError, match=f"learned {n} positions, and {n + 1} are needed"):
        streaming(x[:, :1])
    with pytest.raises(ValueError, match=f"learned {n} positions, and {n + 1} are needed"):
        NextPositions(positions, n + 1)


@settings(max_examples=20, derandomize=True)
@given(pieces=PIECES)
def test_a_short_convolution_inside_its_layer(pieces: list[int]) -> None:
    torch.manual_seed(0)
    taps, x = normal(8, 5), normal(2, sum(pieces), 4)
    layer = Hyena(4, Given(torch.cat([taps, torch.zeros(8, 6000)], dim=1))).double()

    def remember(module: nn.Module) -> Memory | None:
        if isinstance(module, Given):
            return Window(taps)
        return ShortConvolution(module) if isinstance(module, nn.Conv1d) else None

    with torch.no_grad():
        torch.testing.assert_close(in_pieces(Streaming(layer, remember), x, pieces), layer(x))


def memories(length: int, dtype: torch.dtype = torch.float64) -> list[Memory]:
    taps = (normal(3, length) * 0.9 ** torch.arange(length)).to(dtype)
    operator = Given(torch.cat([taps, taps.new_zeros(3, 4096)], dim=1))
    systems = [etsc(taps, decay=0.9), reduce(taps, order=4), reduce(taps, order=4).diagonal()]
    recurrent = [Recurrent(system.to(dtype)) for system in systems]
    return [Window(taps), Online(operator, length), *recurrent]


KINDS = range(len(memories(8)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_start_forgets(kind: int) -> None:
    streaming = Streaming(nn.Identity(), lambda _: memories(40)[kind])
    x = normal(2, 70, 3)
    first = in_pieces(streaming, x, [9] + [1] * 61)
    assert in_pieces(streaming, x, [9] + [1] * 61).equal(first)
    # Another number of sequences, and rows do not see each other.
    torch.testing.assert_close(in_pieces(streaming, x[1:], [9] + [1] * 61), first[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_several_continuations_of_one_beginning(kind: int) -> None:
    streaming = Streaming(nn.Identity(), lambda _: memories(40)[kind])
    x = normal(3, 70, 3)
    x[:, :50] = x[:1, :50]
    expected = in_pieces(streaming, x, [50] + [1] * 20)
    streaming.start(1)
    streaming(x[:1, :50])
    streaming.repeat(3)
    found = torch.cat([streaming(x[:, i : i + 1]) for i in range(50, 70)], dim=1)
    torch.testing.assert_close(found, expected[:, 50:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_inputs_leave_the_state_precise(kind: int, dtype: torch.dtype) -> None:
    streaming = Streaming(nn.Identity(), lambda _: memories(40, torch.float32)[kind])
    x = normal(2, 60, 3).to(dtype)
    y = in_pieces(streaming, x, [20] + [1] * 40)
    expected = in_pieces(streaming, x.float(), [20] + [1] * 40)
    assert y.dtype == dtype
    torch.testing.assert_close(y, expected.to(dtype), atol=1e-6, rtol=torch.finfo(dtype).eps)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(in_pieces(streaming, x.float(), [20] + [1] * 40), expected)
