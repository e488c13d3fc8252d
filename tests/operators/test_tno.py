from typing import Any

import pytest
import torch
from torch import nn

from tests.contract import OperatorContract
from tnnlab.operators import RPE, TNO


class TestTNO(OperatorContract):
    def build(self, channels: int, causal: bool) -> nn.Module:
        return TNO(channels, causal=causal)


class TestTNOLearnedDecay(OperatorContract):
    def build(self, channels: int, causal: bool) -> nn.Module:
        return TNO(channels, causal=causal, decay=0.9, learned_decay=True, rpe_depth=0)


class TestTNODecayPerChannel(OperatorContract):
    def build(self, channels: int, causal: bool) -> nn.Module:
        return TNO(channels, causal=causal, decay=torch.linspace(0.8, 1.0, channels))


class TestTNONormalizedLags(OperatorContract):
    extends = False  # lag / n: the kernel stretches with the length

    def build(self, channels: int, causal: bool) -> nn.Module:
        return TNO(
            channels, causal=causal, normalize_lags=True, rpe_norm="layer", rpe_activation="gelu"
        )


def test_the_kernel_follows_the_definition() -> None:
    torch.manual_seed(0)
    operator = TNO(3, causal=False, rpe_width=8, rpe_depth=2, decay=0.8).double()
    for column, lag in enumerate(range(-4, 5)):
        x = operator.rpe.pos_proj.weight[:, 0] * lag + operator.rpe.pos_proj.bias
        for _, _, linear in (*operator.rpe.layers, operator.rpe.out):
            x = x / (x.square().sum().sqrt() / 8**0.5 + 1e-8)
            x = linear.weight @ x.clamp(min=0) + linear.bias
        torch.testing.assert_close(operator.kernel(5)[:, column], x * 0.8 ** abs(lag))


def test_lag_zero_is_not_decayed() -> None:
    torch.manual_seed(0)
    weak, strong = TNO(2, causal=True, decay=1.0), TNO(2, causal=True, decay=0.5)
    strong.load_state_dict(weak.state_dict())
    factor = 0.5 ** torch.arange(6)
    torch.testing.assert_close(strong.kernel(6), weak.kernel(6) * factor)


def test_a_learned_decay_lies_between_its_bound_and_one() -> None:
    operator = TNO(3, causal=True, decay=0.9, learned_decay=True)
    assert operator.gamma is not None
    with torch.no_grad():
        operator.gamma.copy_(torch.tensor([-1e4, 0.0, 1e4]))
    ratio = operator.kernel(8) / operator.rpe(operator.lags(8)).T
    expected = torch.tensor([0.9, 0.95, 1.0])[:, None] ** torch.arange(8)
    torch.testing.assert_close(ratio, expected)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "sine"])
@pytest.mark.parametrize("norm", ["rms", "layer", "none"])
def test_the_rpe_maps_positions_to_channels(activation: str, norm: str) -> None:
    rpe = RPE(5, width=8, depth=3, activation=activation, norm=norm)
    assert rpe(torch.arange(-3, 4)).shape == (7, 5)


def test_sines_oscillate_where_rectifiers_have_come_to_rest() -> None:
    torch.manual_seed(0)
    far = torch.arange(20, 60)

    def turns(**options: Any) -> int:
        steps = RPE(8, width=32, depth=1, **options)(far).diff(dim=0).sign()
        return int((steps[1:] != steps[:-1]).sum())

    assert turns(activation="relu", norm="rms") < 8
    assert turns(activation="sine", norm="none") > 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay": 0.0}, r"decay λ lies in \(0, 1\].*got 0.0"),
        ({"decay": torch.ones(3)}, "one for each channel; got tensor"),
        ({"decay": 1.5}, "got 1.5"),
        ({"rpe_activation": "tanh"}, "'relu', 'gelu', 'silu', 'sine'; got 'tanh'"),
        ({"rpe_norm": "batch"}, "'rms', 'layer', 'none'; got 'batch'"),
        ({"channels": 0}, "at least one channel, got 0"),
    ],
)
def test_bad_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TNO(**{"channels": 4, "causal": True, **options})
