from pathlib import Path

import pytest

from tnnlab._extras import require
from tnnlab._files import atomic_file, atomic_folder


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    with atomic_file(target) as path:
        path.write_text("all of it")
        assert not target.exists()
    assert target.read_text() == "all of it"
    assert [p.name for p in target.parent.iterdir()] == ["file.txt"]


def test_a_failure_keeps_the_earlier_file(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("before")
    with pytest.raises(KeyboardInterrupt), atomic_file(target) as path:
        path.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "run") as path:
        (path / "inner").mkdir()
        (path / "inner" / "a").write_text("a")
    assert (tmp_path / "run" / "inner" / "a").read_text() == "a"
    with pytest.raises(FileExistsError, match="exists already"), atomic_folder(tmp_path / "run"):
        pass


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), atomic_folder(tmp_path / "run") as path:
        (path / "a").write_text("a")
        raise OSError("full")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"`nowhere`.*pip install 'tnnlab\[book\]'"):
        require("nowhere.module", "book")
    assert require("json.decoder", "book").__name__ == "json.decoder"
