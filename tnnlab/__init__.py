"""tnnlab: sequence models whose token mixing is a Toeplitz matrix.

Importing it needs torch and numpy only; each name below is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from tnnlab._lazy import lazy_exports

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

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "attention": ["Attention"],
        "layers": ["GLU", "GTU", "TNNBlock"],
        "mixers": ["Hyena", "S4Layer"],
        "models": [
            "CausalLM",
            "ClassifierConfig",
            "ImageClassifier",
            "ImageConfig",
            "MaskedLM",
            "PairClassifier",
            "SequenceClassifier",
            "TNNConfig",
        ],
        "operators": ["FDTNO", "RPE", "RTF", "S4D", "SKITNO", "TNO", "HyenaFilter", "Separable2D"],
        "ops": ["choose_method", "toeplitz_matmul", "toeplitz_matrix"],
        "parameters": ["match_width"],
    },
    also=["__version__"],
)
