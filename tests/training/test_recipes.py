import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from tnnlab.data.lra.listops import VOCABULARY
from tnnlab.data.lra.text import VOCAB_SIZE
from tnnlab.models import TNNConfig
from tnnlab.training import ConfigError, RunConfig, learning_rate, read_recipe, recipe_names
from tnnlab.training.config import run_class
from tnnlab.training.recipes import FOLDER, FULL, load_recipe
from tnnlab.training.tasks import ClassifierRun, ImageRun

NAMES = recipe_names()


def keys(config: Any, prefix: str = "") -> list[str]:
    """Every dotted key that a recipe of such a run can hold, its kind apart."""
    found = []
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            found += keys(value, f"{prefix}{item.name}.")
        elif item.name not in ("preset", "kind"):
            found.append(prefix + item.name)
    return found


def test_the_recipes() -> None:
    assert NAMES == [
        "imdb-finetune", "lm-stdlib", "lm-wikipedia", "lm-wikitext103",
        "lra-image", "lra-listops", "lra-pathfinder", "lra-retrieval", "lra-text",
        "memory-copying", "memory-delay", "mlm-wikipedia",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_all_presets_are_valid(name: str) -> None:
    for preset in (FULL, *load_recipe(name)["presets"]):
        config = read_recipe(name, preset=preset)
        assert (config.name, config.preset) == (name, preset)
        assert RunConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_there_and_commented(name: str) -> None:
    recipe = (FOLDER / f"{name}.yaml").read_text().split("\npresets:")[0]
    section, commented = "", []
    for line in recipe.splitlines():
        if match := re.fullmatch(r"(\w+):( +#.*)?", line):
            section = match[1] + "."
        elif match := re.fullmatch(r"( *)(\w+): .*?\S +# \S.*", line):
            commented.append((section if match[1] else "") + match[2])
    assert commented == ["kind", *keys(run_class(load_recipe(name)["kind"])())]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_opens_with_how_to_run_it(name: str) -> None:
    head = (FOLDER / f"{name}.yaml").read_text().split("\n\n")[0]
    for word in ("launch", "hardware", "expected", "run time", f"tnnlab train {name}"):
        assert word in head
    assert set(re.findall(r"--preset (\w+)", head)) == set(load_recipe(name)["presets"])


@pytest.mark.parametrize(
    ("name", "run", "task", "vocab_size", "classes"),
    [
        ("lra-listops", ClassifierRun, "listops", len(VOCABULARY), 10),
        ("lra-text", ClassifierRun, "text", VOCAB_SIZE, 2),
        ("lra-retrieval", ClassifierRun, "retrieval", VOCAB_SIZE, 2),
        ("lra-image", ImageRun, "image", 1, 10),
        ("lra-pathfinder", ImageRun, "pathfinder", 1, 2),
    ],
)
def test_a_model_has_the_shape_of_its_task(
    name: str, run: type[RunConfig], task: str, vocab_size: int, classes: int
) -> None:
    for preset in (FULL, *load_recipe(name)["presets"]):
        config = read_recipe(name, preset=preset)
        assert type(config) is run is run_class(config.kind) and config.data.task == task
        assert (config.model.vocab_size, config.model.classes) == (vocab_size, classes)


def test_wikitext103_has_the_published_settings() -> None:
    config = read_recipe("lm-wikitext103")
    training = config.training
    assert config.model == TNNConfig.wikitext103()
    assert (config.data.tokenizer, config.data.length) == ("gpt2", 512)
    assert training.steps * training.batch_size * config.data.length == 3_276_800_000
    assert (training.schedule, training.warmup) == ("inverse-square-root", 4000)
    assert (training.learning_rate, training.warmup_from) == (5e-4, 1e-7)
    assert (training.betas, training.weight_decay, training.clip) == ((0.9, 0.98), 0.2, 1.0)


def test_the_masked_model_has_the_published_settings() -> None:
    config = read_recipe("mlm-wikipedia")
    model, training = config.model, config.training
    assert (model.depth, model.width, model.expansion, model.decay) == (12, 768, 3, 0.99)
    assert (config.data.length, config.data.hidden, training.steps) == (512, 0.15, 50_000)
    assert (training.batch_size, training.learning_rate, training.warmup) == (512, 5e-4, 3000)
    assert (training.betas, training.eps, training.weight_decay) == ((0.9, 0.98), 1e-6, 0.2)
    halfway = (3000 + 50_000) // 2  # of a decay on a line to 0
    assert learning_rate(halfway, training) == pytest.approx(2.5e-4)
    assert learning_rate(50_000, training) == 0


def test_a_masked_model_of_the_recipe_fits_the_one_that_goes_on() -> None:
    trained = read_recipe("mlm-wikipedia", preset="small").model
    model = read_recipe("imdb-finetune").model
    same = {item.name for item in fields(TNNConfig)} - {"dropout"}
    assert all(getattr(model, name) == getattr(trained, name) for name in same)


def test_overrides_come_after_the_preset() -> None:
    config = read_recipe("lm-stdlib", preset="smoke", overrides={"model": {"depth": 1}})
    smoke = read_recipe("lm-stdlib", preset="smoke")
    assert config.model.depth == 1 != smoke.model.depth
    assert config.training == smoke.training != read_recipe("lm-stdlib").training


def test_numbers_may_be_written_as_people_write_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ntraining: {learning_rate: 5e-4, clip: null, betas: [0.8, 9e-1]}\n")
    training = read_recipe(str(path)).training
    assert (training.learning_rate, training.clip) == (5e-4, None)
    assert training.betas == (0.8, 0.9)


def test_an_operator_comes_with_its_options(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    options = "{order: 8, init: montel}"
    path.write_text(f"name: mine\nmodel: {{operator: rtf, operator_options: {options}}}\n")
    config = read_recipe(str(path), overrides={"model": {"operator_options": {"order": 4}}})
    assert config.model.operator_options == {"order": 4, "init": "montel"}
    assert RunConfig.from_dict(config.to_dict()) == config
    same = read_recipe(str(path), overrides={"model": {"operator": "rtf"}})
    assert same.model.operator_options == {"order": 8, "init": "montel"}
    # Another operator has none of them, but those that come with it.
    other: dict[str, Any] = {"operator": "s4d"}
    assert read_recipe(str(path), overrides={"model": other}).model.operator_options == {}
    other["operator_options"] = {"order": 4}
    assert read_recipe(str(path), overrides={"model": other}).model.operator_options == {"order": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: {step: 3}", "unknown key training.step: did you mean training.steps"),
        ("training: {steps: many}", r"training.steps: Expected int. Got value: many"),
        ("training: {steps: 2.5}", r"training.steps: Expected int"),
        ("model: {depth: 0}", "model.depth is at least 1; got 0"),
        ("model: {operator: rtf, operator_options: {ordr: 8}}", "'rtf' has no option 'ordr': did"),
        ("model: {operator_options: [3]}", "model.operator_options: Expected dict"),
        ("presets: {a: {modle: {}}}", "preset a: unknown key modle: did you mean model"),
        ("presets: {full: {}}", "other than 'full'"),
        ("preset: a", "is said by --preset"),
        ("kind: imag", "kind cannot be 'imag': did you mean image"),
        ("kind: 3", "kind cannot be '3': choose from classifier, finetune, image, language, "),
        ("kind:", "kind cannot be 'None'"),
        ("kind: classifier\nevaluation: {prompt: a}", "unknown key evaluation.prompt"),
        ("kind: classifier\nmodel: {classes: ten}", "model.classes: Expected int"),
        ("kind: classifier\nmodel: {patch: 2}", "unknown key model.patch"),
        ("kind: classifier\ndata: {task: listop}", "data.task cannot be 'listop': did you mean l"),
        ("kind: image\nmodel: {axes: 3}", "model.axes is 1 .* or 2; got 3"),
        ("kind: image\nmodel: {causal: true, norm: batch}", "norm is 'batch'.*the future"),
        ("evaluation: {lengths: [0]}", "evaluation.lengths is 0; it is at least 1"),
        ("- a", "holds no keys"),
        ("a: [", "no valid YAML"),
    ],
)
def test_a_faulty_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "faulty.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_recipe(str(path))


def test_names_that_do_not_exist_bring_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean lm-stdlib"):
        read_recipe("lm-stdlb")
    with pytest.raises(ConfigError, match="no preset 'smok': did you mean smoke"):
        read_recipe("lm-stdlib", preset="smok")
    with pytest.raises(ConfigError, match=r"did you mean model\.width"):
        read_recipe("lm-stdlib", overrides={"model": {"widht": 3}})
