import math

import pytest
import torch
import torch.nn.functional as F

from tests.contract import Watched
from tnnlab.layers import GLU, GTU, TNNBlock
from tnnlab.norms import LayerNorm, RMSNorm
from tnnlab.operators import TNO


def test_rms_norm_follows_its_formula() -> None:
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    expected = x / (x.norm(dim=-1, keepdim=True) / 8**0.5 + 1e-8)
    torch.testing.assert_close(RMSNorm(8)(x), expected)
    assert torch.equal(RMSNorm(8)(torch.zeros(2, 8)), torch.zeros(2, 8))


def test_rms_norm_of_large_half_precision_numbers_does_not_overflow() -> None:
    x = torch.full((1, 64), 3e4, dtype=torch.float16)
    torch.testing.assert_close(RMSNorm(64)(x), torch.ones_like(x))


def test_layer_norm_is_pytorchs_in_float32() -> None:
    x = 100 + torch.randn(4, 32)
    norm = LayerNorm(32)
    torch.testing.assert_close(norm(x), torch.nn.LayerNorm(32)(x))
    half = norm.bfloat16()(x)  # float32 input, bfloat16 weights
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, torch.nn.LayerNorm(32)(x))


def test_the_gtu_follows_its_formula() -> None:
    torch.manual_seed(0)
    gtu = GTU(6, TNO(12, causal=True)).double()
    x = torch.randn(2, 9, 6, dtype=torch.float64)
    u = F.silu(x @ gtu.u_proj.weight.T + gtu.u_proj.bias)
    v = F.silu(x @ gtu.v_proj.weight.T + gtu.v_proj.bias)
    kernel = gtu.operator.kernel(9)
    mixed = torch.stack(
        [sum(kernel[:, i - j] * v[:, j] for j in range(i + 1)) for i in range(9)], dim=1
    )
    expected = (u * mixed) @ gtu.o.weight.T + gtu.o.bias
    torch.testing.assert_close(gtu(x), expected)


@pytest.mark.parametrize("shape", [(3, 7), (2, 5, 4)], ids=str)
def test_a_gtu_works_on_rows_and_copies_nothing(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A compiler lays out what it makes by its shape: (channels, positions), as operators read it.
    mixed: list[torch.Tensor] = []
    active: list[tuple[int, ...]] = []
    silu = F.silu
    monkeypatch.setattr(F, "silu", lambda x: active.append(tuple(x.shape)) or silu(x))

    operator, positions = Watched(12), math.prod(shape)
    gtu, x = GTU(6, operator), torch.randn(*shape, 6)
    gtu.o.register_forward_pre_hook(lambda _, given: mixed.append(given[0]))
    assert gtu(x).shape == x.shape and operator.seen.shape == (*shape, 12)
    assert operator.reads_along()
    assert mixed[0].shape == (positions, 12) and mixed[0].stride() == (1, positions)
    assert active == [(12, positions)] * 2


def test_a_mask_of_a_gtu_may_be_one_for_all_sequences() -> None:
    gtu, x = GTU(6, TNO(12, causal=False)), torch.randn(3, 7, 6)
    mask = torch.arange(7) < 5
    torch.testing.assert_close(gtu(x, mask), gtu(x, mask.expand(3, 7)))


def test_the_gtu_starts_as_published() -> None:
    torch.manual_seed(0)
    gtu = GTU(256, TNO(768, causal=True))
    for linear in (gtu.u_proj, gtu.v_proj, gtu.o):
        for tensor in (linear.weight, linear.bias):
            assert tensor.std().item() == pytest.approx(0.02, rel=0.1)


def test_the_glu_follows_its_formula() -> None:
    torch.manual_seed(0)
    glu = GLU(6, 10).double()
    x = torch.randn(2, 9, 6, dtype=torch.float64)
    gate = x @ glu.l1.weight.T + glu.l1.bias
    value = x @ glu.l2.weight.T + glu.l2.bias
    expected = (gate * torch.sigmoid(gate) * value) @ glu.l3.weight.T + glu.l3.bias
    torch.testing.assert_close(glu(x), expected)


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("norm", ["rms", "layer"])
def test_the_block_adds_both_mixers(norm: str, pre_norm: bool) -> None:
    torch.manual_seed(0)
    gtu, glu = GTU(6, TNO(6, causal=False)), GLU(6, 6)
    block = TNNBlock(gtu, glu, width=6, norm=norm, pre_norm=pre_norm)
    x = torch.randn(2, 7, 6)
    if pre_norm:
        middle = x + gtu(block.gtu_norm(x))
        expected = middle + glu(block.glu_norm(middle))
    else:
        middle = block.gtu_norm(x + gtu(x))
        expected = block.glu_norm(middle + glu(middle))
    torch.testing.assert_close(block(x), expected)


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    block = TNNBlock(GTU(6, TNO(6, causal=True)), GLU(6, 6), width=6, dropout=0.5)
    x = torch.randn(2, 7, 6)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(ValueError, match="'rms', 'layer', 'none', 'batch'; got 'group'"):
        TNNBlock(GTU(6, TNO(6, causal=True)), GLU(6, 6), width=6, norm="group")
