"""The shape of a model, as plain values that JSON and YAML can hold."""

from dataclasses import dataclass, field, fields
from typing import Any, Self

from tnnlab.models.build import MIXERS, OPERATORS, check_mixer
from tnnlab.models.pooling import POOLINGS
from tnnlab.models.positions import Sinusoids
from tnnlab.norms import BLOCK_NORMS, NORMS, lookup
from tnnlab.operators.rpe import ACTIVATIONS

# Counts are at least 1, but for these.
_MAY_BE_ZERO = ("rpe_depth", "glu_width", "learned_positions")


@dataclass(frozen=True)
class TNNConfig:
    """The shape of a Toeplitz network; the defaults are the published WikiText-103 model.

    Attributes:
        vocab_size: number of tokens.
        depth: number of blocks.
        width: d, channels of the residual stream.
        expansion: e, the operator works on e · d channels.
        glu_width: inner channels of the GLU; 0: no GLU, as in the published S4 blocks.
        operator: what mixes positions: "tno", "fd", "ski", "rtf", "s4d", "hyena" (its filter) or
            "attention" (softmax, in place of the GTU).
        rpe_width: width of the RPE's hidden layers.
        rpe_depth: number of the RPE's hidden layers.
        rpe_activation: "relu", "gelu", "silu" or "sine".
        rpe_norm: "rms" (no parameters), "layer" or "none".
        normalize_lags: give the RPE lag / n in place of the lag.
        decay: λ in (0, 1], per step of lag; 1 means none. SKI's inverse time warp needs λ < 1.
        learned_decay: λ a parameter per channel, starting between ``decay`` and 1.
        norm: "rms" (no parameters), "layer", "batch" or "none": in the blocks and before the
            output.
        pre_norm: normalise before each mixer, else after its residual.
        dropout: on embeddings and on each mixer's output; in [0, 1).
        mixer: the layer around the operator: "gtu", "s4" (takes expansion 1), "hyena" (order 2), or
            "linear" (the operator alone; expansion 1).
        operator_options: options of the operator's class that are not listed here, by name: for
            "rtf" ``{"order": 64, "length": 1024}``, for "attention" ``{"heads": 8, "positions":
            "rotary"}`` ("alibi", "none").
        learned_positions: for "attention" with positions "none": how many positions have a learned
            vector, added to the embedding (:class:`tnnlab.attention.LearnedPositions`); longer
            texts are refused. 0: none.

    ``rpe_…``, ``normalize_lags``, ``decay`` and ``learned_decay`` go to the operators that have
    them; the others ignore them.

    Raises:
        ValueError: a value outside what is listed above, or that the operator refuses.

    >>> TNNConfig(operator="rtf", operator_options={"order": 64, "length": 1024}).operator
    'rtf'
    >>> TNNConfig(decay=1.5)
    Traceback (most recent call last):
    ValueError: decay lies in (0, 1] (1: no decay); got 1.5
    """

    vocab_size: int = 50257
    depth: int = 7
    width: int = 512
    expansion: int = 3
    glu_width: int = 512
    operator: str = "tno"
    rpe_width: int = 64
    rpe_depth: int = 6
    rpe_activation: str = "relu"
    rpe_norm: str = "rms"
    normalize_lags: bool = False
    decay: float = 0.99
    learned_decay: bool = False
    norm: str = "rms"
    pre_norm: bool = True
    dropout: float = 0.1
    mixer: str = "gtu"
    operator_options: dict[str, Any] = field(default_factory=dict, hash=False)
    learned_positions: int = 0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            lowest = 0 if item.name in _MAY_BE_ZERO else 1
            if item.type is int and value < lowest:
                raise ValueError(f"{item.name} is at least {lowest}; got {value}")
        lookup("operator", self.operator, OPERATORS)
        lookup("rpe_activation", self.rpe_activation, ACTIVATIONS)
        lookup("rpe_norm", self.rpe_norm, NORMS)
        lookup("norm", self.norm, BLOCK_NORMS)
        lookup("mixer", self.mixer, MIXERS)
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay lies in (0, 1] (1: no decay); got {self.decay}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout lies in [0, 1); got {self.dropout}")
        check_mixer(self)

    @classmethod
    def wikitext103(cls) -> Self:
        """The published causal language model: 7 blocks, 48.6 M parameters (ICLR 2023, §4.1)."""
        return cls()


@dataclass(frozen=True)
class ClassifierConfig(TNNConfig):
    """A network that reads a sequence and answers once.

    Attributes:
        classes: number of answers, at least 1.
        pooling: how positions become one vector: "mean", "last" or "first".
        causal: whether positions see earlier ones only.
        sinusoids: add sines and cosines of each position to the embedding
            (:class:`tnnlab.models.positions.Sinusoids`), as the released code of the Toeplitz
            papers does on the Long Range Arena; takes an even width.

    >>> config = ClassifierConfig(vocab_size=18, classes=10, pooling="last")
    >>> config.width, config.causal
    (512, False)
    """

    classes: int = 2
    pooling: str = "mean"
    causal: bool = False
    sinusoids: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        lookup("pooling", self.pooling, POOLINGS)
        if self.sinusoids and self.learned_positions:
            raise ValueError(
                "sinusoids and learned_positions both add positions to the embedding: set one of "
                f"them; got True and {self.learned_positions}"
            )
        if self.sinusoids:
            Sinusoids(self.width)  # which refuses an odd width


@dataclass(frozen=True)
class ImageConfig(ClassifierConfig):
    """A network that reads a grey image; any height and width, as positions live in the kernels.

    Attributes:
        vocab_size: not used (pixels are numbers, there are no tokens); 1.
        patch: pixels of a patch's side; 1: each pixel is a position.
        axes: 2: an operator along the width and one along the height
            (:class:`tnnlab.operators.Separable2D`); 1: one operator along all rows, one after the
            other. Attention and Hyena have 1.

    >>> ImageConfig(classes=10, patch=4).axes
    2
    """

    vocab_size: int = 1
    patch: int = 1
    axes: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.axes not in (1, 2):
            raise ValueError(f"axes is 1 (a sequence of pixels) or 2; got {self.axes}")
        if self.axes == 2 and (self.operator == "attention" or self.mixer == "hyena"):
            name = "attention" if self.operator == "attention" else "Hyena's short convolution"
            raise ValueError(f"axes is 1 for {name}, which has no form of two axes; got 2")
