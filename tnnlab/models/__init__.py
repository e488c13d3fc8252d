"""Models and the configurations that describe them."""

from tnnlab.models.classifiers import PairClassifier, SequenceClassifier
from tnnlab.models.config import ClassifierConfig, ImageConfig, TNNConfig
from tnnlab.models.images import ImageClassifier
from tnnlab.models.language import CausalLM, MaskedLM
from tnnlab.models.masking import mask_tokens, masked_loss
from tnnlab.models.signals import CausalRegressor

__all__ = [
    "CausalLM",
    "CausalRegressor",
    "ClassifierConfig",
    "ImageClassifier",
    "ImageConfig",
    "MaskedLM",
    "PairClassifier",
    "SequenceClassifier",
    "TNNConfig",
    "mask_tokens",
    "masked_loss",
]
