"""What a run reports: lines of JSON, TensorBoard, a progress bar."""

import json
import math
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tnnlab._extras import require
from tnnlab._files import atomic_file
from tnnlab.training.checkpoints import Progress
from tnnlab.training.errors import NonFiniteLoss
from tnnlab.training.optimisation import TrainingConfig
from tnnlab.training.schedules import learning_rate


class LossWindow:
    """Losses and gradient norms since the last report, left on the device until they are asked for.

    Reading a number from a GPU waits for it; one read per report costs nothing.
    """

    def __init__(self, settled: list[list[float]]) -> None:
        self.settled = settled
        self.waiting: list[Tensor] = []

    def add(self, loss: Tensor, norm: Tensor) -> None:
        """Note one update: mean loss in nats per token, norm of the gradient (both scalars)."""
        self.waiting.append(torch.stack((loss.detach(), norm.detach())).float())

    def settle(self, accelerator: Any) -> list[list[float]]:
        """Bring all to the CPU (mean over processes): ``[[loss, norm], …]``, oldest first."""
        if self.waiting:
            values = accelerator.reduce(torch.stack(self.waiting), reduction="mean")
            self.settled += values.tolist()
            self.waiting = []
        return self.settled

    def refuse_non_finite(self, accelerator: Any, step: int, config: TrainingConfig) -> None:
        """Raise :class:`NonFiniteLoss` for the first bad update of the window.

        Args:
            accelerator: of the run.
            step: updates made so far.
            config: knows the learning rate of each update.
        """
        values = self.settle(accelerator)
        scaled = accelerator.scaler is not None  # fp16 skips an update whose gradient overflows
        for index, (loss, norm) in enumerate(values):
            if not math.isfinite(loss) or not (scaled or math.isfinite(norm)):
                bad = step - len(values) + index
                raise NonFiniteLoss(
                    f"the loss of step {bad + 1} is {loss:.6g} "
                    f"(learning rate {learning_rate(bad, config):.3g}, gradient norm {norm:.3g})"
                )

    def report(self) -> dict[str, float]:
        """Mean loss of the window, and its last gradient norm; then begin a new one."""
        loss = math.fsum(value[0] for value in self.settled) / len(self.settled)
        norm = self.settled[-1][1]
        self.settled = []
        return {"loss": loss, "grad_norm": norm}


class Metrics:
    """Writes each report to ``metrics.jsonl``, to TensorBoard, and to the terminal.

    Args:
        out: the run's folder.
        at: where the run stands.
        steps: updates to make in all.
        writes: whether this process reports (one of them does).
        progress: show a bar; None: only on a terminal.
    """

    def __init__(
        self, out: Path, at: Progress, *, steps: int, writes: bool, progress: bool | None
    ) -> None:
        self.path = out / "metrics.jsonl"
        self.writes = writes
        self._seen = (at.tokens, at.training_s)
        disable = not writes or not (sys.stderr.isatty() if progress is None else progress)
        self.bar = require("tqdm", "train").tqdm(
            total=steps, initial=at.step, unit="step", disable=disable, dynamic_ncols=True
        )
        self.board = None
        if writes:
            require("tensorboard", "train")
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(out / "tensorboard"), purge_step=at.step + 1)
            self.file = self.path.open("a", encoding="utf-8")

    def log(self, kind: str, step: int, **values: Any) -> None:
        """Report ``values`` (numbers or texts) of one kind: train, validation, test, sample."""
        if not self.writes:
            return
        values = {key: _finite(value) for key, value in values.items()}
        line = {"kind": kind, "step": step, **values}
        self.file.write(json.dumps(line, allow_nan=False) + "\n")
        self.file.flush()
        self._on_board(lambda board: _add(board, kind, step, values))

    def speed(self, tokens: int, seconds: float) -> float:
        """Tokens per second since this was last asked, from the running totals of both."""
        passed = max(seconds - self._seen[1], 1e-9)
        speed, self._seen = (tokens - self._seen[0]) / passed, (tokens, seconds)
        return speed

    def say(self, text: str) -> None:
        """Print a line without tearing the bar."""
        if self.writes:
            self.bar.write(text, file=sys.stdout)

    def copy(self, place: Path) -> None:
        """Put a copy of the lines so far into a checkpoint."""
        shutil.copyfile(self.path, place / "metrics.jsonl")

    def close(self) -> None:
        self.bar.close()
        if self.writes:
            self._on_board(lambda board: board.close())
            with suppress(OSError):  # every line was flushed when it was written
                self.file.close()

    def _on_board(self, act: Callable[[Any], None]) -> None:
        """TensorBoard is a convenience: what fails there (a full disk) must not end the run."""
        try:
            if self.board is not None:
                act(self.board)
        except OSError as error:
            self.board = None
            self.say(f"no more TensorBoard ({error}); metrics.jsonl goes on")


def _add(board: Any, kind: str, step: int, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, str):
            board.add_text(f"{kind}/{key}", f"```\n{value}\n```", step)
        elif value is not None:
            board.add_scalar(f"{kind}/{key}", value, step)


def _finite(value: Any) -> Any:
    """JSON has no infinity: the perplexity of a model that knows nothing becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def restore_metrics(out: Path, checkpoint: Path | None) -> None:
    """Make the run's metrics those of its checkpoint: later lines will be written again."""
    with atomic_file(out / "metrics.jsonl") as part:
        if checkpoint is not None:
            shutil.copyfile(checkpoint / "metrics.jsonl", part)


def read_metrics(out: Path) -> list[dict[str, Any]]:
    """All reports of a run, in order.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "metrics.jsonl").write_text('{"kind": "train", "loss": 5.5}')
    ...     read_metrics(Path(folder))
    [{'kind': 'train', 'loss': 5.5}]
    """
    with (out / "metrics.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
