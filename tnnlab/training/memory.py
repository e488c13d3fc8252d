"""What a run of a memory task is made of: Copying or Delay, and a causal model for it."""

from dataclasses import dataclass, field
from typing import Any

from tnnlab.data.synthetic import Copying, Delay
from tnnlab.models import TNNConfig
from tnnlab.training.checks import at_least, check, no_future, one_of
from tnnlab.training.config import RunConfig
from tnnlab.training.errors import ConfigError

TASKS: dict[str, type[Copying] | type[Delay]] = {"copying": Copying, "delay": Delay}

#: Of the samples to evaluate on, which are the same in every run; a run's own seed is below them.
HELD_OUT = {"validation": 2**31, "test": 2**31 + 1}


@dataclass
class MemoryConfig:
    """Which memory task.

    Attributes:
        task: "copying" or "delay".
        options: of its class in :mod:`tnnlab.data.synthetic`, by name: ``{symbols: 256}``,
            ``{length: 1024, lag: 256}``.

    >>> MemoryConfig("delay", {"length": 100, "lag": 10}).make(batch_size=2, seed=0).lag
    10
    """

    task: str = "copying"
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one_of("data.task", self.task, tuple(TASKS))
        self.make(batch_size=1, seed=0)

    def make(self, *, batch_size: int, seed: int) -> Copying | Delay:
        """The task in batches of this size.

        Raises:
            ConfigError: an option that the task does not have, or a value that it refuses.
        """
        try:
            return TASKS[self.task](batch_size=batch_size, seed=seed, **self.options)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"data.options: {error}") from error


@dataclass
class MemoryEvaluationConfig:
    """What is looked at while a model learns to remember.

    Attributes:
        every: updates between two evaluations (also before the first and after the last one).
        samples: in the validation and in the test split; the same ones for all runs of a task.
        batch_size: samples per forward pass, per device.
        test: whether to evaluate the test split too, once, at the end.

    >>> MemoryEvaluationConfig(samples=0)
    Traceback (most recent call last):
        ...
    tnnlab.training.errors.ConfigError: evaluation.samples is 0; it is at least 1
    """

    every: int = 1000
    samples: int = 1000
    batch_size: int = 64
    test: bool = True

    def __post_init__(self) -> None:
        for key in ("every", "samples", "batch_size"):
            at_least(f"evaluation.{key}", getattr(self, key), 1)


@dataclass
class MemoryRun(RunConfig):
    """A run of a causal model that gives back what it read.

    Attributes:
        model: the network; its ``vocab_size`` is that of the task, 1 for signals.
        data: the task.
        evaluation: the looks at it.

    >>> try:
    ...     MemoryRun(model=TNNConfig(vocab_size=10), data=MemoryConfig("delay"))
    ... except ConfigError as error:
    ...     print(error)
    model.vocab_size is 10, and the task 'delay' has 1: set model.vocab_size to 1
    """

    model: TNNConfig = field(default_factory=lambda: TNNConfig(vocab_size=64))
    data: MemoryConfig = field(default_factory=MemoryConfig)  # pyright: ignore
    evaluation: MemoryEvaluationConfig = field(default_factory=MemoryEvaluationConfig)  # pyright: ignore
    kind: str = field(default="memory", init=False)

    def _check_parts(self) -> None:
        first = min(HELD_OUT.values())
        check(
            self.seed < first,
            f"seed is {self.seed}; it is below {first}, where the seeds of evaluation begin",
        )
        no_future(self.model.norm, "'rms', 'layer' or 'none'")
        task = self.data.make(batch_size=1, seed=0)
        wanted = task.vocab_size if isinstance(task, Copying) else 1
        check(
            self.model.vocab_size == wanted,
            f"model.vocab_size is {self.model.vocab_size}, and the task {self.data.task!r} has "
            f"{wanted}: set model.vocab_size to {wanted}",
        )
