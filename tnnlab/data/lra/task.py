"""A task: three splits, and where they come from."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tnnlab.data.documents import SPLITS
from tnnlab.data.lra.splits import Images, Split
from tnnlab.data.names import check_name


@dataclass(frozen=True, eq=False)
class Task:
    """A classification task of the Long Range Arena (Tay et al., ICLR 2021), or one in its place.

    Attributes:
        name: as `load_task` knows it.
        description: what these samples are, and how they differ from the published ones.
        source, licence: where they come from, and their terms.
        classes: the number of labels, 0 … classes - 1.
        train, validation, test: the splits, all of one kind.

    >>> from tnnlab.data.lra import load_pathfinder
    >>> task = load_pathfinder("generated", samples=20)
    >>> task.provenance()["samples"], task.as_sequences().vocab_size
    ({'train': 16, 'validation': 2, 'test': 2}, 256)
    """

    name: str
    description: str
    source: str
    licence: str
    classes: int
    train: Split
    validation: Split
    test: Split

    def split(self, name: str) -> Split:
        """The split with this name: ``"train"``, ``"validation"`` or ``"test"``."""
        check_name("split", name, SPLITS)
        return getattr(self, name)

    @property
    def vocab_size(self) -> int | None:
        """Number of tokens, the padding included; None for images."""
        return getattr(self.train, "vocab_size", None)

    def as_sequences(self) -> "Task":
        """The same task with its images as sequences of pixels (`Images.sequences`)."""
        parts = {name: self.split(name) for name in SPLITS}
        return replace(
            self,
            **{
                n: part.sequences() if isinstance(part, Images) else part
                for n, part in parts.items()
            },
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) over samples and labels; the same means the same task."""
        digest = hashlib.sha256()
        for name in SPLITS:
            split = self.split(name)
            digest.update(f"{name} {len(split)}\0".encode())
            digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
            for array in split._content():
                digest.update(f"{array.shape}".encode())
                digest.update(np.ascontiguousarray(array, dtype="<u2").data)
        return digest.hexdigest()

    def provenance(self) -> dict[str, Any]:
        """What the data are, for a result record: JSON-able, with no path of this machine."""
        counts = {
            name: np.bincount(self.split(name).labels, minlength=self.classes).tolist()
            for name in SPLITS
        }
        return {
            "task": self.name,
            "description": self.description,
            "source": self.source,
            "licence": self.licence,
            "fingerprint": self.fingerprint,
            "samples": {name: sum(of_class) for name, of_class in counts.items()},
            "samples_of_each_class": counts,
        }
