import io
import math

import pytest
import torch
from torch import Tensor

from tests.contract import BOTH, assert_same
from tnnlab.attention import POSITIONS, Attention, LearnedPositions, distance_bias, rotate

EACH = pytest.mark.parametrize("positions", POSITIONS)


def make(causal: bool, positions: str = "rotary") -> Attention:
    torch.manual_seed(0)
    return Attention(6, 8, causal=causal, heads=2, positions=positions).double()


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
            # The slopes of two heads are 2^-4 and 2^-8.
            for head, slope in ((slice(0, 4), 0.0625), (slice(4, 8), 0.00390625)):
                query, keys = q[b, i, head], [k[b, j, head] for j in seen]
                bias = [-slope * abs(i - j) * (attention.positions == "alibi") for j in seen]
                if attention.positions == "rotary":
                    query = turned(query, i)
                    keys = [turned(key, j) for key, j in zip(keys, seen, strict=True)]
                if seen:
                    scores = [query @ key / 2 + b for key, b in zip(keys, bias, strict=True)]
                    weights = torch.stack(scores).softmax(0)
                    out[b, i, head] = weights @ v[b, seen, head]
    return out @ attention.o.weight.T + attention.o.bias


@EACH
@BOTH
@pytest.mark.parametrize("n", [1, 2, 9])
def test_values_and_gradients_follow_the_definition(n: int, causal: bool, positions: str) -> None:
    attention, x = make(causal, positions), inputs(n)
    y, expected = attention(x), naive(attention, x, torch.ones(2, n, dtype=torch.bool))
    assert_same(y, expected, [x, *attention.parameters()])


@EACH
@BOTH
def test_no_query_sees_padding(causal: bool, positions: str) -> None:
    attention, x = make(causal, positions), inputs(7)
    mask = torch.tensor([[True] * 4 + [False] * 3, [False, False] + [True] * 5])
    y = attention(x, mask)
    torch.testing.assert_close(y[mask], naive(attention, x, mask)[mask])
    changed = x.detach().masked_fill(~mask.unsqueeze(-1), 9.0)
    torch.testing.assert_close(attention(changed, mask)[mask], y[mask])


@EACH
@BOTH
def test_a_query_with_nothing_to_see_gives_finite_gradients(causal: bool, positions: str) -> None:
    attention, x = make(causal, positions), inputs(5)
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


@EACH
def test_whether_the_order_matters(positions: str) -> None:
    x, order, attention = inputs(9), torch.randperm(9), make(False, positions)
    same = torch.allclose(attention(x[:, order]), attention(x)[:, order])
    assert same == (positions == "none")


@pytest.mark.parametrize("heads", [1, 3, 8])
def test_slopes_are_the_geometric_sequence(heads: int) -> None:
    distance = torch.tensor([[0, 1, -2]])
    bias = distance_bias(distance, heads, torch.float64)
    assert bias.shape == (heads, 1, 3)
    for head in range(heads):
        slope = 2 ** (-8 * (head + 1) / heads)
        expected = torch.tensor([[0, -slope, -2 * slope]], dtype=torch.float64)
        torch.testing.assert_close(bias[head], expected)


def test_a_bias_that_was_kept_serves_every_dtype_length_and_mode() -> None:
    attention = make(True, "alibi")
    with torch.inference_mode():
        attention(inputs(11).detach())
    for n, dtype in [(11, torch.float64), (7, torch.float64), (11, torch.float32)]:
        x = inputs(n).to(dtype)
        y = attention.to(dtype)(x)
        expected = make(True, "alibi")(inputs(n))
        torch.testing.assert_close(y, expected.to(dtype), atol=1e-6, rtol=1e-5)
        y.sum().backward()


@EACH
def test_a_causal_one_never_sees_the_future(positions: str) -> None:
    attention, x = make(True, positions), inputs(20)
    changed = x.detach().clone()
    changed[:, 11:] += 1
    torch.testing.assert_close(attention(changed)[:, :11], attention(x)[:, :11])
    assert not torch.allclose(attention(changed)[:, 11], attention(x)[:, 11])


@EACH
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
def test_it_compiles_without_a_graph_break(masked: bool, positions: str) -> None:
    torch.compiler.reset()
    attention, x = make(True, positions), inputs(12)
    mask = torch.arange(12).expand(2, 12) < 9 if masked else None
    compiled = torch.compile(attention, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, mask), attention(x, mask))


@EACH
def test_autocast_stays_near_full_precision(positions: str) -> None:
    attention = make(True, positions).float()
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
        Attention(6, 8, causal=True, heads=3, positions="none")
    with pytest.raises(ValueError, match=r"even size.*got 8"):
        Attention(6, 8, causal=True, heads=8)
    Attention(6, 8, causal=True, heads=8, positions="none")


def test_unknown_positions_are_named() -> None:
    with pytest.raises(ValueError, match="one of 'rotary', 'alibi', 'none'; got 'sine'"):
        Attention(6, 8, causal=True, positions="sine")


def learned() -> LearnedPositions:
    torch.manual_seed(0)
    return LearnedPositions(12, 6).double()


@pytest.mark.parametrize("n", [1, 5, 12])
def test_learned_positions_are_added_one_by_one(n: int) -> None:
    positions, x = learned(), inputs(n)
    rows = [x[:, i] + math.sqrt(6) * positions.weight[i] for i in range(n)]
    assert_same(positions(x), torch.stack(rows, dim=1), [x, positions.weight])


def test_learned_positions_count_what_is_real() -> None:
    positions, x = learned(), inputs(7)
    mask = torch.tensor([[True] * 4 + [False] * 3, [False, False] + [True] * 5])
    y = positions(x, mask)
    torch.testing.assert_close(y[0, :4], positions(x[:, :4])[0])
    torch.testing.assert_close(y[1, 2:], positions(x[:, 2:])[1])


def test_learned_positions_begin_at_half_the_size_of_an_embedding() -> None:
    torch.manual_seed(0)
    added = LearnedPositions(400, 64)(torch.zeros(1, 400, 64))
    assert added.std().item() == pytest.approx(0.5, rel=0.02)


def test_positions_that_were_not_learned_are_refused() -> None:
    with pytest.raises(ValueError, match="learned 12 positions, and 13 are needed: give it"):
        learned()(inputs(13))
    with pytest.raises(ValueError, match="at least 1; got 0"):
        LearnedPositions(0, 6)
