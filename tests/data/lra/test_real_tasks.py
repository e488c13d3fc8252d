"""The real sets, where TNNLAB_DATA has them."""

from pathlib import Path

import numpy as np
import pytest

from tnnlab.data.lra import Images, Sequences, load_task


def needs(folder: Path) -> None:
    if not folder.exists():
        pytest.skip(f"TNNLAB_DATA has no {folder.name}")


def test_imdb(real_data: Path) -> None:
    needs(real_data / "imdb")
    task = load_task("text")
    assert [len(task.split(s)) for s in ("train", "validation", "test")] == [22_500, 2_500, 25_000]
    counts = task.provenance()["samples_of_each_class"]
    assert counts["test"] == [12_500, 12_500]
    assert np.add(counts["train"], counts["validation"]).tolist() == [12_500, 12_500]
    assert isinstance(task.train, Sequences) and task.train.lengths.max() == 4096


def test_cifar(real_data: Path) -> None:
    if not (real_data / "cifar10").exists():
        needs(real_data / "cifar10-jpeg")
    pytest.importorskip("PIL", reason="needs pillow")
    task = load_task("image")
    assert [len(task.split(s)) for s in ("train", "validation", "test")] == [45_000, 5_000, 10_000]
    assert task.provenance()["samples_of_each_class"]["test"] == [1_000] * 10
    assert isinstance(task.train, Images)
    assert task.train.pixels.mean() == pytest.approx(122.6, abs=1)
    assert task.train.pixels.std() == pytest.approx(61, abs=1)


def test_pathfinder_arrays(real_data: Path) -> None:
    needs(real_data / "pathfinder32")
    task = load_task("pathfinder")
    assert [len(task.split(s)) for s in ("train", "validation", "test")] == [
        160_000,
        20_000,
        20_000,
    ]
    assert all(
        np.bincount(task.split(s).labels).tolist() == [len(task.split(s)) // 2] * 2
        for s in ("train", "validation", "test")
    )
