"""tnnlab: sequence models whose token mixing is a Toeplitz matrix.

Importing it needs torch and numpy only; each name below is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tnnlab.attention import Attention as Attention
    from tnnlab.layers import GLU as GLU
    from tnnlab.layers import GTU as GTU
    from tnnlab.layers import TNNBlock as TNNBlock
    from tnnlab.mixers import Hyena as Hyena
    from tnnlab.mixers import S4Layer as S4Layer
    from tnnlab.models import CausalLM as CausalLM
    from tnnlab.models import ClassifierConfig as ClassifierConfig
    from tnnlab.models import ImageClassifier as ImageClassifier
    from tnnlab.models import ImageConfig as ImageConfig
    from tnnlab.models import MaskedLM as MaskedLM
    from tnnlab.models import PairClassifier as PairClassifier
    from tnnlab.models import SequenceClassifier as SequenceClassifier
    from tnnlab.models import TNNConfig as TNNConfig
    from tnnlab.operators import FDTNO as FDTNO
    from tnnlab.operators import RPE as RPE
    from tnnlab.operators import RTF as RTF
    from tnnlab.operators import S4D as S4D
    from tnnlab.operators import SKITNO as SKITNO
    from tnnlab.operators import TNO as TNO
    from tnnlab.operators import HyenaFilter as HyenaFilter
    from tnnlab.operators import Separable2D as Separable2D
    from tnnlab.ops import choose_method as choose_method
    from tnnlab.ops import toeplitz_matmul as toeplitz_matmul
    from tnnlab.ops import toeplitz_matrix as toeplitz_matrix
    from tnnlab.parameters import match_width as match_width

__version__ = "0.1.0"

_HOMES = {
    "tnnlab.attention": ("Attention",),
    "tnnlab.layers": ("GLU", "GTU", "TNNBlock"),
    "tnnlab.mixers": ("Hyena", "S4Layer"),
    "tnnlab.models": (
        "CausalLM",
        "ClassifierConfig",
        "ImageClassifier",
        "ImageConfig",
        "MaskedLM",
        "PairClassifier",
        "SequenceClassifier",
        "TNNConfig",
    ),
    "tnnlab.operators": (
        "FDTNO",
        "RPE",
        "RTF",
        "S4D",
        "SKITNO",
        "TNO",
        "HyenaFilter",
        "Separable2D",
    ),
    "tnnlab.ops": ("choose_method", "toeplitz_matmul", "toeplitz_matrix"),
    "tnnlab.parameters": ("match_width",),
}
_EXPORTS = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "FDTNO",
    "GLU",
    "GTU",
    "RPE",
    "RTF",
    "S4D",
    "SKITNO",
    "TNO",
    "Attention",
    "CausalLM",
    "ClassifierConfig",
    "Hyena",
    "HyenaFilter",
    "ImageClassifier",
    "ImageConfig",
    "MaskedLM",
    "PairClassifier",
    "S4Layer",
    "Separable2D",
    "SequenceClassifier",
    "TNNBlock",
    "TNNConfig",
    "__version__",
    "choose_method",
    "match_width",
    "toeplitz_matmul",
    "toeplitz_matrix",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'tnnlab' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
