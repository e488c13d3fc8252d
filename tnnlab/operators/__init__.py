"""Kernel generators, one file per idea, all with one interface: ``operator(x)``, ``kernel(n)``."""

from tnnlab.operators.base import ToeplitzOperator
from tnnlab.operators.fd import FDTNO
from tnnlab.operators.hyena import HyenaFilter
from tnnlab.operators.rpe import RPE
from tnnlab.operators.rtf import RTF
from tnnlab.operators.s4d import S4D
from tnnlab.operators.separable import Separable2D
from tnnlab.operators.shared import shared_kernels
from tnnlab.operators.ski import SKITNO
from tnnlab.operators.tno import TNO

__all__ = [
    "FDTNO",
    "RPE",
    "RTF",
    "S4D",
    "SKITNO",
    "TNO",
    "HyenaFilter",
    "Separable2D",
    "ToeplitzOperator",
    "shared_kernels",
]
