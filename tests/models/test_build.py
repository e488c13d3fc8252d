import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.models.shapes import EACH, EACH_OPERATOR, EXTENDS, FEW, OPERATORS, small
from tnnlab.attention import Attention
from tnnlab.mixers import Hyena, S4Layer
from tnnlab.models import (
    CausalLM,
    ClassifierConfig,
    ImageClassifier,
    ImageConfig,
    MaskedLM,
    SequenceClassifier,
    TNNConfig,
)
from tnnlab.models.build import MIXERS, operator_options
from tnnlab.operators import FDTNO, RTF, S4D, SKITNO, TNO, HyenaFilter


def tokens(n: int, batch: int = 2) -> Tensor:
    return torch.randint(20, (batch, n), generator=torch.Generator().manual_seed(n))


def causal_lm(operator: str, mixer: str = "gtu", **options: Any) -> CausalLM:
    torch.manual_seed(0)
    return CausalLM(TNNConfig(**{**small(operator, mixer), **options})).eval()


@pytest.mark.parametrize(
    ("operator", "built"),
    [
        ("tno", TNO),
        ("fd", FDTNO),
        ("ski", SKITNO),
        ("rtf", RTF),
        ("s4d", S4D),
        ("hyena", HyenaFilter),
    ],
)
@pytest.mark.parametrize("mixer", MIXERS)
def test_names_become_modules(operator: str, built: type, mixer: str) -> None:
    model = causal_lm(operator, mixer)
    layers = {"s4": S4Layer, "hyena": Hyena}
    for block in model.blocks:
        assert type(block.gtu.operator) is built and block.gtu.operator.causal
        assert isinstance(block.gtu, layers.get(mixer, nn.Module))
    assert not MaskedLM(model.config).blocks[0].gtu.operator.causal


def test_attention_takes_the_place_of_the_gtu() -> None:
    attention = causal_lm("attention").blocks[0].gtu
    assert isinstance(attention, Attention)
    assert (attention.heads, attention.positions, attention.causal) == (2, "rotary", True)
    options = {"heads": 4, "positions": "alibi"}
    attention = causal_lm("attention", operator_options=options).blocks[0].gtu
    assert (attention.heads, attention.positions) == (4, "alibi")


def test_learned_positions_stand_beside_the_embedding() -> None:
    options: dict[str, Any] = {"operator_options": {"positions": "none"}, "learned_positions": 9}
    model = causal_lm("attention", **options)
    names = {name for name, _ in model.named_parameters()}
    plain = causal_lm("attention", operator_options=options["operator_options"])
    assert names - {name for name, _ in plain.named_parameters()} == {"positions.weight"}
    plain.load_state_dict(model.state_dict(), strict=False)
    x = tokens(9)
    with pytest.raises(ValueError, match="learned 9 positions, and 10 are needed"):
        model(tokens(10))
    assert not torch.allclose(model(x), plain(x))
    with torch.no_grad():
        model.positions.weight.zero_()
    torch.testing.assert_close(model(x), plain(x))
    shape = {**small("attention"), "vocab_size": 1, "axes": 1, **options}
    image = ImageConfig(**shape)
    assert ImageClassifier(image)(torch.rand(2, 3, 3)).shape == (2, 2)


def test_fields_reach_the_operators_that_have_them() -> None:
    fields = {"rpe_depth": 2, "rpe_activation": "silu", "decay": 0.8, "normalize_lags": True}
    tno = causal_lm("tno", **fields).blocks[0].gtu.operator
    assert (tno.decay, tno.normalize_lags, len(tno.rpe.layers)) == (0.8, True, 2)
    fd = causal_lm("fd", **fields).blocks[0].gtu.operator
    assert len(fd.rpe.layers) == 2 and isinstance(fd.rpe.out[1], nn.SiLU)
    assert causal_lm("ski", **fields).blocks[0].gtu.operator.low_rank.decay == 0.8


def test_options_reach_the_operator() -> None:
    options = {"order": 6, "denominators": 2, "stable": True}
    rtf = causal_lm("rtf", operator_options=options).blocks[0].gtu.operator
    assert (rtf.order, len(rtf.a), rtf.stable) == (6, 2, True)
    points = causal_lm("fd", operator_options={"points": 5}).blocks[0].gtu.operator.rpe
    assert points.values.shape == (5, 8)
    hyena = causal_lm("hyena", operator_options={"width": 4, "depth": 3}).blocks[0].gtu.operator
    assert len(hyena.layers) == 3 and hyena.layers[2].weight.shape == (4, 4)


@EACH
def test_it_learns(operator: str, mixer: str) -> None:
    model = causal_lm(operator, mixer).train()
    optimizer = torch.optim.AdamW(model.parameter_groups(0.0), lr=1e-2)
    x = tokens(16, batch=1)
    losses = []
    for _ in range(30):
        logits = model(x[:, :-1]).flatten(0, 1)
        loss = nn.functional.cross_entropy(logits, x[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@EACH
def test_every_parameter_has_a_gradient(operator: str, mixer: str) -> None:
    for model in (causal_lm(operator, mixer), MaskedLM(TNNConfig(**small(operator, mixer)))):
        model(tokens(16)).square().sum().backward()
        missing = [name for name, p in model.named_parameters() if p.grad is None]
        assert missing == []


@EACH
def test_a_causal_model_never_sees_the_future(operator: str, mixer: str) -> None:
    model = causal_lm(operator, mixer).double()
    before = tokens(40)
    after = before.clone()
    after[:, 23:] = (after[:, 23:] + 1) % 20
    first, second = model(before), model(after)
    torch.testing.assert_close(first[:, :23], second[:, :23])
    assert not torch.allclose(first[:, 23], second[:, 23])


@EACH_OPERATOR
@pytest.mark.parametrize("mixer", ["gtu", "hyena"])
def test_whether_a_longer_text_changes_what_was_said(operator: str, mixer: str) -> None:
    if operator == "attention" and mixer == "hyena":
        with pytest.raises(ValueError, match="mixer is 'gtu' with operator 'attention'"):
            causal_lm(operator, mixer)
        return
    model, long = causal_lm(operator, mixer).double(), tokens(60)
    same = torch.allclose(model(long)[:, :20], model(long[:, :20]))
    assert same == (operator in EXTENDS)


@FEW
@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
def test_it_compiles_without_a_graph_break(operator: str, mixer: str) -> None:
    torch.compiler.reset()
    model = causal_lm(operator, mixer, depth=1)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(tokens(50)), model(tokens(50)), atol=1e-4, rtol=1e-4)


@EACH
@settings(max_examples=10, deadline=None)
@given(batch=st.integers(0, 3), n=st.integers(1, 40))
def test_texts_of_a_batch_do_not_meet(operator: str, mixer: str, batch: int, n: int) -> None:
    model, x = causal_lm(operator, mixer, depth=1).double(), tokens(n, batch)
    y = model(x)
    assert y.shape == (batch, n, 20)
    for row in range(batch):
        torch.testing.assert_close(y[row], model(x[row : row + 1])[0])


@EACH
def test_autocast_stays_near_full_precision(operator: str, mixer: str) -> None:
    model = causal_lm(operator, mixer)
    expected = model(tokens(40))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = model(tokens(40))
    assert (low.float() - expected).norm() < 3e-2 * expected.norm()


@pytest.mark.gpu
@EACH
def test_it_moves_between_devices(operator: str, mixer: str) -> None:
    model = MaskedLM(TNNConfig(**small(operator, mixer))).double().eval()
    mask = torch.arange(40).expand(2, 40) < 30
    expected = model(tokens(40), mask)
    moved = model.cuda()(tokens(40).cuda(), mask.cuda()).cpu()
    torch.testing.assert_close(moved[mask], expected[mask])


@EACH
def test_saving_and_loading_give_the_same_model(operator: str, mixer: str, tmp_path: Path) -> None:
    model = causal_lm(operator, mixer)
    model.save_pretrained(tmp_path)
    loaded = CausalLM.from_pretrained(tmp_path)
    assert loaded.config == model.config
    assert torch.equal(loaded(tokens(20)), model(tokens(20)))


def test_a_configuration_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    for operator in OPERATORS:
        TNNConfig(**small(operator))
    assert torch.equal(torch.rand(1), expected)


def test_a_configuration_can_be_a_key() -> None:
    one, other = TNNConfig(**small("rtf")), TNNConfig(**small("rtf"))
    assert one == other and hash(one) == hash(other)


def test_no_channel_mixer() -> None:
    block = causal_lm("rtf", "s4", glu_width=0).blocks[0]
    x = torch.randn(2, 9, 8)
    torch.testing.assert_close(block(x), x + block.gtu(block.gtu_norm(x)))
    after = causal_lm("rtf", "s4", glu_width=0, pre_norm=False).blocks[0]
    torch.testing.assert_close(after(x), after.gtu_norm(x + after.gtu(x)))


def test_the_published_s4_block_has_its_size() -> None:
    """RTF's text classifier: 6 layers of kernel, d → 2d and batch norm; shared denominators."""
    d, s, n = 256, 4, 4096
    config = ClassifierConfig(
        vocab_size=135, depth=6, width=d, expansion=1, glu_width=0, operator="rtf", mixer="s4",
        norm="batch", operator_options={"order": s, "length": n, "denominators": 1},
    )  # fmt: skip
    kernels = 2 * (s + d * s + d)  # both directions: a, b, h_0
    layer = kernels + (2 * d * d + 2 * d) + 2 * d
    expected = 135 * d + 6 * layer + 2 * d + (2 * d + 2)
    with torch.device("meta"):
        assert SequenceClassifier(config).num_parameters() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operator": "rtf", "operator_options": {"ordr": 8}}, "'rtf' has no option 'ordr': did y"),
        ({"operator": "hyena", "operator_options": {"bnds": 8}}, "did you mean bands"),
        ({"operator_options": {"order": 8}}, "'tno' has no option 'order': choose from none"),
        ({"operator": "s4d", "operator_options": {"heads": 8}}, "choose from init, order, step_ra"),
        ({"operator_options": {"causal": True}}, "'tno' has no option 'causal'"),
        ({"operator_options": {"channels": 3}}, "'tno' has no option 'channels'"),
        ({"operator_options": {"decay": 0.5}}, "decay is a field beside operator"),
        ({"operator": "rtf", "operator_options": {"order": 0}}, "operator 'rtf': order and length"),
        ({"operator": "rtf", "operator_options": {"order": "8"}}, "value of the wrong type"),
        ({"operator": "rtf", "operator_options": {"denominators": 7}}, "7 denominators do not div"),
        ({"operator": "ski", "decay": 1.0}, r"operator 'ski': .*0 < decay < 1; got 64, 1\.0"),
        ({"operator": "attention", "operator_options": {"heads": 7}}, "got 7"),
        (
            {"operator": "attention", "operator_options": {"positions": "sine"}},
            "'alibi', 'none'; got",
        ),
        ({"operator": "attention", "learned_positions": 9}, "'positions': 'none'.*got 9 with"),
        ({"learned_positions": 9}, "learned_positions is for operator 'attention'.*'tno'"),
        ({"learned_positions": -1}, "learned_positions is at least 0; got -1"),
        ({"operator": "attention", "mixer": "s4"}, "mixer is 'gtu' with operator 'attention'"),
        ({"operator": "s4d", "mixer": "s4"}, "expansion is 1 with mixer 's4'.*got 3"),
        ({"mixer": "glu"}, "mixer is one of 'gtu', 's4', 'hyena', 'linear'; got"),
        ({"glu_width": -1}, "glu_width is at least 0; got -1"),
    ],
)
def test_what_does_not_fit_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TNNConfig(**options)


def test_options_are_those_that_have_no_field() -> None:
    assert operator_options("tno") == []
    assert operator_options("attention") == ["heads", "positions"]
    assert "decay" not in operator_options("ski") and "inducing" in operator_options("ski")


def test_batch_statistics_would_show_a_causal_model_the_future() -> None:
    with pytest.raises(ValueError, match="training would see the future; got 'batch'"):
        CausalLM(TNNConfig(**small("tno"), norm="batch"))
    config = dataclasses.replace(TNNConfig(**small("tno")), norm="batch")
    assert MaskedLM(config)(tokens(9)).shape == (2, 9, 20)
