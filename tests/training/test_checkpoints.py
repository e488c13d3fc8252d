import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import accelerate
import pytest

from tests.training.helpers import change, losses
from tnnlab.models import CausalLM
from tnnlab.training import CheckpointError, RunConfig, train
from tnnlab.training.checkpoints import Checkpoints


def names(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())


def test_the_newest_and_the_best_are_kept(
    tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second evaluation is made to be the best.
    from tnnlab.training import loop

    look = loop.look
    monkeypatch.setattr(loop, "look", lambda run: look(run) - 100 * (run.at.step == 2))
    config = change(tiny, training={"checkpoint_every": 2, "steps": 10}, evaluation={"every": 2})
    record = train(config, tmp_path)
    assert names(tmp_path) == ["best.json", "step-00000002", "step-00000008", "step-00000010"]
    assert record["best"]["step"] == 2
    assert '"step-00000002"' in (tmp_path / "checkpoints/best.json").read_text()


def test_a_checkpoint_is_a_model_of_its_own(tiny: RunConfig, tmp_path: Path) -> None:
    train(tiny, tmp_path)
    final = CausalLM.from_pretrained(tmp_path / "model").state_dict()
    saved = CausalLM.from_pretrained(tmp_path / "checkpoints/step-00000012/model").state_dict()
    assert all(final[key].equal(saved[key]) for key in final)


def write_part_of_it(*arguments: Any, **settings: Any) -> None:
    folder = Path(arguments[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(b"half of")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(params=["simulated", "limited files", "small disk"])
def full_disk(
    request: pytest.FixtureRequest, tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A run's folder, where the first checkpoint fits and the second does not."""
    out = tmp_path / "run"
    places = out / "checkpoints"
    save = Checkpoints.save

    def second_fails(*arguments: Any, **settings: Any) -> Any:
        if not names(out) if places.is_dir() else True:
            return save(*arguments, **settings)
        if request.param == "simulated":
            with monkeypatch.context() as patch:
                patch.setattr(accelerate.Accelerator, "save_state", write_part_of_it)
                return save(*arguments, **settings)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # as if each file hit the end
        try:
            return save(*arguments, **settings)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    if request.param != "small disk":
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "save", second_fails)
            yield out
        return
    train(change(tiny, training={"steps": 3}), tmp_path / "measured")
    once = sum(f.stat().st_size for f in (tmp_path / "measured/checkpoints").rglob("*"))
    places.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={once * 3 // 2 // 1024}k", "none", str(places)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs the rights of root")
    try:
        yield out
    finally:
        subprocess.run(["umount", "--lazy", str(places)], check=True)


# The limit is the process's: TensorBoard's thread can meet it too, and the run goes on without it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_full_disk_leaves_the_checkpoint_before(
    full_disk: Path, tiny: RunConfig, tmp_path: Path
) -> None:
    with pytest.raises(
        CheckpointError, match=r"step 8 could not be written.*was removed; step-0"
    ) as e:
        train(tiny, full_disk, resume=True)
    assert "step-00000004 is intact. Make room on the disk" in str(e.value)
    assert [name for name in names(full_disk) if name != "best.json"] == ["step-00000004"]
    CausalLM.from_pretrained(full_disk / "checkpoints/step-00000004/model")


def test_going_on_after_a_full_disk(
    tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny, tmp_path / "whole")
    save = accelerate.Accelerator.save_state
    with monkeypatch.context() as patch:

        def second_fails(self: Any, folder: Path) -> None:
            act = write_part_of_it if list((tmp_path / "run").rglob("step-*")) else save
            act(self, folder)

        patch.setattr(accelerate.Accelerator, "save_state", second_fails)
        with pytest.raises(CheckpointError):
            train(tiny, tmp_path / "run")
    train(tiny, tmp_path / "run", resume=True)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_leftovers_of_a_killed_process_are_no_checkpoints(tiny: RunConfig, tmp_path: Path) -> None:
    train(tiny, tmp_path)
    partial = tmp_path / "checkpoints/.step-00000099.abc.part"
    partial.mkdir()
    assert Checkpoints(tmp_path / "checkpoints").newest() == tmp_path / "checkpoints/step-00000012"
    train(tiny, tmp_path, resume=True)
    assert not partial.exists()


def test_a_damaged_checkpoint_is_named(tiny: RunConfig, tmp_path: Path) -> None:
    train(tiny, tmp_path)
    newest = tmp_path / "checkpoints/step-00000012"
    (newest / "state/optimizer.bin").write_bytes(b"?")
    with pytest.raises(CheckpointError, match=r"step-00000012 cannot be read .*remove that folder"):
        train(tiny, tmp_path, resume=True)
    shutil.rmtree(newest)
    train(tiny, tmp_path, resume=True)


def test_random_states_that_were_not_restored_are_noticed(tiny: RunConfig, tmp_path: Path) -> None:
    train(tiny, tmp_path)
    (tmp_path / "checkpoints/step-00000012/state/random_states_0.pkl").write_bytes(b"?")
    with pytest.raises(CheckpointError, match=r"random states .* could not be restored"):
        train(tiny, tmp_path, resume=True)
