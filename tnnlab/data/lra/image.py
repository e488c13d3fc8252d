"""Image: what is on a small photograph? CIFAR-10 (Krizhevsky, 2009), in grey."""

import hashlib
import io
from os import PathLike

import numpy as np

from tnnlab._extras import require
from tnnlab.data.lra.files import check_counts, check_labels, local_folder, read_table
from tnnlab.data.lra.splits import Images
from tnnlab.data.lra.store import Arrays, stored
from tnnlab.data.lra.task import Task

HUB_NAME = "uoft-cs/cifar10"
COUNTS = {"train": 50_000, "test": 10_000}
HELD_OUT = 5_000
SIZE = 32
# As published models had it (S4's loader): of grey levels 0 … 1.
MEAN, STD = 122.6 / 255, 61.0 / 255
_VERSION = 1  # of the code behind the stored arrays


def load_image(*, folder: str | PathLike[str] | None = None) -> Task:
    """CIFAR-10 as 32 × 32 grey images; the last 5,000 training rows are for validation.

    Grey levels are those of LRA, which converts with TensorFlow (`grey`). LRA validates on the last
    tenth as well, but in TensorFlow Datasets' order of the rows, and S4 on a random one.

    Args:
        folder: with ``plain_text/{train,test}-*.parquet``; default ``$TNNLAB_DATA/cifar10``, else
            ``$TNNLAB_DATA/cifar10-jpeg`` (re-encoded as JPEG, which the description then says),
            else the Hugging Face hub through `datasets`.

    Raises:
        FileNotFoundError: no files, or no network to get them.
        ValueError: files that are not CIFAR-10.
        ImportError: `pillow` or a package for the files is missing.

    >>> load_image(folder="not-here")  # or a folder with the files
    Traceback (most recent call last):
        ...
    FileNotFoundError: no folder 'not-here'
    """
    place = local_folder("cifar10", "cifar10-jpeg", folder=folder)
    tables = {split: read_table(HUB_NAME, place, split, ["img", "label"]) for split in COUNTS}
    check_counts("CIFAR-10", {name: table.num_rows for name, table in tables.items()}, COUNTS)
    labels = {split: table.column("label").to_numpy() for split, table in tables.items()}
    for split in COUNTS:
        check_labels("CIFAR-10", labels[split], 10)
    encoded = {
        split: [cell["bytes"] for cell in table.column("img").to_pylist()]
        for split, table in tables.items()
    }

    def build() -> Arrays:
        return {
            split: np.stack([grey(_decode(content)) for content in contents])
            for split, contents in encoded.items()
        }

    digest = hashlib.sha256(b"".join(encoded["train"] + encoded["test"])).hexdigest()
    pixels = stored("cifar10-grey", {"version": _VERSION, "encoded": digest}, build)
    cut = COUNTS["train"] - HELD_OUT
    is_jpeg = encoded["train"][0].startswith(b"\xff\xd8")
    lossy = "; the images were re-encoded as JPEG, which loses detail" if is_jpeg else ""
    return Task(
        "image",
        f"CIFAR-10 in grey, 32 × 32 pixels{lossy}",
        f"https://huggingface.co/datasets/{HUB_NAME}",
        "not stated by its authors, who ask for a citation (Krizhevsky, 2009)",
        10,
        Images(pixels["train"][:cut], labels["train"][:cut], MEAN, STD),
        Images(pixels["train"][cut:], labels["train"][cut:], MEAN, STD),
        Images(pixels["test"], labels["test"], MEAN, STD),
    )


def _decode(content: bytes) -> np.ndarray:
    """An encoded image as uint8 of ``(32, 32, 3)``."""
    with require("PIL.Image", extra="train").open(io.BytesIO(content)) as image:
        if image.mode != "RGB" or image.size != (SIZE, SIZE):
            raise ValueError(
                f"an image of mode {image.mode} and size {image.size} is not of CIFAR-10, where "
                "all are RGB and 32 × 32: get the files again"
            )
        return np.asarray(image)


def grey(image: np.ndarray) -> np.ndarray:
    """Grey levels as ``tf.image.rgb_to_grayscale`` of uint8 gives them, in single precision.

    Luma by the weights 0.2989, 0.5870, 0.1140 of levels 0 … 1, times 255.5, cut to an integer.
    (Pillow's mode "L", which S4's loader uses, rounds and differs by one level here and there.)

    Args:
        image: uint8 of ``(..., 3)``.

    Returns:
        uint8 of ``(...)``.
    """
    red, green, blue = np.moveaxis(image.astype(np.float32) * np.float32(1 / 255), -1, 0)
    luma = red * np.float32(0.2989) + green * np.float32(0.5870) + blue * np.float32(0.1140)
    return (luma * np.float32(255.5)).astype(np.uint8)
