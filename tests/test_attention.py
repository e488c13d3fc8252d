import io
import math

import pytest
import torch
from torch import Tensor

from tests.contract import BOTH, assert_same
from tnnlab.attention import Attention, rotate

ROTARY = pytest.mark.parametrize("rotary", [False, True], ids=["plain", "rotary"])


def make(causal: bool, rotary: bool = False) -> Attention:
    torch.manual_seed(0)
    return Attention(6, 8, causal=causal, heads=2, rotary=rotary).double()


def inputs(n: int, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randn(batch, n, 6, generator=generator, dtype=torch.float64).requires_grad_()


def turned(x: Tensor, position: int) -> Tensor:
    """One position's channels as complex numbers, times a unit complex number each."""
    half = len(x) // 2
    angles = [position * 10000 ** (-2 * c / len(x)) for c in range(half)]
    turn = torch.tensor([complex(math.cos(a), math.sin(a)) for a in angles])
    z = torch.complex(x[:half], x[half:]) * turn.to(torch.complex128)
    return torch.cat([z.real, z.imag])


def naive(attention: Attention, x: Tensor, mask: Tensor) -> Tensor:
    """Query by query, head by head, over a list of the keys that it may see."""
    out = torch.zeros(*x.shape[:2], 8, dtype=torch.float64)
    q, k, v = (x @ attention.qkv.weight.T + attention.qkv.bias).chunk(3, dim=-1)
    for b in range(x.shape[0]):
        for i in range(x.shape[1]):
            last = i + 1 if attention.causal else x.shape[1]
            seen = [j for j in range(last) if mask[b, j]]
            for head in (slice(0, 4), slice(4, 8)):
                query, keys = q[b, i, head], [k[b, j, head] for j in seen]
                if attention.rotary:
                    query = turned(query, i)
                    keys = [turned(key, j) for key, j in zip(keys, seen, strict=True)]
                if seen:
                    weights = torch.stack([query @ key / 2 for key in keys]).softmax(0)
                    out[b, i, head] = weights @ v[b, seen, head]
    return out @ attention.o.weight.T + attention.o.bias


@ROTARY
@BOTH
@pytest.mark.parametrize("n", [1, 2, 9])
def test_values_and_gradients_follow_the_definition(n: int, causal: bool, rotary: bool) -> None:
    attention, x = make(causal, rotary), inputs(n)
    y, expected = attention(x), naive(attention, x, torch.ones(2, n, dtype=torch.bool))
    assert_same(y, expected, [x, *attention.parameters()])


@ROTARY
@BOTH
def test_no_query_sees_padding(causal: bool, rotary: bool) -> None:
    attention, x = make(causal, rotary), inputs(7)
    mask = torch.tensor([[True] * 4 + [False] * 3, [False, False] + [True] * 5])
    y = attention(x, mask)
    torch.testing.assert_close(y[mask], naive(attention, x, mask)[mask])
    changed = x.detach().masked_fill(~mask.unsqueeze(-1), 9.0)
    torch.testing.assert_close(attention(changed, mask)[mask], y[mask])


@BOTH
def test_a_query_with_nothing_to_see_gives_finite_gradients(causal: bool) -> None:
    attention, x = make(causal), inputs(5)
    mask = torch.tensor([[False] * 5, [False, False, True, True, True]])
    attention(x, mask).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in attention.parameters())


def test_rotary_scores_depend_on_the_distance_only() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 8, dtype=torch.float64)
    turned_q, turned_k = rotate(q.expand(20, 8)), rotate(k.expand(20, 8))
    scores = turned_q @ turned_k.T
    for lag in (-3, 0, 5):
        diagonal = scores.diagonal(lag)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert not torch.allclose(scores[0, 0], scores[0, 5])


def test_without_rotary_and_mask_order_does_not_matter() -> None:
    x, order = inputs(9), torch.randperm(9)
    for rotary in (False, True):
        attention = make(False, rotary)
        same = torch.allclose(attention(x[:, order]), attention(x)[:, order])
        assert same != rotary


def test_a_causal_one_never_sees_the_future() -> None:
    attention, x = make(True, True), inputs(20)
    changed = x.detach().clone()
    changed[:, 11:] += 1
    torch.testing.assert_close(attention(changed)[:, :11], attention(x)[:, :11])
    assert not torch.allclose(attention(changed)[:, 11], attention(x)[:, 11])


@ROTARY
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
def test_it_compiles_without_a_graph_break(masked: bool, rotary: bool) -> None:
    torch.compiler.reset()
    attention, x = make(True, rotary), inputs(12)
    mask = torch.arange(12).expand(2, 12) < 9 if masked else None
    compiled = torch.compile(attention, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, mask), attention(x, mask))


def test_autocast_stays_near_full_precision() -> None:
    attention = make(True, True).float()
    x = inputs(40).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = attention(x)
    assert (low.float() - attention(x)).norm() < 2e-2 * attention(x).norm()


def test_weights_travel() -> None:
    buffer = io.BytesIO()
    torch.save(make(True).state_dict(), buffer)
    buffer.seek(0)
    torch.manual_seed(1)
    other = Attention(6, 8, causal=True, heads=2).double()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(other(inputs(5)), make(True)(inputs(5)))


def test_heads_that_do_not_divide_are_named() -> None:
    with pytest.raises(ValueError, match="heads cut 8 channels into equal parts; got 3"):
        Attention(6, 8, causal=True, heads=3)
    with pytest.raises(ValueError, match=r"even size.*got 8"):
        Attention(6, 8, causal=True, heads=8, rotary=True)
