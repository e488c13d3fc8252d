"""What a run is made of that teaches a trained masked language model to answer."""

from dataclasses import dataclass, field

from tnnlab.training.checks import check
from tnnlab.training.tasks import ClassifierRun


@dataclass
class FineTuneRun(ClassifierRun):
    """A run of a classifier whose trunk was trained before: all of the network goes on learning.

    Attributes:
        init: folder of the masked language model that it starts from, ``model/`` in the folder of
            its run. It has the settings of ``model``, the dropout apart. null: random weights, for
            comparison.

    >>> FineTuneRun(init="runs/mlm-wikipedia-small/model").kind
    'finetune'
    """

    init: str | None = None
    kind: str = field(default="finetune", init=False)

    def _check_parts(self) -> None:
        super()._check_parts()
        check(
            not (self.init and self.model.causal),
            "model.causal is true with an init: a masked language model sees both sides. Set "
            "model.causal to false",
        )
        check(
            not (self.init and self.model.sinusoids),
            "model.sinusoids is true with an init: a masked language model was trained without "
            "added positions. Set model.sinusoids to false",
        )
