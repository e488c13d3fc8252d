"""From the taps of a causal kernel to systems with a state: exactly, or with few states.

Everything here takes taps ``(channels, n)``, wherever they come from: any causal operator's
``kernel(n)``, or an array. What comes out is an operator itself, with ``step`` and ``scan`` beside
``kernel``.
"""

from tnnlab.convert.etsc import ETSC, etsc
from tnnlab.convert.rational import from_rtf, to_rtf
from tnnlab.convert.reduction import choose_order, hankel_values, reduce
from tnnlab.convert.systems import DiagonalSSM, StateSpace

__all__ = [
    "ETSC",
    "DiagonalSSM",
    "StateSpace",
    "choose_order",
    "etsc",
    "from_rtf",
    "hankel_values",
    "reduce",
    "to_rtf",
]
