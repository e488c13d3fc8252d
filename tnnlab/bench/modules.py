"""Every operator as a module: its kernel's generation and the product, as a network runs it."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tnnlab.bench import exact
from tnnlab.bench.reference import reference_product
from tnnlab.bench.rows import Prepared, Sizes, Timer, refuse_large, timed_rows
from tnnlab.operators import FDTNO, RTF, S4D, SKITNO, TNO, HyenaFilter, ToeplitzOperator


class ReferenceOperator(nn.Module):
    """An operator's kernel, applied as it was published; its weights are shared, not copied."""

    def __init__(self, operator: ToeplitzOperator) -> None:
        super().__init__()
        self.operator = operator

    def forward(self, x: Tensor) -> Tensor:
        return reference_product(self.operator.kernel(x.shape[-2]).T, x, self.operator.causal)


def _ski(sizes: Sizes) -> nn.Module:
    inducing = 64
    if sizes.causal:  # a running sum of all inducing points at every position
        refuse_large(sizes.batch * sizes.n * sizes.channels * inducing * 4, sizes.device)
    return SKITNO(sizes.channels, causal=sizes.causal, inducing=inducing)


OPERATORS: dict[str, Callable[[Sizes], nn.Module]] = {
    "reference": lambda s: ReferenceOperator(TNO(s.channels, causal=s.causal)),
    "tno": lambda s: TNO(s.channels, causal=s.causal),
    "tno-3": lambda s: TNO(s.channels, causal=s.causal, rpe_depth=3),
    "fd": lambda s: FDTNO(s.channels, causal=s.causal, rpe_depth=6),
    "fd-3": lambda s: FDTNO(s.channels, causal=s.causal, rpe_depth=3),
    "ski": _ski,
    "rtf": lambda s: RTF(s.channels, causal=s.causal, length=s.n, init="montel", stable=True),
    "s4d": lambda s: S4D(s.channels, causal=s.causal),
    "hyena": lambda s: HyenaFilter(s.channels, causal=s.causal, length=max(2, s.n)),
}
"""``reference`` is a TNO in its published form, ``tno`` the same here; RPEs have 6 hidden layers,
or 3 where the name says so; SKI has 64 inducing points and 33 sparse taps; RTF and S4D 64 states.
"""


def operator_rows(name: str, sizes: Sizes, timer: Timer) -> list[dict[str, Any]]:
    """Check one operator against itself in float64, then time it."""

    def prepare() -> Prepared:
        torch.manual_seed(0)
        with sizes.device:
            operator = OPERATORS[name](sizes)
        inputs = [_activation(sizes, seed, name) for seed in range(6)]
        errors = _errors(operator, inputs[0], inputs[3])

        def call(number: int, backward: bool) -> Any:
            x, grad = inputs[number % 3], inputs[3 + number % 3]
            if not backward:
                with torch.no_grad():
                    return operator(x)
            return torch.autograd.grad(operator(x), [x, *operator.parameters()], grad)

        return call, errors

    size = sizes.n * sizes.batch * sizes.channels * sizes.dtype.itemsize
    costs = {"forward": (0.0, 2.0 * size), "forward+backward": (0.0, 5.0 * size)}
    return timed_rows(sizes.row("operator", name), sizes, prepare, costs, timer)


def _activation(sizes: Sizes, seed: int, name: str) -> Tensor:
    """``(batch, n, channels)``, lying in memory as a GTU has it, or as the published one did."""
    x = sizes.normal((sizes.channels, sizes.batch, sizes.n), seed).detach().movedim(0, -1)
    return (x.contiguous() if name == "reference" else x).requires_grad_()


def _errors(operator: nn.Module, x: Tensor, grad: Tensor) -> dict[str, float]:
    """Values, gradient of the input, and gradients of all weights as one vector."""
    # The published form computes in float32 whatever it is given: its twin is what it wraps.
    exact_twin = copy.deepcopy(getattr(operator, "operator", operator)).double()
    results = []
    for twin, dtype in ((operator, x.dtype), (exact_twin, torch.float64)):
        leaf = x.detach().to(dtype).requires_grad_()
        y = twin(leaf)
        found, *weights = torch.autograd.grad(y, [leaf, *twin.parameters()], grad.to(dtype))
        together = torch.cat([gradient.flatten().double() for gradient in weights])
        results.append((y.detach(), found, together))
    names = ("values", "gradient of x", "gradients of weights")
    return {
        name: exact.relative_error(value, known.double())
        for name, value, known in zip(names, *results, strict=True)
    }
