"""Checkpoints that are either complete or absent.

``checkpoints/step-00000100/`` holds

* ``state/``: what accelerate saves: weights, optimiser, random states, fp16 loss scale;
* ``model/``: the model and tokenizer alone, for ``CausalLM.from_pretrained`` and
  ``tnnlab generate``;
* ``metrics.jsonl``: the run's metrics up to this step;
* ``config.json`` and ``progress.json``: the run's configuration, and where it stands.

The learning rate and the batches are functions of the step, which is all there is to keep of them.
A folder is written beside its place, flushed to the disk, then renamed.
"""

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch

from tnnlab._extras import require
from tnnlab._files import atomic_file, atomic_folder
from tnnlab.training.config import RunConfig, differences
from tnnlab.training.errors import CheckpointError, ConfigError

# Settings that move no weight: a resumed run may have others.
HARMLESS = (
    "title",
    "evaluation.",
    "training.log_every",
    "training.checkpoint_every",
    "training.keep",
)


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        started: when the run began (UTC, ISO 8601).
        step: updates made.
        tokens: training tokens seen.
        elapsed_s: wall time of all sessions of the run, in seconds.
        training_s: the part of it spent in updates.
        data: SHA-256 of each split's tokens.
        window: (loss, gradient norm) of the updates since the last line of metrics.
        best: step and criterion of the best evaluation that has a checkpoint.
        random: digest of torch's random state on the main process.
    """

    started: str = ""
    step: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    training_s: float = 0.0
    data: dict[str, str] = field(default_factory=dict)
    window: list[list[float]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    random: str = ""


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(path for path in self.folder.glob("step-*") if path.is_dir())

    def newest(self) -> Path | None:
        """The newest complete checkpoint, or None."""
        return self.all()[-1] if self.all() else None

    def clean(self) -> None:
        """Remove what a killed process left half-written."""
        for partial in self.folder.glob(".step-*.part"):
            shutil.rmtree(partial, ignore_errors=True)

    def save(self, accelerator: Any, progress: Progress, write: Callable[[Path], None]) -> Path:
        """Write one checkpoint; all processes call this together.

        Args:
            accelerator: holds model, optimiser and loss scale.
            progress: where the run stands.
            write: puts the rest into the folder that it is given (main process only).

        Raises:
            CheckpointError: it could not be written (a full disk, say). The partial folder is
                removed, and earlier checkpoints are as they were.
        """
        place = self.folder / f"step-{progress.step:08d}"
        if place.exists():
            return place
        progress.random = random_digest()
        broadcast = require("accelerate.utils", "train").broadcast_object_list
        try:
            with ExitStack() as stack:
                main = accelerator.is_main_process
                folder = stack.enter_context(atomic_folder(place)) if main else None
                [folder] = broadcast([folder])
                accelerator.save_state(folder / "state")
                accelerator.wait_for_everyone()
                if main:
                    write(folder)
                    write_json(folder / "progress.json", asdict(progress))
        # A full disk is an OSError to Python, a RuntimeError to torch and a SafetensorError to
        # safetensors.
        except Exception as error:
            kept = self.newest()
            raise CheckpointError(
                f"the checkpoint of step {progress.step} could not be written to {self.folder} "
                f"({_short(error)}). The partial one was removed; "
                + (f"{kept.name} is intact." if kept else "there is no earlier one.")
                + " Make room on the disk, then go on with --resume."
            ) from error
        return place

    def prune(self, keep: int, best: dict[str, Any] | None) -> None:
        """Point ``best.json`` to the best checkpoint; remove all but it and the newest ``keep``."""
        if best is not None:
            write_json(self.folder / "best.json", {**best, "folder": f"step-{best['step']:08d}"})
        for old in self.all()[:-keep]:
            if best is None or old.name != f"step-{best['step']:08d}":
                shutil.rmtree(old)

    def load(self, accelerator: Any, path: Path) -> None:
        """Put weights, optimiser, loss scale and random states back.

        Raises:
            CheckpointError: the files cannot be read, or the random states were not restored.
        """
        progress = read_progress(path)
        try:
            accelerator.load_state(path / "state")
        except Exception as error:
            raise CheckpointError(
                f"{path} cannot be read ({_short(error)}): remove that folder to go on from the "
                "one before it"
            ) from error
        # accelerate passes over a random state that it cannot read; the run would not be the same.
        if accelerator.is_main_process and random_digest() != progress.random:
            raise CheckpointError(f"the random states in {path} could not be restored")


def read_progress(path: Path) -> Progress:
    """Where the run stood at the checkpoint ``path``."""
    return Progress(**json.loads((path / "progress.json").read_text(encoding="utf-8")))


def check_same_run(config: RunConfig, path: Path, step: int) -> None:
    """Refuse to resume the checkpoint ``path`` with settings that make it another run.

    Raises:
        ConfigError: names the settings that differ, with both values.
    """
    saved = RunConfig.from_dict(json.loads((path / "config.json").read_text(encoding="utf-8")))
    changed = differences(saved, config)
    if config.training.schedule == "inverse-square-root" and config.training.steps >= step:
        changed.pop("training.steps", None)  # its rate does not depend on the number of steps
    matter = {key: pair for key, pair in changed.items() if not key.startswith(HARMLESS)}
    if matter:
        listed = "; ".join(f"{key} was {old!r}, is {new!r}" for key, (old, new) in matter.items())
        raise ConfigError(
            f"{path} belongs to a run with other settings ({listed}): "
            "resume with the same settings, or start in another folder (--out)"
        )


def _short(error: Exception) -> str:
    """torch's messages can fill a page."""
    return shorten(f"{type(error).__name__}: {error}", 160)


def random_digest() -> str:
    """A short digest of torch's random state on the CPU."""
    return sha256(torch.get_rng_state().numpy().tobytes()).hexdigest()[:16]


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all; NaN and infinity are refused, as JSON has none."""
    with atomic_file(path) as part:
        part.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
