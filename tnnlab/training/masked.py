"""What a run of a masked language model is made of: a text, and how much of it is hidden."""

from dataclasses import dataclass, field

from tnnlab.models import TNNConfig
from tnnlab.training.checks import at_least, check
from tnnlab.training.config import DataConfig, RunConfig
from tnnlab.training.tasks import TaskEvaluationConfig


@dataclass
class MaskedDataConfig(DataConfig):
    """Which text, how it is cut, and how much of it is to be guessed.

    Attributes:
        hidden: chance of a token to be chosen, above 0 and below 1; of those chosen, 80 % become
            the mask token, 10 % any token, 10 % stay (:func:`tnnlab.models.mask_tokens`).

    >>> MaskedDataConfig(hidden=1.5)
    Traceback (most recent call last):
    tnnlab.training.errors.ConfigError: data.hidden is 1.5; it lies above 0 and below 1
    """

    hidden: float = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0 < self.hidden < 1, f"data.hidden is {self.hidden}; it lies above 0 and below 1")


@dataclass
class MaskedEvaluationConfig(TaskEvaluationConfig):
    """What is looked at while a model learns to fill gaps.

    Attributes:
        every: updates between two evaluations (also before the first and after the last one).
        limit: first tokens of the validation and test splits to evaluate; null: all of them.
        batch_size: windows per forward pass, per device.
        test: whether to evaluate the test split too, once, at the end.
        samples: first windows of the validation split to show with their guesses, at each
            evaluation; 0 for none.

    >>> MaskedEvaluationConfig(every=50).samples
    1
    """

    samples: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("evaluation.samples", self.samples, 0)


@dataclass
class MaskedRun(RunConfig):
    """A run of a masked language model.

    Attributes:
        model: the network; ``vocab_size`` is one more than the tokenizer's, for the mask token.
        data: the text.
        evaluation: the looks at it.

    >>> MaskedRun().model.vocab_size
    258
    """

    model: TNNConfig = field(default_factory=lambda: TNNConfig(vocab_size=258))
    data: MaskedDataConfig = field(default_factory=MaskedDataConfig)
    evaluation: MaskedEvaluationConfig = field(default_factory=MaskedEvaluationConfig)  # pyright: ignore
    kind: str = field(default="masked", init=False)

    def _check_parts(self) -> None:
        """Both sides are seen: batch norm has no future to show."""
