"""CIFAR-10 from small parquet files, and its grey levels."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tnnlab.data.lra import Images, image, load_image, load_task
from tnnlab.data.lra.image import grey

Image = pytest.importorskip("PIL.Image", reason="needs pillow")
COUNTS = {"train": 8, "test": 4}


def pictures(count: int, seed: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def encode(picture: np.ndarray, form: str) -> dict[str, Any]:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, form, quality=95)
    return {"bytes": content.getvalue(), "path": None}


def columns(form: str = "PNG", **changed: Any) -> dict[str, dict[str, list[Any]]]:
    return {
        split: {
            "img": [encode(picture, form) for picture in pictures(count, seed=count)],
            "label": [number % 10 for number in range(count)],
            **changed,
        }
        for split, count in COUNTS.items()
    }


@pytest.fixture(autouse=True)
def small(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "COUNTS", COUNTS)
    monkeypatch.setattr(image, "HELD_OUT", 3)


def test_grey_levels_are_those_of_the_formula() -> None:
    generator = np.random.default_rng(0)
    colours = generator.integers(0, 256, (2_000, 3), np.uint8)
    for colour, level in zip(colours.tolist(), grey(colours).tolist(), strict=True):
        red, green, blue = (part / 255 for part in colour)
        exact = 255.5 * (0.2989 * red + 0.5870 * green + 0.1140 * blue)
        assert level == int(exact) or abs(exact - round(exact)) < 1e-4
    assert grey(np.array([[0, 0, 0], [255, 255, 255]], np.uint8)).tolist() == [0, 255]
    # Neither rounding nor Pillow's way gives the same.
    pillow = np.asarray(Image.fromarray(colours[:, None]).convert("L")).ravel()
    assert 0 < (grey(colours) != pillow).mean() < 0.5
    assert np.abs(grey(colours).astype(int) - pillow).max() == 1


def test_images_are_the_files_in_grey(write_parquet) -> None:
    write_parquet("cifar10", columns())
    for _ in range(2):  # the second time from the cache
        task = load_task("image")
        train, validation, test = (task.split(s) for s in ("train", "validation", "test"))
        assert isinstance(train, Images) and isinstance(validation, Images)
        pixels = np.concatenate([train.pixels, validation.pixels])
        assert np.array_equal(pixels, grey(pictures(8, seed=8)))
        assert np.array_equal(test.pixels, grey(pictures(4, seed=4)))
        assert train.labels.tolist() == [0, 1, 2, 3, 4] and validation.labels.tolist() == [5, 6, 7]
    assert "JPEG" not in task.description
    (batch,), _ = test.collate(np.arange(4))
    assert torch_mean(batch) == pytest.approx((test.pixels.mean() - 122.6) / 61, abs=1e-4)


def torch_mean(batch) -> float:
    return float(batch.mean())


def test_images_as_jpeg_are_said_to_be_so(write_parquet) -> None:
    write_parquet("cifar10-jpeg", columns("JPEG"))
    assert "re-encoded as JPEG" in load_image().description
    write_parquet("cifar10", columns())  # the better one goes first
    assert "JPEG" not in load_image().description


def test_other_files_are_refused(write_parquet, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_parquet("cifar10", columns())
    with monkeypatch.context() as patch:
        patch.setattr(image, "COUNTS", {"train": 50_000, "test": 4})
        with pytest.raises(ValueError, match=r"CIFAR-10 has other numbers .* 8 instead of 50,000"):
            load_image()
    large = {"img": [encode(p, "PNG") for p in pictures(8, 0, size=28)], "label": [0] * 8}
    other = write_parquet("other", columns() | {"train": large})
    with pytest.raises(ValueError, match=r"mode RGB and size \(28, 28\) is not of CIFAR-10"):
        load_image(folder=other)
    hundred = columns() | {"test": columns()["test"] | {"label": [0, 5, 99, 3]}}
    with pytest.raises(ValueError, match="CIFAR-10 has labels 0 to 99: expected 0 to 9"):
        load_image(folder=write_parquet("cifar100", hundred))
    for file in (folder / "plain_text").glob("test-*"):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"huggingface\.co/datasets/uoft-cs/cifar10 there"):
        load_image()
