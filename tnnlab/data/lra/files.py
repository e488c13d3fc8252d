"""Finding the files of a task, and saying what is missing."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tnnlab._extras import require
from tnnlab.data.folders import data_folder

RELEASE = "lra_release.gz of https://github.com/google-research/long-range-arena"


def local_folder(*places: str, folder: str | PathLike[str] | None = None) -> Path | None:
    """A folder given by the user, or the first of these places in ``TNNLAB_DATA`` that exists.

    Raises:
        FileNotFoundError: the given folder does not exist.
    """
    if folder is not None:
        given = Path(folder).expanduser()
        if not given.is_dir():
            raise FileNotFoundError(f"no folder {str(folder)!r}")
        return given
    root = data_folder()
    found = [] if root is None else [root / place for place in places if (root / place).is_dir()]
    return found[0] if found else None


def need_files(folder: Path, names: Sequence[str], what: str, source: str) -> list[Path]:
    """The paths of files that all have to be there.

    Raises:
        FileNotFoundError: some are missing; the message says which, and where to get them.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{what}: {', '.join(missing)} missing in {str(folder)!r}. They come from {source}"
        )
    return [folder / name for name in names]


def read_table(hub_name: str, folder: Path | None, split: str, columns: list[str]) -> Any:
    """Columns of one split of a data set of the Hugging Face hub, as a `pyarrow.Table`.

    Args:
        hub_name: such as ``"stanfordnlp/imdb"``, whose only configuration is ``plain_text``.
        folder: with ``plain_text/<split>-*.parquet`` in it, as on the hub; None: the hub itself,
            through `datasets`, which downloads and caches it.
        split: ``"train"`` or ``"test"``.
        columns: their names.

    Raises:
        FileNotFoundError: no such files, or the hub cannot be reached.
        ImportError: `pyarrow` (folder) or `datasets` (hub) is missing.
    """
    layout = f"{hub_name.split('/')[1]}/plain_text/{split}-*.parquet"
    if folder is not None:
        files = sorted((folder / "plain_text").glob(f"{split}-*.parquet"))
        if not files:
            raise FileNotFoundError(
                f"no plain_text/{split}-*.parquet in {str(folder)!r}: copy the parquet files of "
                f"https://huggingface.co/datasets/{hub_name} there, so that they lie as "
                f"$TNNLAB_DATA/{layout}"
            )
        arrow = require("pyarrow", extra="train")
        parquet = require("pyarrow.parquet", extra="train")
        return arrow.concat_tables([parquet.read_table(file, columns=columns) for file in files])
    datasets = require("datasets", extra="train")
    try:
        data = datasets.load_dataset(hub_name, "plain_text", split=split)
    except OSError as error:  # what `datasets` raises without a network
        raise FileNotFoundError(
            f"cannot get {hub_name} from the Hugging Face hub ({error}): check the network, or put "
            f"its parquet files into a folder as {layout} and point TNNLAB_DATA at that folder"
        ) from error
    return data.with_format("arrow")[:].select(columns)


def check_counts(what: str, found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    """Raise ValueError unless the splits have the published numbers of samples."""
    wrong = [name for name in expected if found[name] != expected[name]]
    if wrong:
        listed = ", ".join(
            f"{name} {found[name]:,} instead of {expected[name]:,}" for name in wrong
        )
        raise ValueError(
            f"{what} has other numbers of samples than published: {listed}. The files are cut off, "
            "or are those of another data set: get them again"
        )


def check_labels(what: str, labels: np.ndarray, classes: int) -> None:
    """Raise ValueError unless all labels are 0 … classes - 1."""
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"{what} has labels {labels.min()} to {labels.max()}: expected 0 to {classes - 1}. Are "
            "these the files of another data set?"
        )
