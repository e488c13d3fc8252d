"""What a run of a classifier is made of: a task of the Long Range Arena, and a model for it."""

from dataclasses import dataclass, field
from typing import Any

from tnnlab.data.lra import TASK_NAMES
from tnnlab.models import ClassifierConfig, ImageConfig
from tnnlab.training.checks import at_least, no_future, one_of
from tnnlab.training.config import RunConfig


@dataclass
class TaskConfig:
    """Which task of the Long Range Arena.

    Attributes:
        task: as :func:`tnnlab.data.lra.load_task` names it.
        options: of the task's loader, by name: ``{source: generated, samples: 1000}``.
        length: what sequences are padded to; null for images, and for batches that are as long as
            their longest sample.
    """

    task: str = "listops"
    options: dict[str, Any] = field(default_factory=dict)
    length: int | None = None

    def __post_init__(self) -> None:
        one_of("data.task", self.task, TASK_NAMES)
        at_least("data.length", self.length, 1)


@dataclass
class TaskEvaluationConfig:
    """What is looked at while a classifier is being trained.

    Attributes:
        every: updates between two evaluations (also before the first and after the last one).
        limit: first samples of the validation and test splits to evaluate, up to a whole batch;
            null: all of them.
        batch_size: samples per forward pass, per device.
        test: whether to evaluate the test split too, once, at the end.
    """

    every: int = 1000
    limit: int | None = None
    batch_size: int = 64
    test: bool = True

    def __post_init__(self) -> None:
        for key in ("every", "limit", "batch_size"):
            at_least(f"evaluation.{key}", getattr(self, key), 1)


@dataclass
class ClassifierRun(RunConfig):
    """A run of a classifier of sequences, or of pairs of them.

    Attributes:
        model: the network.
        data: the task.
        evaluation: the looks at it.
    """

    model: ClassifierConfig = field(default_factory=lambda: ClassifierConfig(16, classes=10))
    data: TaskConfig = field(default_factory=TaskConfig)  # pyright: ignore
    evaluation: TaskEvaluationConfig = field(default_factory=TaskEvaluationConfig)  # pyright: ignore
    kind: str = field(default="classifier", init=False)

    def _check_parts(self) -> None:
        if self.model.causal:
            no_future(self.model.norm)


@dataclass
class ImageRun(ClassifierRun):
    """A run of a classifier of images."""

    model: ImageConfig = field(default_factory=lambda: ImageConfig(classes=10))
    data: TaskConfig = field(default_factory=lambda: TaskConfig("image"))  # pyright: ignore
    kind: str = field(default="image", init=False)
