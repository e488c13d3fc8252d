"""Arrays are made once, and never half-made."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tnnlab.data.lra.store import Arrays, files_identity, stored

ARRAYS = {"tokens": np.arange(1000, dtype=np.uint16), "labels": np.ones((3, 2), np.int8)}


class Build:
    """Counts how often it is called."""

    def __init__(self, pause: float = 0) -> None:
        self.calls, self.pause = 0, pause

    def __call__(self) -> Arrays:
        self.calls += 1
        time.sleep(self.pause)
        return ARRAYS


def check(arrays: Arrays) -> None:
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and np.array_equal(arrays[name], array)


def folder(tmp_path: Path) -> Path:
    (found,) = (path for path in (tmp_path / "cache" / "lra").iterdir() if path.is_dir())
    return found


def test_the_second_call_builds_nothing() -> None:
    build = Build()
    check(stored("some", {"seed": 0}, build))
    arrays = stored("some", {"seed": 0}, build)
    check(arrays)
    assert build.calls == 1 and not arrays["tokens"].flags.writeable
    stored("some", {"seed": 1}, build)
    stored("other", {"seed": 0}, build)
    assert build.calls == 3


def cut_off(place: Path) -> None:
    file = place / "tokens.npy"
    file.write_bytes(file.read_bytes()[:-10])


def lose_an_array(place: Path) -> None:
    (place / "labels.npy").unlink()


def lose_the_record(place: Path) -> None:
    (place / "record.json").unlink()


@pytest.mark.parametrize("damage", [cut_off, lose_an_array, lose_the_record, shutil.rmtree])
def test_what_is_not_whole_is_made_again(tmp_path: Path, damage) -> None:
    build = Build()
    stored("some", {}, build)
    damage(folder(tmp_path))
    check(stored("some", {}, build))
    assert build.calls == 2


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(np, "save", fail)
        stored("some", {}, Build())
    assert not [path for path in (tmp_path / "cache" / "lra").iterdir() if path.is_dir()]
    check(stored("some", {}, Build()))


def test_who_asks_at_once_waits() -> None:
    build = Build(pause=0.3)
    with ThreadPoolExecutor(4) as pool:
        for arrays in pool.map(lambda _: stored("some", {}, build), range(4)):
            check(arrays)
    assert build.calls == 1


def test_a_changed_file_is_another(tmp_path: Path) -> None:
    file = tmp_path / "some.tsv"
    file.write_text("one")
    before = files_identity([file])
    assert before == files_identity([file])
    file.write_text("other")
    assert files_identity([file]) != before
