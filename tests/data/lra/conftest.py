"""Small files in the layout of the published ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WriteParquet = Callable[[str, dict[str, dict[str, list[Any]]]], Path]


@pytest.fixture
def write_parquet(tmp_path: Path) -> WriteParquet:
    """Write the columns of each split, in two files, below a folder as on the hub."""
    arrow = pytest.importorskip("pyarrow", reason="needs the extra 'train'")
    parquet = pytest.importorskip("pyarrow.parquet")

    def write(name: str, splits: dict[str, dict[str, list[Any]]]) -> Path:
        folder = tmp_path / "data" / name / "plain_text"
        folder.mkdir(parents=True)
        for split, columns in splits.items():
            table = arrow.table(columns)
            half = table.num_rows // 2
            for number, part in enumerate((table.slice(0, half), table.slice(half))):
                parquet.write_table(part, folder / f"{split}-{number:05}-of-00002.parquet")
        return folder.parent

    return write


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that TNNLAB_DATA names, which `write_parquet` writes into."""
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("TNNLAB_DATA", str(folder))
    return folder
