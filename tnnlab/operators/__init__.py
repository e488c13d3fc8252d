"""Kernel generators, one file per idea, all with one interface: ``operator(x)``, ``kernel(n)``."""

from tnnlab.operators.base import ToeplitzOperator
from tnnlab.operators.rpe import RPE
from tnnlab.operators.tno import TNO

__all__ = ["RPE", "TNO", "ToeplitzOperator"]
