"""Memory tasks: what was read is asked for again, symbols exactly and signals as well as may be."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.data.synthetic import IGNORED, Copying, Delay
from tnnlab.models import CausalLM, CausalRegressor
from tnnlab.pretrained import Pretrained
from tnnlab.training.evaluation import add_up, answers, rates
from tnnlab.training.memory import HELD_OUT, MemoryRun
from tnnlab.training.objective import Objective, share


class Recall(Objective):
    """Samples drawn as they are needed, never twice; evaluation on those of other seeds.

    Args:
        config: of the run.
        accelerator: device and processes.
    """

    def __init__(self, config: MemoryRun, accelerator: Any) -> None:
        self.config, self.accelerator = config, accelerator
        self.share = share(config, accelerator)
        self.task = config.data.make(batch_size=config.training.batch_size, seed=config.seed)
        self.held_out = {
            split: config.data.make(batch_size=config.evaluation.samples, seed=seed).batch(0)
            for split, seed in HELD_OUT.items()
        }
        first = {"train": self.task.batch(0), **self.held_out}
        self.checksums = {split: digest(*tensors) for split, tensors in first.items()}
        self.positions = config.training.batch_size * self.task.length

    def batch(self, number: int) -> tuple[Tensor, ...]:
        # An update has the same samples, however many micro-batches and processes share it.
        update, micro = divmod(number, self.config.training.accumulate)
        size = self.share["batch_size"]
        first = (micro * self.share["world"] + self.share["rank"]) * size
        return tuple(tensor[first : first + size] for tensor in self.task.batch(update))

    @abstractmethod
    def tally(self, outputs: Tensor, targets: Tensor) -> tuple[float, ...]:
        """What a batch adds to the sums that :meth:`measures` takes."""

    @abstractmethod
    def measures(self, *sums: float) -> dict[str, float]: ...

    def measure(self, model: nn.Module, split: str) -> dict[str, float]:
        size = self.config.evaluation.batch_size
        batches = zip(*(tensor.split(size) for tensor in self.held_out[split]), strict=True)

        def tally(batch: tuple[Tensor, ...]) -> tuple[float, ...]:
            inputs, targets = batch
            return self.tally(model(inputs).float(), targets)

        return self.measures(*add_up(model, batches, tally, self.accelerator))

    def provenance(self) -> dict[str, Any]:
        options = {k: v for k, v in vars(self.task).items() if k not in ("batch_size", "seed")}
        samples = dict.fromkeys(self.held_out, self.config.evaluation.samples)
        return {
            "task": self.config.data.task,
            "description": "drawn as it is needed, by tnnlab.data.synthetic",
            **options,
            "samples": samples,
        }


class CopyingRecall(Recall):
    """The cross entropy of the symbols that are asked for; the other positions have no say.

    The measures of a split are the mean ``loss`` in nats, ``accuracy`` and its complement
    ``error``, and the number of ``symbols``.
    """

    criterion = "error"
    task: Copying

    def make_model(self) -> Pretrained:
        return CausalLM(self.config.model)

    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        tokens, targets = batch
        scores = model(tokens).float()
        return F.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)

    def tally(self, outputs: Tensor, targets: Tensor) -> tuple[float, ...]:
        asked = targets != IGNORED
        return answers(outputs[asked], targets[asked])

    def measures(self, *sums: float) -> dict[str, float]:
        return {**rates(*sums), "symbols": int(sums[-1])}

    def summary(self, found: Mapping[str, float]) -> str:
        return f"accuracy {found['accuracy']:.2%}, {found['loss']:.4f} nats"

    def baseline(self) -> dict[str, Any]:
        chance = 1 / (self.task.vocab_size - 2)
        return {
            "model": "guess",
            "loss": -math.log(chance),
            "accuracy": chance,
            "error": 1 - chance,
        }


class DelayRecall(Recall):
    """The mean square error at every position.

    The measures of a split are the mean square error as the ``loss``, its root ``rmse``, and
    ``relative_rmse``: over the root mean square of the targets, so that 1 is what a model has that
    always answers 0.
    """

    criterion = "rmse"
    task: Delay

    def make_model(self) -> Pretrained:
        return CausalRegressor(self.config.model)

    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        signal, targets = batch
        return F.mse_loss(model(signal).float(), targets)

    def tally(self, outputs: Tensor, targets: Tensor) -> tuple[float, ...]:
        outputs, targets = outputs.double(), targets.double()
        squares = (outputs - targets).square().sum(), targets.square().sum()
        return (*(square.item() for square in squares), targets.numel())

    def measures(self, *sums: float) -> dict[str, float]:
        wrong, asked, count = sums
        return {
            "loss": wrong / count,
            "rmse": math.sqrt(wrong / count),
            "relative_rmse": math.sqrt(wrong / asked),
        }

    def summary(self, found: Mapping[str, float]) -> str:
        return f"RMSE {found['rmse']:.4f}, {found['relative_rmse']:.2%} of the target's"

    def baseline(self) -> dict[str, Any]:
        targets = self.held_out["validation"][1]
        return {"model": "zero", **self.measures(*self.tally(torch.zeros_like(targets), targets))}


def make_recall(config: MemoryRun, accelerator: Any) -> Recall:
    """The objective of a run's task."""
    tasks = {"copying": CopyingRecall, "delay": DelayRecall}
    return tasks[config.data.task](config, accelerator)


def digest(*tensors: Tensor) -> str:
    """SHA-256 of the tensors' bytes."""
    return sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()
