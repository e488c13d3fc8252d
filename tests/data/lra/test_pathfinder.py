"""Pathfinder: the geometry, the drawing, and files of the released layout."""

import lzma
from pathlib import Path

import numpy as np
import pytest

from tnnlab.data.lra import Images, generate_pathfinder, load_pathfinder, load_task, pathfinder
from tnnlab.data.lra.pathfinder import HARD
from tnnlab.data.lra.pathfinder_contours import CHUNK, MARGIN, NOWHERE, lay_out
from tnnlab.data.lra.pathfinder_images import _paint
from tnnlab.data.lra.pathfinder_style import STYLES, Style

FEW = 30  # images whose geometry is checked


@pytest.fixture(scope="module", params=STYLES)
def laid_out(request: pytest.FixtureRequest) -> tuple[Style, np.ndarray, np.ndarray, float]:
    style = STYLES[request.param]
    return (style, *lay_out(style, np.random.default_rng([7, style.size, 0])))


def along(dashes: np.ndarray) -> np.ndarray:
    """Eleven points on each dash: ``(k, 2, 2)`` to ``(k, 11, 2)``."""
    share = np.linspace(0, 1, 11)[:, None]
    return dashes[:, None, 0] * (1 - share) + dashes[:, None, 1] * share


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The naive twin: between all points of each two dashes."""
    steps = along(first)[:, None, :, None] - along(second)[None, :, None]
    return np.linalg.norm(steps, axis=-1).min((2, 3))


def test_contours_are_evenly_dashed_and_bend_as_they_may(laid_out) -> None:
    style, contours, _, gap = laid_out
    assert gap in style.gaps
    ahead = contours[..., 1, :] - contours[..., 0, :]
    np.testing.assert_allclose(np.linalg.norm(ahead, axis=-1), style.dash)
    # From the middle of a gap, half a gap to either side: dashes meet at joints.
    unit = ahead / style.dash
    ends = contours[:, :, :-1, 1] + gap / 2 * unit[:, :, :-1]
    begins = contours[:, :, 1:, 0] - gap / 2 * unit[:, :, 1:]
    np.testing.assert_allclose(ends, begins, atol=1e-9)
    turns = np.arccos(np.clip((unit[:, :, 1:] * unit[:, :, :-1]).sum(-1), -1, 1))
    assert 0.8 * np.pi / 2 < style.bend * turns.max() <= np.pi / 2 + 1e-6


def test_contours_begin_as_far_apart_as_the_style_says(laid_out) -> None:
    style, contours, _, _ = laid_out
    begins = contours[:, :, 0, 0]
    np.testing.assert_allclose(np.linalg.norm(begins[:, 0] - begins[:, 1], axis=-1), style.apart)


def test_dashes_stay_inside(laid_out) -> None:
    style, contours, others, _ = laid_out
    real = others[others[:, :, 0, 0] != NOWHERE]
    for dashes in (contours, real):
        assert dashes.min() >= style.border and dashes.max() <= style.size - 1 - style.border


def test_dashes_keep_their_distance(laid_out) -> None:
    """Of the gap, less what a grid of half pixels may take from it."""
    style, contours, others, gap = laid_out
    far = np.abs(np.subtract.outer(range(style.dashes), range(style.dashes))) > 1
    for (one, other), shorter in zip(contours[:FEW], others[:FEW], strict=True):
        shorter = shorter[shorter[:, 0, 0] != NOWHERE]
        nearest = [distances(one, other).min(), distances(one, one)[far].min()]
        nearest += [distances(other, other)[far].min()]
        for first in range(0, len(shorter), style.distractor_dashes):
            contour, rest = np.split(shorter[first:], [style.distractor_dashes])
            for dashes in (one, other, rest):
                nearest.append(distances(contour, dashes).min(initial=NOWHERE))
        assert min(nearest) > gap - 0.5


def test_distractors_are_whole(laid_out) -> None:
    style, _, others, _ = laid_out
    drawn = (others[:, :, 0, 0] != NOWHERE).reshape(CHUNK, style.distractors, -1)
    assert (drawn == drawn[:, :, :1]).all()
    assert 1 < drawn[:, :, 0].sum(1).mean() < style.distractors


@pytest.mark.parametrize("size", STYLES)
def test_labels_say_whether_the_dots_are_on_one_contour(size: int) -> None:
    images, labels = generate_pathfinder(CHUNK, size=size, seed=7)
    contours, _, _ = lay_out(STYLES[size], np.random.default_rng([7, size, 0]))
    rows, clear = np.arange(CHUNK), 0

    def is_dot(points: np.ndarray) -> np.ndarray:
        """Whether the pixel at a point, and its four neighbours in a larger dot, are bright."""
        middle = np.rint(points).astype(int)
        steps = [(0, 0), (0, 1), (1, 0), (0, -1), (-1, 0)] if size > 32 else [(0, 0)]
        return np.all([images[rows, *(middle + step).T] == 255 for step in steps], axis=0)

    begins = np.stack([is_dot(contours[:, which, 0, 0]) for which in (0, 1)], 1)
    ends = np.stack([is_dot(contours[:, which, -1, 1]) for which in (0, 1)], 1)
    assert begins.any(1).all() and ends.any(1).all()
    for begin, end, label in zip(begins, ends, labels, strict=True):
        answers = {int(a == b) for a in (0, 1) for b in (0, 1) if begin[a] and end[b]}
        assert label in answers
        clear += len(answers) == 1
    assert clear > 0.8 * CHUNK  # dots seldom lie on other ends


def test_images_depend_on_the_seed_and_not_on_the_count() -> None:
    images, labels = generate_pathfinder(CHUNK + 20, size=32, seed=0)
    few, few_labels = generate_pathfinder(10, size=32, seed=0)
    assert np.array_equal(few, images[:10]) and np.array_equal(few_labels, labels[:10])
    assert not np.array_equal(generate_pathfinder(10, size=32, seed=1)[0], few)
    assert int(labels[:CHUNK].sum()) == CHUNK // 2
    assert len({image.tobytes() for image in images}) == len(images)
    assert images.max((1, 2)).min() == 255
    with pytest.raises(ValueError, match="drawn in sizes 32, 64, 128; got 33"):
        generate_pathfinder(1, size=33, seed=0)


def test_a_dash_is_painted_pixel_by_pixel() -> None:
    canvas = np.zeros((2, 20 + 2 * MARGIN, 20 + 2 * MARGIN))
    dash = np.array([[[3.2, 4.7], [9.1, 1.3]], [[NOWHERE, NOWHERE], [NOWHERE, NOWHERE]]])
    _paint(canvas, dash, half=0.8, brightness=0.5)
    assert not canvas[1].any()
    for row, column in np.ndindex(20, 20):
        start, stop = dash[0]
        share = np.dot([row, column] - start, stop - start) / np.sum((stop - start) ** 2)
        nearest = start + min(max(share, 0), 1) * (stop - start)
        level = 0.5 * min(max(1.3 - np.linalg.norm([row, column] - nearest), 0), 1)
        assert canvas[0, row + MARGIN, column + MARGIN] == pytest.approx(level)


def test_generated_splits() -> None:
    task = load_task("pathfinder", samples=40, seed=3)
    assert [len(task.split(name)) for name in ("train", "validation", "test")] == [32, 4, 4]
    images, labels = generate_pathfinder(40, size=32, seed=3)
    assert isinstance(task.test, Images) and np.array_equal(task.test.pixels, images[36:])
    assert task.validation.labels.tolist() == labels[32:36].tolist()
    assert "not the released images" in task.description
    large = load_task("path-x", samples=10)
    assert large.name == "path-x" and isinstance(large.train, Images)
    assert large.train.pixels.shape == (8, 128, 128)
    with pytest.raises(ValueError, match="at least 10 samples"):
        load_pathfinder(samples=9)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """Twenty images in place of 200,000."""
    monkeypatch.setattr(pathfinder, "SAMPLES", 20)
    return generate_pathfinder(20, size=32, seed=9)


def test_released_files_are_read(data_folder: Path, published) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs pillow")
    images, labels = published
    folder = data_folder / "pathfinder32" / HARD
    (folder / "metadata").mkdir(parents=True)
    for number in (0, 10, 2):  # lists are in the order of their numbers, not of their names
        (folder / "imgs" / str(number)).mkdir(parents=True)
        lines = []
        for place in {0: range(8), 2: range(8, 14), 10: range(14, 20)}[number]:
            image.fromarray(images[place]).save(folder / f"imgs/{number}/sample_{place}.png")
            lines.append(
                f"imgs/{number} sample_{place}.png {place} {labels[place]} 1.0 14 4 2 0.5 1"
            )
        (folder / "metadata" / f"{number}.npy").write_text("\n".join(lines) + "\n")
    for _ in range(2):  # the second time from the cache
        task = load_pathfinder()
        assert isinstance(task.train, Images) and isinstance(task.test, Images)
        assert np.array_equal(task.train.pixels, images[:16])
        assert np.array_equal(task.test.pixels, images[18:])
        assert task.train.labels.tolist() == labels[:16].tolist()
    with pytest.raises(FileNotFoundError, match=r"no \{train,valid,test\}_\*\.npy\.xz in"):
        load_pathfinder("arrays")
    (folder / "metadata" / "3.npy").write_text("imgs/3 sample_0.png 0 1 1.0 14 4 2 0.5 1\n" * 2)
    with pytest.raises(ValueError, match=r"Pathfinder has other numbers .* 22 instead of 20"):
        load_pathfinder()
    for place in (folder / "metadata").iterdir():
        place.unlink()
    with pytest.raises(FileNotFoundError, match=r"no metadata/\*\.npy in"):
        load_pathfinder("files")


def test_damaged_images_are_named(data_folder: Path, published) -> None:
    pytest.importorskip("PIL.Image", reason="needs pillow")
    folder = data_folder / "pathfinder32" / HARD
    (folder / "imgs" / "0").mkdir(parents=True)
    (folder / "metadata").mkdir()
    (folder / "imgs" / "0" / "sample_0.png").touch()
    (folder / "metadata" / "0.npy").write_text("imgs/0 sample_0.png 0 1\n" * 20)
    with pytest.raises(ValueError, match=r"sample_0\.png is not an image"):
        load_pathfinder()


def test_prepared_arrays_are_read(data_folder: Path, published) -> None:
    images, labels = published
    folder = data_folder / "pathfinder32"
    folder.mkdir()
    for name, cut in {"train": slice(16), "valid": slice(16, 18), "test": slice(18, 20)}.items():
        for kind, array in {"images": images, "labels": labels}.items():
            with lzma.open(folder / f"{name}_{kind}.npy.xz", "wb") as file:
                np.save(file, array[cut])
    task = load_pathfinder()
    assert isinstance(task.train, Images) and np.array_equal(task.train.pixels, images[:16])
    assert task.validation.labels.tolist() == labels[16:18].tolist()
    assert "original generator, not the released" in task.description
    with pytest.raises(ValueError, match=r"uint8 of \(20, 32, 32\) .* expected .*count, 64, 64"):
        load_pathfinder(size=64, folder=folder)
    (folder / "valid_labels.npy.xz").unlink()
    with pytest.raises(FileNotFoundError, match=r"valid_labels\.npy\.xz missing"):
        load_pathfinder()


def test_missing_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=rf"{HARD}/metadata .* in \$TNNLAB_DATA/pathfinder32"
    ):
        load_pathfinder("files")
    with pytest.raises(FileNotFoundError, match=r"lra_release\.gz .*source='generated' needs none"):
        load_pathfinder(folder=tmp_path)
    with pytest.raises(ValueError, match="unknown source 'png'"):
        load_pathfinder("png")
