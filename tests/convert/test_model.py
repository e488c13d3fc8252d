"""A whole model whose long convolutions are state spaces."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.generation.lms import lm, random_tokens
from tests.models.shapes import small
from tnnlab import CausalLM, TNNConfig
from tnnlab.convert import ETSC, DiagonalSSM, StateSpace, etsc
from tnnlab.convert.model import (
    ConvertedLM,
    _empty,
    _shape,
    convert_model,
    load_language_model,
)
from tnnlab.convert.one import DIAGONAL_ERROR, convert_operator
from tnnlab.operators import TNO

KINDS = pytest.mark.parametrize(
    ("operator", "mixer"),
    [("tno", "gtu"), ("fd", "s4"), ("rtf", "hyena"), ("s4d", "gtu"), ("hyena", "hyena")],
)
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("etsc", {}),
    ("reduced", {"order": 5}),
    ("reduced", {"tolerance": 0.1}),
]
EACH_METHOD = pytest.mark.parametrize(("method", "options"), METHODS, ids=str)


def systems(model: CausalLM) -> list[Any]:
    return [block.gtu.operator for block in model.blocks]  # type: ignore[union-attr]


@KINDS
def test_etsc_is_the_same_model_up_to_its_length(operator: str, mixer: str) -> None:
    model, tokens = lm(operator, mixer), random_tokens(2, 40)
    converted = convert_model(model, "etsc", length=40)
    with torch.no_grad():
        torch.testing.assert_close(converted(tokens), model(tokens))
        loss = converted(tokens[:, :-1], tokens[:, 1:])
        assert not torch.allclose(
            convert_model(model, "etsc", length=20)(tokens)[:, 30:], model(tokens)[:, 30:]
        )
    assert loss.ndim == 0 and not converted.training
    assert all(isinstance(system, ETSC) for system in systems(converted))


@KINDS
def test_the_kernels_of_a_reduced_model_keep_their_certificate(operator: str, mixer: str) -> None:
    model = lm(operator, mixer)
    converted = convert_model(model, "reduced", length=40, tolerance=0.1)
    for before, after, row in zip(
        systems(model), systems(converted), converted.report, strict=True
    ):
        taps = before.kernel(40).detach()
        long = torch.cat([taps, torch.zeros(len(taps), 4056)], dim=1)
        error = torch.fft.rfft(after.kernel(4096) - long).abs().amax(1)
        peak = torch.fft.rfft(long).abs().amax(1)
        slack = 1e-5 * peak
        assert (error <= 0.1 * peak + slack).all()
        assert error.max() <= row["bound"]["max"] + slack.max()
        assert float(error.max()) == pytest.approx(row["peak_error"]["max"], rel=0.1, abs=1e-6)
        l2 = (after.kernel(4096) - long).norm(dim=1)
        assert float(l2.max()) == pytest.approx(row["l2_error"]["max"], rel=1e-3, abs=1e-6)
        assert 1 <= row["orders"]["mean"] <= row["orders"]["max"] <= 39


@EACH_METHOD
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_original_is_not_touched_and_nothing_is_shared(
    method: str, options: dict[str, Any], dtype: torch.dtype
) -> None:
    model = lm("tno", "hyena", dtype)
    before = copy.deepcopy(model.state_dict())
    converted = convert_model(model, method, length=16, **options)
    assert {value.dtype for value in converted.state_dict().values()} == {dtype}
    assert not any("rpe" in name for name in converted.state_dict())
    with torch.no_grad():
        for value in converted.state_dict().values():
            value.zero_()
    for name, value in model.state_dict().items():
        assert value.equal(before[name])
    assert all(isinstance(operator, TNO) for operator in systems(model))


@EACH_METHOD
@KINDS
def test_saved_and_loaded(
    operator: str, mixer: str, method: str, options: dict[str, Any], tmp_path: Path
) -> None:
    model, tokens = lm(operator, mixer, torch.float32), random_tokens(2, 30)
    converted = convert_model(model, method, length=16, **options)
    converted.save_pretrained(tmp_path)
    loaded = load_language_model(tmp_path)
    assert isinstance(loaded, ConvertedLM) and loaded.config == converted.config
    assert loaded.config.systems == converted.config.systems
    assert loaded.report == converted.report
    assert [type(s) for s in systems(loaded)] == [type(s) for s in systems(converted)]
    with torch.no_grad():
        assert loaded(tokens).equal(converted(tokens))
    saved = json.loads((tmp_path / "config.json").read_text())
    assert (saved["architecture"], saved["method"], saved["length"]) == ("ConvertedLM", method, 16)
    assert [row["layer"] for row in json.loads((tmp_path / "conversion.json").read_text())] == [
        0,
        1,
    ]
    with pytest.raises(ValueError, match="holds a ConvertedLM, not a CausalLM"):
        CausalLM.from_pretrained(tmp_path)


def test_a_model_that_was_not_converted_is_loaded_too(tmp_path: Path) -> None:
    lm("tno", "gtu", torch.float32).save_pretrained(tmp_path)
    assert type(load_language_model(tmp_path)) is CausalLM
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        load_language_model(tmp_path / "absent")


def test_each_layer_is_reported_as_it_comes() -> None:
    rows: list[dict[str, Any]] = []
    converted = convert_model(lm("tno"), "etsc", length=16, report=rows.append)
    assert rows == converted.report and [row["layer"] for row in rows] == [0, 1]
    assert rows[0]["operator"] == "TNO" and rows[0]["states"] == 18
    assert rows[0]["tap_error"] < 1e-12


class Taps(TNO):
    """A TNO with these taps."""

    def __init__(self, taps: Tensor) -> None:
        super().__init__(len(taps), causal=True)
        self.taps = taps

    def kernel(self, n: int) -> Tensor:
        return self.taps[:, :n]


def test_the_tap_error_of_etsc_is_that_of_its_steps() -> None:
    torch.manual_seed(0)
    taps = torch.randn(2, 400) * 0.99 ** torch.arange(400)
    system, row = convert_operator(Taps(taps), "etsc", length=400)
    impulse = torch.eye(400)[:1, :, None].expand(1, 400, 2)
    by_steps, by_fft = (
        float((found - taps).abs().max() / taps.abs().max())
        for found in (system.scan(impulse)[0].T, system.kernel(400))
    )
    assert by_steps / 3 < row["tap_error"] < 3 * by_steps
    assert by_fft < row["tap_error"] / 3


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("n", [1, 2, 15, 16])
def test_the_shape_of_a_system_is_enough_to_load_it(n: int, published: bool) -> None:
    torch.manual_seed(0)
    system = etsc(torch.randn(3, n), decay=0.9, published=published).float()
    loaded = _empty(**_shape(system)).float()
    loaded.load_state_dict(system.state_dict())
    x = torch.randn(2, 40, 3)
    assert isinstance(loaded, ETSC) and loaded.kernel(40).equal(system.kernel(40))
    assert loaded.state(x).equal(system.state(x)) and loaded.scan(x).equal(system.scan(x))


def test_the_form_of_a_reduced_system_is_the_one_that_holds() -> None:
    lag = torch.arange(24)
    distinct = torch.stack([0.9**lag + 0.5**lag, (-0.7) ** lag + 0.8**lag])
    system, row = convert_operator(Taps(distinct), "reduced", length=24, order=6)
    assert isinstance(system, DiagonalSSM) and row["form"] == "diagonal"
    # A delay: all its poles are zero, and no basis of eigenvectors.
    delay = (lag == 9).float().expand(2, 24)
    system, row = convert_operator(Taps(delay), "reduced", length=24, order=9)
    assert isinstance(system, StateSpace) and row["form"] == "full"
    torch.testing.assert_close(system.kernel(24), delay, atol=1e-5, rtol=0)
    # Poles close together: residues of 10⁶ that cancel, which float64 can hold, float32 cannot.
    lags = torch.arange(100, dtype=torch.float64)
    near = (1e6 * (0.7**lags - 2 * 0.701**lags + 0.702**lags)).expand(2, 100)
    for dtype, form in ((torch.float64, "diagonal"), (torch.float32, "full")):
        system, row = convert_operator(Taps(near.to(dtype)), "reduced", length=100, order=3)
        assert row["form"] == form
        error = (system.kernel(100) - near).abs().max()
        assert error <= 2 * DIAGONAL_ERROR * near.abs().max()


@pytest.mark.parametrize(
    ("operator", "method", "options", "message"),
    [
        ("tno", "esc", {}, "no conversion 'esc': did you mean etsc"),
        ("tno", "etsc", {"order": 3}, "etsc is exact"),
        ("tno", "reduced", {}, "give order or tolerance"),
        ("attention", "etsc", {}, "Attention has no kernel"),
        ("ski", "etsc", {}, "SKITNO has no kernel"),
    ],
)
def test_what_cannot_be_converted(
    operator: str, method: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        convert_model(CausalLM(TNNConfig(**small(operator))), method, length=16, **options)


def test_a_converted_model_is_not_converted_again() -> None:
    converted = convert_model(lm("tno"), "etsc", length=16)
    with pytest.raises(ValueError, match="was converted by 'etsc': convert the original"):
        convert_model(converted, "reduced", length=16, order=3)
