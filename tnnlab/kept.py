"""Operators of trained language models, kept beside the records of their runs.

A file holds what makes the kernels, in half precision, and the configuration of the model; the
rest of the model, most of it, is left out.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from torch import nn

from tnnlab._extras import require
from tnnlab._files import atomic_file
from tnnlab.data.names import check_name
from tnnlab.models import CausalLM, TNNConfig
from tnnlab.operators.base import ToeplitzOperator
from tnnlab.results import records_folder

_SUFFIX = ".safetensors"


def kept_names() -> list[str]:
    """What :func:`trained_operators` can load.

    >>> kept_names()
    ['lm-small-fd', 'lm-small-tno']
    """
    return sorted(path.stem for path in _folder().glob(f"*{_SUFFIX}"))


def trained_operators(name: str) -> list[ToeplitzOperator]:
    """The operators of a trained model, one a layer, as they were in it.

    Args:
        name: one of :func:`kept_names`: of a sweep, and of one of its members.

    Raises:
        ValueError: no such name.

    >>> len(trained_operators("lm-small-tno")), trained_operators("lm-small-fd")[0].kernel(8).shape
    (6, torch.Size([480, 8]))
    """
    check_name("name", name, tuple(kept_names()))
    return load_operators(_folder() / f"{name}{_SUFFIX}")


def keep_operators(model: CausalLM, file: Path) -> None:
    """Write a model's operators to a file, complete or not at all.

    >>> import tempfile
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=2, width=32, glu_width=32, decay=0.9))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep_operators(model, Path(folder, "mine.safetensors"))
    ...     kept = load_operators(Path(folder, "mine.safetensors"))
    >>> kept[1].kernel(64).allclose(operators_of(model)[1].kernel(64), atol=1e-2)
    True
    """
    weights = {
        f"{layer}.{key}": value.half().contiguous()
        for layer, operator in enumerate(operators_of(model))
        for key, value in operator.state_dict().items()
    }
    config = json.dumps(dataclasses.asdict(model.config))
    with atomic_file(file) as path:
        _safetensors().save_file(weights, path, metadata={"format": "pt", "config": config})


def load_operators(file: Path) -> list[ToeplitzOperator]:
    """The operators of a file of :func:`keep_operators`, in float32, in evaluation mode.

    Raises:
        FileNotFoundError: no such file.

    >>> load_operators(Path("none.safetensors"))
    Traceback (most recent call last):
        ...
    FileNotFoundError: No such file or directory: none.safetensors
    """
    with _safetensors().safe_open(file, framework="pt") as opened:
        config = json.loads(opened.metadata()["config"])
        weights = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    operators = operators_of(CausalLM(TNNConfig(**config)).eval())
    nn.ModuleList(operators).load_state_dict(weights)
    return operators


def operators_of(model: nn.Module) -> list[ToeplitzOperator]:
    """The Toeplitz operators of a model, the first layer's first.

    >>> len(operators_of(CausalLM(TNNConfig(vocab_size=257, depth=3, width=32, glu_width=32))))
    3
    """
    return [part for part in model.modules() if isinstance(part, ToeplitzOperator)]


def _folder() -> Path:
    return records_folder().parent / "trained"


def _safetensors() -> Any:
    return require("safetensors.torch", "train")
