"""The small models of the pages on the Long Range Arena."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from tnnlab.data.lra import load_task
from tnnlab.data.lra.ragged import byte_rows
from tnnlab.lra_live import bag, fit, kernels, mean_lag, plot_taps, scores
from tnnlab.models import (
    ClassifierConfig,
    ImageClassifier,
    ImageConfig,
    PairClassifier,
    SequenceClassifier,
)
from tnnlab.training import TrainingConfig, read_recipe, train

SMALL = {"depth": 2, "width": 8, "glu_width": 8, "rpe_width": 8, "rpe_depth": 1}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TNNLAB_DATA", raising=False)
    monkeypatch.setenv("TNNLAB_CACHE", str(tmp_path / "cache"))


def test_the_updates_are_those_of_a_run(tmp_path: Path) -> None:
    options = {"source": "generated", "samples": 100, "lengths": [10, 30]}
    changes = {
        "model": SMALL,
        "data": {"options": options},
        "training": {"steps": 7, "warmup": 3, "batch_size": 8, "log_every": 1, "precision": "fp32"},
        "evaluation": {"every": 7, "test": False},
    }
    config = read_recipe("lra-listops", preset="smoke", overrides=changes)
    task = load_task("listops", **options)
    record = train(config, tmp_path / "run", progress_bar=False)
    torch.manual_seed(config.seed)
    model = SequenceClassifier(config.model)
    losses = fit(model, task.train, config.training, seed=config.seed, length=64)
    wanted = [line["loss"] for line in record["history"]["train"]]
    assert losses == pytest.approx(wanted, rel=1e-4)
    found = scores(model, task.validation, length=64)
    trained = SequenceClassifier.from_pretrained(tmp_path / "run/model")
    torch.testing.assert_close(found, scores(trained, task.validation), rtol=1e-3, atol=1e-4)


def test_scores_are_those_of_each_sample_alone() -> None:
    task = load_task("listops", source="generated", samples=100, lengths=(10, 30))
    model = SequenceClassifier(ClassifierConfig(16, classes=10, **SMALL)).train()
    found = scores(model, task.train, batch_size=7)
    assert model.training and not found.requires_grad
    model.eval()
    alone = torch.cat([model(*task.train.collate([row]).inputs) for row in range(len(task.train))])
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)


def test_a_fitted_model_is_left_in_evaluation_mode_and_clipping_may_be_off() -> None:
    task = load_task("pathfinder", source="generated", samples=20)
    model = ImageClassifier(ImageConfig(**SMALL))
    training = TrainingConfig(steps=2, warmup=0, batch_size=4, clip=None)
    assert len(fit(model, task.train, training)) == 2 and not model.training


@pytest.mark.parametrize("kind", ["bytes", "runs of three", "words"])
def test_a_bag_counts_parts(kind: str) -> None:
    texts = [b"so far, so good", b"far so", b"", b"a"]
    found = bag(byte_rows(texts, end=256), kind)
    for text, counts in zip(texts, found, strict=True):
        run = 3 if kind == "runs of three" else 1
        parts = [text[i : i + run] for i in range(len(text) - run + 1)]
        wanted = Counter(text.replace(b",", b"").split() if kind == "words" else parts)
        assert sorted(counts[counts > 0].tolist()) == sorted(wanted.values())
    assert found.shape == (4, 4093) and found.dtype == torch.float32


def test_bags_are_of_known_kinds_and_may_be_none() -> None:
    assert bag([], "words").shape == (0, 4093)
    with pytest.raises(ValueError, match="a bag is of bytes, runs of three, words; got 'letters'"):
        bag([np.array([97, 256])], "letters")


def test_kernels_are_those_of_the_operators() -> None:
    model = PairClassifier(ClassifierConfig(16, expansion=2, **SMALL))
    found = kernels(model, 9)
    assert list(found) == ["block 1", "block 2"]
    torch.testing.assert_close(found["block 2"], model.blocks[1].gtu.operator.kernel(9).detach())
    image = kernels(ImageClassifier(ImageConfig(**SMALL)), 5)
    assert len(image) == 4 and not torch.equal(image["block 1, width"], image["block 1, height"])


def test_mean_lag_of_one_tap_is_its_distance() -> None:
    kernel = torch.zeros(3, 9)
    for channel, lag in enumerate((-4, 0, 3)):
        kernel[channel, lag + 4] = -2.0
    assert mean_lag(kernel).tolist() == [4, 0, 3]


def test_taps_are_drawn_at_their_lags() -> None:
    kernel = torch.zeros(1, 9)
    kernel[0, 4 + 2] = 3.0  # lag 2
    axes = Figure().subplots()
    mesh = plot_taps(axes, kernel, reach=3)
    assert mesh.get_array().tolist() == [[0, 0, 0, 0, 0, 1, 0]]
    assert mesh.get_coordinates()[0, :, 0].tolist() == [-3.5 + k for k in range(8)]
    with pytest.raises(ValueError, match=r"length 5 has lags up to 4; got reach = 5"):
        plot_taps(axes, kernel, reach=5)
