"""Weights as safetensors, with the configuration that rebuilds the model beside them."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from tnnlab._extras import require
from tnnlab._files import atomic_file

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"


class Pretrained(nn.Module):
    """A model that knows how to save and load itself; a subclass names its configuration class.

    The folder holds ``config.json`` (the architecture's name and the configuration's fields) and
    ``model.safetensors``. No pickle: loading runs no code from the files.

    >>> import tempfile
    >>> from tnnlab.models import CausalLM, TNNConfig
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=1, width=32, glu_width=32))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save_pretrained(folder)
    ...     CausalLM.from_pretrained(folder).num_parameters() == model.num_parameters()
    True
    """

    config_class: type
    config: Any

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write weights, then configuration, each complete or not at all.

        Args:
            folder: made if missing; files of an earlier save are replaced.
        """
        save_file = require("safetensors.torch", "train").save_file
        folder = Path(folder)
        config = {"architecture": type(self).__name__, **dataclasses.asdict(self.config)}
        weights = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        with atomic_file(folder / WEIGHTS_NAME) as path:
            save_file(weights, path, metadata={"format": "pt"})
        with atomic_file(folder / CONFIG_NAME) as path:
            path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], device: torch.device | str = "cpu"
    ) -> Self:
        """Rebuild a model from :meth:`save_pretrained`'s folder, in evaluation mode.

        Args:
            folder: holds ``config.json`` and ``model.safetensors``.
            device: where the weights go.

        Raises:
            FileNotFoundError: one of the two files is missing.
            ValueError: the folder holds another architecture, or a configuration or weights that
                do not fit it.
        """
        load_file = require("safetensors.torch", "train").load_file
        folder = Path(folder)
        for name in (CONFIG_NAME, WEIGHTS_NAME):
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"{folder} holds no {name}: give a folder written by save_pretrained, "
                    f"which has {CONFIG_NAME} and {WEIGHTS_NAME}"
                )
        fields = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
        architecture = fields.pop("architecture", None)
        if architecture != cls.__name__:
            raise ValueError(f"{folder} holds a {architecture}, not a {cls.__name__}")
        known = {field.name for field in dataclasses.fields(cls.config_class)}
        if unknown := sorted(set(fields) - known):
            raise ValueError(
                f"{folder / CONFIG_NAME} has unknown keys {unknown}; "
                f"{cls.config_class.__name__} has {sorted(known)}"
            )
        model = cls(cls.config_class(**fields))
        try:
            model.load_state_dict(load_file(folder / WEIGHTS_NAME))
        except RuntimeError as error:
            raise ValueError(
                f"{folder / WEIGHTS_NAME} does not fit its {CONFIG_NAME}: {error}"
            ) from error
        return model.to(device).eval()

    def num_parameters(self) -> int:
        """How many numbers are learned (shared ones counted once)."""
        return sum(parameter.numel() for parameter in self.parameters())

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Groups for an optimiser: decoupled weight decay on matrices only.

        Norms, biases and decays of kernels (all parameters of one dimension) get none, nor do the
        numbers of a state space (``kernel`` is True in their group): decay would move its poles.
        """
        learned = {id(p): p for p in self.parameters() if p.requires_grad}
        kernels = [
            learned.pop(id(p))
            for module in self.modules()
            if getattr(module, "is_state_space", False)
            for p in module.parameters(recurse=False)
            if id(p) in learned
        ]
        others = learned.values()
        groups = [
            ([p for p in others if p.ndim >= 2], weight_decay, False),
            ([p for p in others if p.ndim < 2], 0.0, False),
            (kernels, 0.0, True),
        ]
        return [
            {"params": params, "weight_decay": decay, "kernel": kernel}
            for params, decay, kernel in groups
            if params
        ]
