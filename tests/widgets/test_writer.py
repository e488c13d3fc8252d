"""The packed network is the converted one, rounded; what cannot be carried is refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

pytest.importorskip("anywidget", reason="anywidget is not installed")
from tests.widgets.writers import SYSTEMS, small, small_converted, small_packed
from tnnlab.convert.model import ConvertedLM, convert_model
from tnnlab.data import load_tokenizer
from tnnlab.generation import make_decoder
from tnnlab.widgets import Writer, export, packed
from tnnlab.widgets.writer import STORED, picture, write

BYTES = load_tokenizer("bytes")


@pytest.mark.parametrize("system", SYSTEMS)
def test_weights_move_by_half_a_step_and_the_rest_not_at_all(system: str) -> None:
    before = small_converted(system)
    after = packed.unpack(small_packed(system)).state_dict()
    rounded = 0
    for name, exact in before.state_dict().items():
        if name.endswith(".operator.decay"):
            assert name not in after
        elif exact.ndim == 2 and ".operator." not in name:
            step = exact.abs().amax(1, keepdim=True) / 127
            assert ((after[name] - exact).abs() <= 0.5001 * step).all()
            rounded += exact.numel()
        else:
            torch.testing.assert_close(after[name], exact, rtol=0, atol=0)
    assert rounded > 0.5 * sum(p.numel() for p in before.parameters())


@pytest.mark.parametrize("system", SYSTEMS)
def test_unpacked_it_runs_in_parallel_and_by_states(system: str) -> None:
    model = packed.unpack(small_packed(system)).double()
    taps = small_converted(system).blocks[0].gtu.operator.kernel(24)
    torch.testing.assert_close(model.blocks[0].gtu.operator.kernel(24).float(), taps)
    tokens = torch.randint(256, (1, 30), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(tokens)[0, -1]
    torch.testing.assert_close(make_decoder(model, length=1)(tokens)[0], expected)


def test_it_is_bytes_and_what_the_page_adds_is_counted() -> None:
    data = small_packed("reduced")
    writer = Writer(data, prompt="x", most=5)
    assert base64.b64decode(writer.weights) == data
    names = ["title", "prompt", "temperature", "most", "sample", "weights"]
    json.dumps(writer.get_state(names), allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"norm": "layer"}, "norm 'rms'; got 'layer'"),
        ({"mixer": "s4", "expansion": 1}, "mixer 'gtu'; got 's4'"),
        ({"pre_norm": False}, "pre_norm True; got False"),
        ({"glu_width": 0}, "glu_width 0"),
        ({"vocab_size": 300}, "a model of 300 tokens"),
    ],
)
def test_models_that_the_front_end_does_not_know(changes: dict, says: str) -> None:
    model = convert_model(small(**changes), "reduced", length=8, order=2)
    with pytest.raises(ValueError, match=says):
        packed.pack(model, BYTES)


def test_other_things_that_cannot_be_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="a CausalLM has no states to carry: convert it first"):
        packed.pack(small(), BYTES)
    other = type("Words", (), {"name": "gpt2", "vocab_size": 257})()
    with pytest.raises(ValueError, match="the tokenizer 'gpt2'"):
        packed.pack(small_converted("reduced"), other)
    full = ConvertedLM(small_converted("reduced").config)
    full.config.systems[1]["form"], before = "full", full.config.systems[1]["form"]
    with pytest.raises(ValueError, match="layer 1 is a state space with full matrices"):
        packed.pack(full, BYTES)
    full.config.systems[1]["form"] = before
    monkeypatch.setattr(packed, "LARGEST", 1000)
    with pytest.raises(ValueError, match=r"takes [\d,]+ bytes, and a page carries at most 1,000"):
        packed.pack(small_converted("reduced"), BYTES)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a packed model"),
        (b"nothing of the kind", "not a packed model"),
        (small_packed("reduced").replace(b"tnnlab writer 1", b"tnnlab writer 9"), "writer 9"),
    ],
)
def test_bytes_that_are_no_packed_model(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        packed.unpack(data)


def test_the_stored_network_fits_and_its_record_is_of_this_file() -> None:
    record = json.loads(STORED.with_suffix(".json").read_text(encoding="utf-8"))
    data = STORED.read_bytes()
    assert record["bytes"]["file"] == len(data) <= packed.LARGEST
    assert record["bytes"]["page"] < 1_500_000
    losses = record["loss_per_token"]
    assert losses["packed"] < 1.02 * losses["trained"] < 2.0
    writer = Writer.load(most=20)
    assert f"{losses['packed']:.3f}" in writer.note
    assert len(writer.sample.encode()) <= 20
    assert packed.pack(writer.model, BYTES)  # what is carried can be carried again


def test_the_picture_for_print_holds_the_whole_text() -> None:
    text = 'if a < "b":\n' + "    x & y\n" + "z" * 100
    texts = [e.text or "" for e in ElementTree.fromstring(picture(text)).iter() if "text" in e.tag]
    assert "".join(texts) == text.replace("\n", "")
    bundle = Writer(small_packed("reduced"), most=5)._repr_mimebundle_()
    assert bundle is not None
    assert bundle[0]["image/svg+xml"].startswith("<svg")


def test_writing_goes_on_where_the_prompt_ends_and_needs_none() -> None:
    model = packed.unpack(small_packed("reduced"))
    whole = write(model, "", 12)
    assert whole and whole == write(model, "", 12)
    assert write(model, "abc", 12) != whole


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder as `tnnlab train` leaves it."""
    folder = tmp_path / "run"
    (tmp_path / "text").mkdir()
    for number in range(40):
        text = f"file {number}: the quick brown fox\n" * 20
        (tmp_path / "text" / f"{number}.txt").write_text(text, encoding="utf-8")
    small().save_pretrained(folder / "model")
    BYTES.save(folder / "model")
    record = {name: None for name in export.KEPT} | {
        "parameters": 7,
        "config": {"data": {"corpus": "text", "path": str(tmp_path / "text"), "length": 24}},
        "provenance": {"commit": "abc"},
    }
    (folder / "result.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_a_run_becomes_a_packed_network_with_a_record(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.safetensors"
    export.main([str(run), str(out), "--order", "6"])
    record = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert out.read_bytes() == small_packed("reduced")
    assert record["run"]["provenance"]["commit"] == "abc" and record["order"] == 6
    losses = record["loss_per_token"]
    assert losses["trained"] != losses["converted"] != losses["packed"]
    assert losses["packed"] == pytest.approx(losses["trained"], rel=0.2)
    assert f"packed    {losses['packed']:.4f} nats per token" in capsys.readouterr().out
    assert "7 parameters, rounded to bytes, and 6 states" in Writer.load(out, most=1).note


def test_a_run_that_cannot_be_exported(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        export.main([str(tmp_path / "nothing")])
    assert "result.json" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        export.main([str(run), str(tmp_path / "out.safetensors"), "--order", "0"])
    assert "order" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
