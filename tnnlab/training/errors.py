"""Why a run is refused or stops before its last step."""


class ConfigError(ValueError):
    """A setting that cannot work: found before anything starts."""


class TrainingStopped(RuntimeError):
    """A run that ended before its last step; the message says how to go on."""


class Interrupted(TrainingStopped):
    """Ctrl-C or SIGTERM: the step was finished and a checkpoint written."""


class NonFiniteLoss(TrainingStopped):
    """The loss or the gradient is not a number any more; nothing of it was saved."""


class CheckpointError(TrainingStopped):
    """A checkpoint could not be written or read; earlier ones are untouched."""
