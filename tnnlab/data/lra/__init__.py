"""The tasks of the Long Range Arena (Tay et al., ICLR 2021): data, and batches that fit the models.

>>> from tnnlab.data.lra import SampleBatches, load_task
>>> from tnnlab.models import ClassifierConfig, SequenceClassifier
>>> task = load_task("listops", source="generated", samples=100, lengths=(10, 50))
>>> batch = SampleBatches(task.train, batch_size=8, seed=0).batch(0)
>>> config = ClassifierConfig(task.vocab_size, depth=1, width=16, glu_width=16, classes=10)
>>> SequenceClassifier(config)(*batch.inputs).shape  # pairs and images the same way
torch.Size([8, 10])
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from tnnlab.data.lra.batches import SampleBatches, evaluation_batches
from tnnlab.data.lra.image import load_image
from tnnlab.data.lra.listops import load_listops
from tnnlab.data.lra.listops_trees import generate_listops
from tnnlab.data.lra.passages import load_retrieval_stand_in
from tnnlab.data.lra.pathfinder import load_pathfinder
from tnnlab.data.lra.pathfinder_images import generate_pathfinder
from tnnlab.data.lra.ragged import Ragged
from tnnlab.data.lra.retrieval import load_retrieval
from tnnlab.data.lra.splits import Batch, Images, Pairs, Sequences, Split
from tnnlab.data.lra.task import Task
from tnnlab.data.lra.text import load_text
from tnnlab.data.names import check_name

_LOADERS: dict[str, Callable[..., Task]] = {
    "listops": load_listops,
    "text": load_text,
    "retrieval": load_retrieval,
    "retrieval-stand-in": load_retrieval_stand_in,
    "image": load_image,
    "pathfinder": load_pathfinder,
    "path-x": partial(load_pathfinder, size=128),
}
TASK_NAMES = tuple(_LOADERS)


def load_task(name: str, **options: Any) -> Task:
    """Load a task by name.

    Args:
        name: one of `TASK_NAMES`. ``"retrieval-stand-in"`` is not of the Long Range Arena.
        options: those of the task's own function, `load_listops`, `load_text`, `load_retrieval`,
            `load_retrieval_stand_in`, `load_image` or `load_pathfinder`.

    Raises:
        ValueError: unknown name.
        FileNotFoundError: the data are not on this machine; the message says where to get them.

    >>> task = load_task("listops", source="generated", samples=100, lengths=(10, 50))
    >>> len(task.train), len(task.validation), len(task.test)
    (96, 2, 2)
    """
    check_name("task", name, TASK_NAMES)
    return _LOADERS[name](**options)


__all__ = [
    "TASK_NAMES",
    "Batch",
    "Images",
    "Pairs",
    "Ragged",
    "SampleBatches",
    "Sequences",
    "Split",
    "Task",
    "evaluation_batches",
    "generate_listops",
    "generate_pathfinder",
    "load_image",
    "load_listops",
    "load_pathfinder",
    "load_retrieval",
    "load_retrieval_stand_in",
    "load_task",
    "load_text",
]
