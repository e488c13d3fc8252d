import dataclasses
import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tnnlab import CausalLM, TNNConfig
from tnnlab import pretrained as pretrained_module
from tnnlab.operators import RTF, S4D

SMALL = TNNConfig(vocab_size=50, depth=2, width=16, glu_width=24, rpe_width=8, rpe_depth=2)


@pytest.fixture
def model() -> CausalLM:
    torch.manual_seed(0)
    return CausalLM(SMALL).eval()


def tokens(n: int, batch: int = 2) -> torch.Tensor:
    return torch.randint(50, (batch, n), generator=torch.Generator().manual_seed(n))


class Sizes(TorchDispatchMode):
    """The largest tensor that has memory, in numbers."""

    largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and found.device.type != "meta":
            self.largest = max(self.largest, found.untyped_storage().nbytes() // 4)
        return found


def test_the_published_model_has_its_published_size() -> None:
    with torch.device("meta"):
        model = CausalLM(TNNConfig.wikitext103())
        shallow = CausalLM(dataclasses.replace(TNNConfig.wikitext103(), rpe_depth=3))
    assert model.num_parameters() == 48_662_016  # published: 48.6 to 48.7 M
    assert shallow.num_parameters() == 48_574_656  # published: 48.59 M with fairseq's 8 specials


@pytest.mark.parametrize("n", [1, 2, 31, 200])
def test_it_runs_at_any_length(model: CausalLM, n: int) -> None:
    assert model(tokens(n)).shape == (2, n, 50)


def test_a_longer_text_does_not_change_what_was_said(model: CausalLM) -> None:
    long = tokens(300)
    torch.testing.assert_close(model(long)[:, :100], model(long[:, :100]), atol=1e-4, rtol=1e-4)


def test_it_never_sees_the_future(model: CausalLM) -> None:
    before = tokens(60)
    after = before.clone()
    after[:, 30:] = (after[:, 30:] + 1) % 50
    first, second = model(before), model(after)
    torch.testing.assert_close(first[:, :30], second[:, :30], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(first[:, 30], second[:, 30])


def test_input_and_output_embedding_are_one(model: CausalLM) -> None:
    shapes = [tuple(p.shape) for p in model.parameters()]
    assert shapes.count((50, 16)) == 1
    assert model.embedding.weight.std().item() == pytest.approx(16**-0.5, rel=0.1)
    x = tokens(5)
    torch.testing.assert_close(model(x), model.features(x) @ model.embedding.weight.T)


def test_it_learns(model: CausalLM) -> None:
    model.train()
    optimizer = torch.optim.AdamW(model.parameter_groups(0.1), lr=3e-3)
    x = tokens(32, batch=4)

    def loss() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())

    start = loss().item()
    for _ in range(60):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
    assert loss().item() < 0.5 * start


@pytest.mark.parametrize("options", [{}, {"norm": "layer", "learned_decay": True}])
def test_weight_decay_falls_on_matrices_only(options: dict[str, Any]) -> None:
    model = CausalLM(dataclasses.replace(SMALL, **options))
    decayed, kept = model.parameter_groups(0.2)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.2, 0.0)
    assert not decayed["kernel"] and not kept["kernel"]
    assert all(p.ndim >= 2 for p in decayed["params"])
    names = {id(p): name for name, p in model.named_parameters()}
    kept_names = {names[id(p)] for p in kept["params"]}
    assert {name for name in names.values() if name.endswith(("bias", "gamma"))} <= kept_names
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


@pytest.mark.parametrize(
    ("operator", "options", "mixer"),
    [
        ("rtf", {"order": 4, "length": 32}, "gtu"),
        ("rtf", {"order": 4, "length": 32, "stable": True}, "hyena"),
        ("s4d", {"order": 4}, "gtu"),
        ("s4d", {"order": 4}, "s4"),
    ],
)
def test_the_numbers_of_a_state_space_are_a_group_of_their_own(
    operator: str, options: dict[str, Any], mixer: str
) -> None:
    config = dataclasses.replace(
        SMALL, operator=operator, operator_options=options, mixer=mixer, expansion=1
    )
    model = CausalLM(config)
    decayed, kept, kernels = model.parameter_groups(0.2)
    assert [group["weight_decay"] for group in (decayed, kept, kernels)] == [0.2, 0.0, 0.0]
    assert [group["kernel"] for group in (decayed, kept, kernels)] == [False, False, True]
    names = {id(p): name for name, p in model.named_parameters()}
    of_group = [{names[id(p)] for p in group["params"]} for group in (decayed, kept, kernels)]
    own = {
        f"{name}.{parameter}"
        for name, module in model.named_modules()
        if isinstance(module, (RTF, S4D))
        for parameter, _ in module.named_parameters()
    }
    assert len(own) >= 2 * 3 and of_group[2] == own
    assert sorted(names.values()) == sorted(name for group in of_group for name in group)


def test_what_is_not_learned_is_in_no_group(model: CausalLM) -> None:
    model.embedding.weight.requires_grad_(False)
    params = [p for group in model.parameter_groups(0.2) for p in group["params"]]
    assert len(params) == len(list(model.parameters())) - 1
    assert all(p is not model.embedding.weight for p in params)


def test_a_group_without_parameters_is_left_out() -> None:
    model = CausalLM(dataclasses.replace(SMALL, operator="rtf", operator_options={"length": 32}))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".operator." in name)
    (group,) = model.parameter_groups(0.2)
    assert group["kernel"] and group["weight_decay"] == 0.0


OPERATORS = ("tno", "fd", "ski", "rtf", "s4d", "hyena", "attention")


def test_a_configuration_is_checked_without_the_compiler() -> None:
    """Importing it takes seconds, which each process would spend."""
    code = (
        "import sys\n"
        "from tnnlab.models import ClassifierConfig, ImageConfig, TNNConfig\n"
        f"for operator in {OPERATORS}:\n"
        "    TNNConfig(operator=operator)\n"
        "for init in ('xavier', 'montel'):\n"
        "    TNNConfig(operator='rtf', operator_options={'init': init, 'stable': True})\n"
        "TNNConfig(operator='s4d', mixer='s4', expansion=1)\n"
        "TNNConfig(operator='hyena', mixer='hyena', learned_decay=True)\n"
        "ClassifierConfig(norm='batch'), ImageConfig()\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_configuration_is_checked_without_memory_or_random_numbers(operator: str) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with Sizes() as control:
        torch.zeros(7)
    assert control.largest == 7
    with Sizes() as sizes:
        TNNConfig(operator=operator, width=4096)
    assert torch.get_rng_state().equal(before)
    # A projection has 4096 · 12288 numbers; tables of a kernel have a few for each channel.
    assert sizes.largest < 4096 * 12288 / 10
    with torch.device("meta"):  # as where parameters are counted
        TNNConfig(operator=operator)


def test_saving_and_loading_give_the_same_model(model: CausalLM, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    loaded = CausalLM.from_pretrained(tmp_path / "model")
    assert loaded.config == model.config
    assert not loaded.training
    assert torch.equal(loaded(tokens(20)), model(tokens(20)))
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_a_full_disk_keeps_the_earlier_weights(
    model: CausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save_pretrained(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    class FullDisk:
        @staticmethod
        def save_file(weights: dict, path: Path, metadata: dict) -> None:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pretrained_module, "require", lambda *_: FullDisk)
    with pytest.raises(OSError, match="No space left"):
        CausalLM(SMALL).save_pretrained(tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_missing_file_is_named(model: CausalLM, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json: give a folder"):
        CausalLM.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no model\.safetensors"):
        CausalLM.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "Transformer"}, "holds a Transformer, not a CausalLM"),
        ({"heads": 8}, r"unknown keys \['heads'\]"),
        ({"width": 32}, r"does not fit its config\.json"),
        ({"width": 0}, "width is at least 1; got 0"),
    ],
)
def test_a_wrong_configuration_is_refused(
    model: CausalLM, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        CausalLM.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "depth is at least 1; got 0"),
        ({"operator": "fft"}, "operator is one of 'tno', 'fd', 'ski', .*; got 'fft'"),
        ({"decay": -0.1}, r"decay lies in \(0, 1\]"),
        ({"dropout": 1.0}, r"dropout lies in \[0, 1\); got 1.0"),
        ({"norm": "group"}, "norm is one of 'rms', 'layer', 'none', 'batch'; got 'group'"),
        ({"rpe_activation": "tanh"}, "got 'tanh'"),
    ],
)
def test_a_bad_configuration_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TNNConfig(**options)


@pytest.mark.parametrize("bad", [torch.ones(3), torch.zeros(2, 0).long(), torch.zeros(2, 3)])
def test_bad_tokens_are_named(model: CausalLM, bad: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"integer tensor of shape \(batch, n\)"):
        model(bad)


@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
def test_it_compiles_without_a_graph_break(model: CausalLM) -> None:
    compiled = torch.compile(model, fullgraph=True)
    torch.testing.assert_close(compiled(tokens(200)), model(tokens(200)), atol=1e-4, rtol=1e-4)


def test_autocast_stays_near_full_precision(model: CausalLM) -> None:
    expected = model(tokens(300))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = model(tokens(300))
    assert (low.float() - expected).norm() < 2e-2 * expected.norm()
