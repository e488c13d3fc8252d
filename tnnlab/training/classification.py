"""The tasks of the Long Range Arena: one answer for a sequence, a pair of them, or an image."""

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.data.documents import SPLITS
from tnnlab.data.lra import Images, Pairs, SampleBatches, Split, evaluation_batches, load_task
from tnnlab.models import ImageClassifier, PairClassifier, SequenceClassifier
from tnnlab.pretrained import Pretrained
from tnnlab.training.errors import ConfigError
from tnnlab.training.evaluation import add_up, answers, rates
from tnnlab.training.objective import Objective, share
from tnnlab.training.tasks import ClassifierRun, ImageRun


class Classification(Objective):
    """Samples of a task; the cross entropy of their labels.

    The measures of a split are the mean ``loss`` in nats, ``accuracy`` and its complement
    ``error``, and the number of ``samples``.

    Args:
        config: of the run.
        accelerator: device and processes.
    """

    criterion = "error"

    def __init__(self, config: ClassifierRun, accelerator: Any) -> None:
        self.config, self.accelerator = config, accelerator
        with accelerator.main_process_first():
            self.task = load_run_task(config)
        self.checksums = {self.task.name: self.task.fingerprint}
        self.batches = SampleBatches(
            self.task.train, length=config.data.length, **share(config, accelerator)
        )
        first = self.batches.batch(0).inputs
        sequences = 2 if isinstance(self.task.train, Pairs) else 1
        self.positions = config.training.batch_size * sequences * math.prod(first[0].shape[1:])

    def make_model(self) -> Pretrained:
        model = self.config.model
        if isinstance(self.config, ImageRun):
            return ImageClassifier(self.config.model)
        pairs = isinstance(self.task.train, Pairs)
        return PairClassifier(model) if pairs else SequenceClassifier(model)

    def batch(self, number: int) -> tuple[Tensor, ...]:
        batch = self.batches.batch(number)
        return (*batch.inputs, batch.labels)

    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return F.cross_entropy(model(*batch[:-1]).float(), batch[-1])

    def measure(self, model: nn.Module, split: str) -> dict[str, float]:
        size, limit = self.config.evaluation.batch_size, self.config.evaluation.limit
        samples: Split = self.task.split(split)
        batches = islice(
            evaluation_batches(samples, batch_size=size, length=self.config.data.length),
            None if limit is None else math.ceil(limit / size),
        )
        nats, right, count = add_up(
            model,
            ((*batch.inputs, batch.labels) for batch in batches),
            lambda batch: answers(model(*batch[:-1]), batch[-1]),
            self.accelerator,
        )
        return {**rates(nats, right, count), "samples": int(count)}

    def summary(self, found: Mapping[str, float]) -> str:
        return f"accuracy {found['accuracy']:.2%}, {found['loss']:.4f} nats"

    def provenance(self) -> dict[str, Any]:
        return self.task.provenance()


def load_run_task(config: ClassifierRun) -> Any:
    """The task of a run, which fits its model.

    Raises:
        ConfigError: it does not.
    """
    data, model = config.data, config.model
    try:
        task = load_task(data.task, **data.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"data: {error}") from error
    images = isinstance(task.train, Images)
    if images != isinstance(config, ImageRun):
        kind = "images: the run's kind is 'image'" if images else "tokens: its kind is 'classifier'"
        raise ConfigError(f"the task {data.task!r} has {kind}, not {config.kind!r}")
    if images and data.length is not None:
        raise ConfigError(f"data.length is null for images; got {data.length}")
    if data.length is not None:
        splits: list[Any] = [task.split(name) for name in SPLITS]
        longest = max(int(split.lengths.max()) for split in splits)
        if longest > data.length:
            raise ConfigError(
                f"data.length is {data.length}, and the longest sequence of the task {data.task!r} "
                f"has {longest} tokens: set data.length to {longest} or more"
            )
    wanted: dict[str, int | None] = {"classes": task.classes}
    if not images:
        wanted["vocab_size"] = task.vocab_size
    for key, value in wanted.items():
        if getattr(model, key) != value:
            raise ConfigError(
                f"model.{key} is {getattr(model, key)}, and the task {data.task!r} has {value}: "
                f"set model.{key} to {value}"
            )
    return task
