"""Why a run is refused or stops before its last step."""


class ConfigError(ValueError):
    """A setting that cannot work: found before anything starts.

    >>> from tnnlab.training import TrainingConfig
    >>> try:
    ...     TrainingConfig(batch_size=10, accumulate=3)
    ... except ConfigError as error:
    ...     print(error)
    training.accumulate is 3, which does not divide training.batch_size 10
    """


class TrainingStopped(RuntimeError):
    """A run that ended before its last step; the message says how to go on.

    >>> issubclass(TrainingStopped, RuntimeError)
    True
    """


class Interrupted(TrainingStopped):
    """Ctrl-C or SIGTERM: the step was finished and a checkpoint written.

    >>> issubclass(Interrupted, TrainingStopped)
    True
    """


class NonFiniteLoss(TrainingStopped):
    """The loss or the gradient is not a number any more; nothing of it was saved.

    >>> issubclass(NonFiniteLoss, TrainingStopped)
    True
    """


class CheckpointError(TrainingStopped):
    """A checkpoint could not be written or read; earlier ones are untouched.

    >>> issubclass(CheckpointError, TrainingStopped)
    True
    """
