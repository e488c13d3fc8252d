"""What a run learns: its data, its model, its loss and its measures. The loop knows no more."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tnnlab.pretrained import Pretrained
from tnnlab.training.config import KINDS, RunConfig, lookup


class Objective(ABC):
    """One kind of run.

    Attributes:
        criterion: the measure that the best checkpoint has the least of.
        checksums: of the data, by split: a resumed run has the same ones.
        positions: of all samples of an update, over all processes: what a speed counts.
    """

    criterion: str
    checksums: dict[str, str]
    positions: int

    @abstractmethod
    def make_model(self) -> Pretrained: ...

    @abstractmethod
    def batch(self, number: int) -> tuple[Tensor, ...]:
        """A micro-batch of this process, counted from 0: what :meth:`loss` takes."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """The mean loss of a micro-batch, in nats where it is a cross entropy."""

    @abstractmethod
    def measure(self, model: nn.Module, split: str) -> dict[str, float]:
        """Of "validation" or "test", over all processes; the mode of the model is restored."""

    @abstractmethod
    def summary(self, found: Mapping[str, float]) -> str:
        """Measures as a line for the terminal."""

    def save(self, model: Pretrained, folder: Path) -> None:
        """All that is needed to use the model: what ``from_pretrained`` of its class reads."""
        model.save_pretrained(folder)

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """What the data are, for the record."""

    def baseline(self) -> dict[str, Any] | None:
        """A model that needs no training, measured on the validation split."""
        return None

    def at_the_end(self, model: nn.Module) -> Iterator[tuple[str, dict[str, float]]]:
        """Further measures of the trained model, each with its kind."""
        return iter(())

    def samples(self, model: Pretrained) -> list[str]:
        """Texts that the model draws."""
        return []


def share(config: RunConfig, accelerator: Any) -> dict[str, int]:
    """What a process deals out of each update, as the batches of all kinds take it."""
    training = config.training
    return {
        "batch_size": training.batch_size // (training.accumulate * accelerator.num_processes),
        "seed": config.seed,
        "rank": accelerator.process_index,
        "world": accelerator.num_processes,
    }


def make_objective(config: RunConfig, accelerator: Any) -> Objective:
    """Load the data of a run.

    Raises:
        ConfigError: settings that do not fit the data.
    """
    return lookup(KINDS[config.kind][1])(config, accelerator)  # type: ignore[no-any-return]
