"""From a trained masked language model to a classifier: its trunk is kept, the head is new."""

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any

from tnnlab.models import MaskedLM, TNNConfig
from tnnlab.pretrained import WEIGHTS_NAME, Pretrained
from tnnlab.training.classification import Classification
from tnnlab.training.errors import ConfigError
from tnnlab.training.finetune import FineTuneRun


class FineTuning(Classification):
    """A classification whose model begins with the trunk of another."""

    config: FineTuneRun

    def make_model(self) -> Pretrained:
        model = super().make_model()
        if self.config.init is not None:
            load_trunk(model, Path(self.config.init))
        return model

    def provenance(self) -> dict[str, Any]:
        if self.config.init is None:
            return super().provenance()
        with (Path(self.config.init) / WEIGHTS_NAME).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {**super().provenance(), "init_sha256": digest}


def load_trunk(model: Pretrained, folder: Path) -> None:
    """Give a model the embedding, the blocks and the last norm of a saved masked language model.

    Args:
        model: a classifier of tokens; its head stays as it is.
        folder: of the masked language model.

    Raises:
        ConfigError: the folder holds no such model, or one with other settings than ``model``;
            dropout has no weights, and may differ.

    >>> import tempfile
    >>> from tnnlab.models import ClassifierConfig, SequenceClassifier
    >>> shape = {"vocab_size": 258, "depth": 1, "width": 16, "glu_width": 16, "dropout": 0.0}
    >>> trained, model = MaskedLM(TNNConfig(**shape)), SequenceClassifier(ClassifierConfig(**shape))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trained.save_pretrained(folder)
    ...     load_trunk(model, Path(folder))
    >>> bool((model.embedding.weight == trained.embedding.weight).all())
    True
    """
    try:
        trained = MaskedLM.from_pretrained(folder)
    except (FileNotFoundError, ValueError) as error:
        raise ConfigError(f"init: {error}") from error
    for key in (field.name for field in fields(TNNConfig)):
        ours, theirs = getattr(model.config, key), getattr(trained.config, key)
        if key != "dropout" and ours != theirs:
            raise ConfigError(
                f"model.{key} is {ours!r}, and the model in {folder} has {theirs!r}: "
                f"set model.{key} to {theirs!r}"
            )
    model.load_state_dict(trained.state_dict(), strict=False)  # they share the trunk alone
