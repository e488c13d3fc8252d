"""tnnlab: sequence models whose token mixing is a Toeplitz matrix.

Importing it needs torch and numpy only; each name below is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tnnlab.layers import GLU as GLU
    from tnnlab.layers import GTU as GTU
    from tnnlab.layers import TNNBlock as TNNBlock
    from tnnlab.models import CausalLM as CausalLM
    from tnnlab.models import TNNConfig as TNNConfig
    from tnnlab.operators import RPE as RPE
    from tnnlab.operators import TNO as TNO
    from tnnlab.ops import choose_method as choose_method
    from tnnlab.ops import toeplitz_matmul as toeplitz_matmul
    from tnnlab.ops import toeplitz_matrix as toeplitz_matrix

__version__ = "0.1.0"

_HOMES = {
    "tnnlab.layers": ("GLU", "GTU", "TNNBlock"),
    "tnnlab.models": ("CausalLM", "TNNConfig"),
    "tnnlab.operators": ("RPE", "TNO"),
    "tnnlab.ops": ("choose_method", "toeplitz_matmul", "toeplitz_matrix"),
}
_EXPORTS = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "GLU",
    "GTU",
    "RPE",
    "TNO",
    "CausalLM",
    "TNNBlock",
    "TNNConfig",
    "__version__",
    "choose_method",
    "toeplitz_matmul",
    "toeplitz_matrix",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'tnnlab' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
