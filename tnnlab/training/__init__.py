"""Training language models: configuration, recipes, loop, checkpoints.

>>> from tnnlab.training import read_recipe, train
>>> config = read_recipe("lm-stdlib", preset="smoke", overrides={"model": {"depth": 1}})
>>> config.model.depth
1

``train(config, "runs/mine")`` then runs it. :mod:`tnnlab.training.loop` is the place to read.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tnnlab.training.config import DataConfig as DataConfig
    from tnnlab.training.config import EvaluationConfig as EvaluationConfig
    from tnnlab.training.config import RunConfig as RunConfig
    from tnnlab.training.config import TrainingConfig as TrainingConfig
    from tnnlab.training.errors import CheckpointError as CheckpointError
    from tnnlab.training.errors import ConfigError as ConfigError
    from tnnlab.training.errors import Interrupted as Interrupted
    from tnnlab.training.errors import NonFiniteLoss as NonFiniteLoss
    from tnnlab.training.errors import TrainingStopped as TrainingStopped
    from tnnlab.training.loop import train as train
    from tnnlab.training.metrics import read_metrics as read_metrics
    from tnnlab.training.recipes import read_recipe as read_recipe
    from tnnlab.training.recipes import recipe_names as recipe_names
    from tnnlab.training.schedules import learning_rate as learning_rate

_HOMES = {
    "config": ("DataConfig", "EvaluationConfig", "RunConfig", "TrainingConfig"),
    "errors": ("CheckpointError", "ConfigError", "Interrupted", "NonFiniteLoss", "TrainingStopped"),
    "loop": ("train",),
    "metrics": ("read_metrics",),
    "recipes": ("read_recipe", "recipe_names"),
    "schedules": ("learning_rate",),
}
_EXPORTS = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_EXPORTS)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'tnnlab.training' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tnnlab.training.{_EXPORTS[name]}"), name)
