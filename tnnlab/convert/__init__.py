"""From the taps of a causal kernel to systems with a state: exactly, or with few states.

Everything here takes taps ``(channels, n)``, wherever they come from: any causal operator's
``kernel(n)``, or an array. What comes out is an operator itself, with ``step`` and ``scan`` beside
``kernel``.
"""

from tnnlab.convert.etsc import ETSC, etsc
from tnnlab.convert.model import ConvertedLM, convert_model, load_language_model
from tnnlab.convert.one import convert_operator
from tnnlab.convert.rational import from_rtf, to_rtf
from tnnlab.convert.reduction import choose_order, hankel_values, reduce
from tnnlab.convert.systems import DiagonalSSM, StateSpace

__all__ = [
    "ETSC",
    "ConvertedLM",
    "DiagonalSSM",
    "StateSpace",
    "choose_order",
    "convert_model",
    "convert_operator",
    "etsc",
    "from_rtf",
    "hankel_values",
    "load_language_model",
    "reduce",
    "to_rtf",
]
