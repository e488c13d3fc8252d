"""The sweeps that come with the package."""

from typing import Any

import pytest
import yaml

from tnnlab.models import CausalLM, MaskedLM
from tnnlab.parameters import count_parameters
from tnnlab.training import read_recipe
from tnnlab.training.sweeps import read_sweep, sweep_names


def test_the_sweeps() -> None:
    assert sweep_names() == [
        "imdb-finetune", "lm-dropout", "lm-full", "lm-full-rates", "lm-rpe", "lm-small",
        "lm-small-rates", "lm-tokens", "lra-image", "lra-image-decay", "lra-image-fd",
        "lra-image-long", "lra-image-rtf", "lra-listops", "lra-listops-long", "lra-listops-longer",
        "lra-listops-published", "lra-listops-rtf", "lra-pathfinder", "lra-pathfinder-long",
        "lra-pathfinder-longer", "lra-pathfinder-positions", "lra-pathfinder-published",
        "lra-pathfinder-released", "lra-pathfinder-sine", "lra-retrieval", "lra-text",
        "lra-text-published", "lra-text-rtf", "memory-copying", "memory-copying-sine",
        "memory-delay", "memory-delay-sine", "mlm-small", "mlm-speed",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sweep_names())
def test_every_sweep_can_be_read(name: str) -> None:
    members = read_sweep(name)
    assert len({member.name for member in members}) == len(members) > 1


def test_masked_models_are_of_one_size_and_the_same_in_every_sweep() -> None:
    def models(sweep: str) -> dict[str, list[str]]:
        members = read_sweep(sweep)
        return {m.name: [w for w in m.arguments if w.startswith("--model.")] for m in members}

    small = models("mlm-small")
    for name, own in models("imdb-finetune").items():
        assert own == small[name.removesuffix("-random")]
    for name, own in models("mlm-speed").items():
        family, length = name.split("-")
        longer = [word.replace('"length": 512', f'"length": {length}') for word in small[family]]
        assert own == longer
    inits = [w for m in read_sweep("imdb-finetune") for w in m.arguments if w.startswith("--init")]
    assert inits == [f"--init=runs/sweeps/mlm-small/{name}/model" for name in small]

    sizes = []
    for own in small.values():
        pairs = (word.removeprefix("--model.").split("=", 1) for word in own)
        changes = {key: yaml.safe_load(value) for key, value in pairs}
        config = read_recipe("mlm-wikipedia", preset="small", overrides={"model": changes})
        sizes.append(count_parameters(config.model, MaskedLM))
    assert len(sizes) == 5 and max(sizes) < 1.005 * min(sizes)


@pytest.mark.parametrize(("sweep", "preset"), [("lm-small", "small"), ("lm-full", "full")])
def test_causal_models_are_of_one_size(sweep: str, preset: str) -> None:
    sizes = {}
    for member in read_sweep(sweep):
        pairs = (word.removeprefix("--").split("=", 1) for word in member.arguments if "=" in word)
        changes: dict[str, Any] = {"model": {}, "evaluation": {"lengths": []}}
        for key, value in pairs:
            if key.startswith("model."):
                changes["model"][key.removeprefix("model.")] = yaml.safe_load(value)
        config = read_recipe("lm-wikipedia", preset=preset, overrides=changes)
        sizes[member.name] = count_parameters(config.model, CausalLM)
    assert max(sizes.values()) < 1.01 * min(sizes.values()), sizes
