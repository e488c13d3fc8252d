"""Training language models: configuration, recipes, loop, checkpoints.

>>> from tnnlab.training import read_recipe, train
>>> config = read_recipe("lm-stdlib", preset="smoke", overrides={"model": {"depth": 1}})
>>> config.model.depth
1

``train(config, "runs/mine")`` then runs it. :mod:`tnnlab.training.loop` is the place to read.
"""

from typing import TYPE_CHECKING

from tnnlab._lazy import lazy_exports

if TYPE_CHECKING:
    from tnnlab.training.config import DataConfig as DataConfig
    from tnnlab.training.config import EvaluationConfig as EvaluationConfig
    from tnnlab.training.config import RunConfig as RunConfig
    from tnnlab.training.errors import CheckpointError as CheckpointError
    from tnnlab.training.errors import ConfigError as ConfigError
    from tnnlab.training.errors import Interrupted as Interrupted
    from tnnlab.training.errors import NonFiniteLoss as NonFiniteLoss
    from tnnlab.training.errors import TrainingStopped as TrainingStopped
    from tnnlab.training.loop import train as train
    from tnnlab.training.metrics import read_metrics as read_metrics
    from tnnlab.training.optimisation import TrainingConfig as TrainingConfig
    from tnnlab.training.recipes import read_recipe as read_recipe
    from tnnlab.training.recipes import recipe_names as recipe_names
    from tnnlab.training.schedules import learning_rate as learning_rate

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "config": ["DataConfig", "EvaluationConfig", "RunConfig"],
        "errors": [
            "CheckpointError",
            "ConfigError",
            "Interrupted",
            "NonFiniteLoss",
            "TrainingStopped",
        ],
        "loop": ["train"],
        "metrics": ["read_metrics"],
        "optimisation": ["TrainingConfig"],
        "recipes": ["read_recipe", "recipe_names"],
        "schedules": ["learning_rate"],
    },
)
