"""Pathfinder: are two dots the ends of one dashed contour, or of two?"""

import lzma
from itertools import pairwise
from os import PathLike
from pathlib import Path

import numpy as np

from tnnlab._extras import require
from tnnlab.data.documents import SPLITS
from tnnlab.data.lra.files import RELEASE, check_counts, check_labels, local_folder, need_files
from tnnlab.data.lra.pathfinder_images import generate_pathfinder
from tnnlab.data.lra.splits import Images
from tnnlab.data.lra.store import Arrays, files_identity, stored
from tnnlab.data.lra.task import Task
from tnnlab.data.names import check_name

SOURCES = ("files", "arrays", "generated")
_KINDS = ("images", "labels")
SAMPLES = 200_000
HARD = "curv_contour_length_14"  # of the release's three difficulties, the one that is reported
_LAYOUTS = {"files": f"{HARD}/metadata and {HARD}/imgs", "arrays": "{train,valid,test}_*.npy.xz"}
_PAPER = "Linsley et al., 2018; Kim et al., ICLR 2020"
_VERSION = 1  # of the code behind the stored arrays


def load_pathfinder(
    source: str | None = None,
    *,
    size: int = 32,
    folder: str | PathLike[str] | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Task:
    """Pathfinder with contours of 14 dashes: 80 % train, 10 % validation, 10 % test.

    Args:
        source: ``"files"``, the folder of PNG files in LRA's release; ``"arrays"``, images of the
            original generator in ``{train,valid,test}_{images,labels}.npy.xz``; ``"generated"``,
            drawn here (`generate_pathfinder`); None: the first that is found, else generated.
        size: height and width; 32 for the task Pathfinder, 128 for Path-X.
        folder: of the files; default ``$TNNLAB_DATA/pathfinder<size>``.
        samples: how many are generated.
        seed: of the generated ones.

    Raises:
        FileNotFoundError: files are asked for and missing.
        ValueError: files that are not Pathfinder's, or a size or number that cannot be had.
        ImportError: PNG files without `pillow`.

    >>> task = load_pathfinder("generated", samples=20)
    >>> task.train.pixels.shape, task.classes
    ((16, 32, 32), 2)
    """
    if source is not None:
        check_name("source", source, SOURCES)
    place = local_folder(f"pathfinder{size}", folder=folder)
    found = None if place is None else _kind_of(place)
    if source is None:
        source = found or ("generated" if folder is None else "files")
    if source == "generated":
        images, labels = _generated(samples, size, seed)
        what, licence = f"drawn by tnnlab with seed {seed}, not the released images", "MIT"
        origin = "tnnlab.data.lra.pathfinder_images"
    elif place is None or source != found:
        where = folder or f"$TNNLAB_DATA/pathfinder{size}"
        raise FileNotFoundError(
            f"no {_LAYOUTS[source]} in {where}: LRA's "
            f"images come from {RELEASE} (there in pathfinder{size}). source='generated' needs none"
        )
    elif source == "files":
        images, labels = _from_files(place / HARD, size)
        what, origin, licence = "the release's PNG files", RELEASE, "Apache-2.0"
    else:
        images, labels = _from_arrays(place, size)
        what, licence = "images drawn by the original generator, not the released ones", "MIT"
        origin = "https://github.com/drewlinsley/pathfinder"
    check_labels("Pathfinder", labels, 2)
    held_out = len(labels) // 10
    cuts = (0, len(labels) - 2 * held_out, len(labels) - held_out, len(labels))
    parts = [
        Images(images[start:stop], labels[start:stop], mean=0.5, std=0.5)
        for start, stop in pairwise(cuts)
    ]
    name = "path-x" if size == 128 else "pathfinder"
    description = f"Pathfinder ({_PAPER}), {size} × {size} pixels, contours of 14 dashes: {what}"
    return Task(name, description, origin, licence, 2, *parts)


def _kind_of(folder: Path) -> str | None:
    if (folder / HARD).is_dir():
        return "files"
    return "arrays" if any(folder.glob("*_images.npy.xz")) else None


def _generated(samples: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    if samples < 10:
        raise ValueError(f"at least 10 samples, for 10 % are one; given {samples}")

    def build() -> Arrays:
        images, labels = generate_pathfinder(samples, size=size, seed=seed)
        return {"images": images, "labels": labels}

    identity = {"version": _VERSION, "samples": samples, "size": size, "seed": seed}
    arrays = stored(f"pathfinder{size}-generated", identity, build)
    return arrays["images"], arrays["labels"]


def _from_arrays(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    names = [f"{split}_{kind}.npy.xz" for split in ("train", "valid", "test") for kind in _KINDS]
    files = need_files(folder, names, "Pathfinder", f"{RELEASE}, or other arrays of this layout")

    def build() -> Arrays:
        return {file.name: _read_array(file) for file in files}

    identity = {"version": _VERSION, "files": files_identity(files)}
    arrays = list(stored(f"pathfinder{size}-arrays", identity, build).values())
    images, labels = np.concatenate(arrays[::2]), np.concatenate(arrays[1::2])
    if images.dtype != np.uint8 or images.shape[1:] != (size, size) or len(images) != len(labels):
        raise ValueError(
            f"the arrays in {str(folder)!r} are {images.dtype} of {images.shape} with "
            f"{len(labels)} labels: expected uint8 of (count, {size}, {size})"
        )
    tenth = SAMPLES // 10
    expected = {"train": SAMPLES - 2 * tenth, "validation": tenth, "test": tenth}
    counts = {split: len(part) for split, part in zip(SPLITS, arrays[1::2], strict=True)}
    check_counts("Pathfinder", counts, expected)
    return images, labels


def _read_array(file: Path) -> np.ndarray:
    with lzma.open(file) as content:
        return np.load(content)


def _from_files(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """All images in the order of LRA's lists: ``metadata/<number>.npy``, which are text files."""
    lists = sorted((folder / "metadata").glob("*.npy"), key=lambda path: int(path.stem))
    if not lists:
        raise FileNotFoundError(
            f"no metadata/*.npy in {str(folder)!r}: get pathfinder{size} of {RELEASE} again"
        )
    lines = [line.split() for path in lists for line in path.read_text().splitlines()]
    check_counts("Pathfinder", {"all splits": len(lines)}, {"all splits": SAMPLES})
    files = [folder / line[0] / line[1] for line in lines]
    labels = np.array([int(line[3]) for line in lines], np.uint8)

    def build() -> Arrays:
        return {"images": np.stack([_read_png(file, size) for file in files])}

    identity = {"version": _VERSION, "size": size, "lists": files_identity(lists)}
    return stored(f"pathfinder{size}-files", identity, build)["images"], labels


def _read_png(file: Path, size: int) -> np.ndarray:
    try:
        with require("PIL.Image", extra="train").open(file) as image:
            pixels = np.asarray(image.convert("L"))
    except OSError as error:  # missing, empty, or no image
        raise ValueError(f"{file} is not an image ({error}): get the release again") from error
    if pixels.shape != (size, size):
        raise ValueError(f"{file} has {pixels.shape} pixels: expected ({size}, {size})")
    return pixels
