"""Explorer of SKI: a band and a few inducing points against a Toeplitz matrix."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from tnnlab.nystrom import Fit, fit_ski
from tnnlab.ops import toeplitz_matrix
from tnnlab.widgets.controls import Choice, Slider
from tnnlab.widgets.explorer import Explorer
from tnnlab.widgets.frames import Curve, Image, Panel

LENGTH = 33
KERNELS = ["smooth", "smooth + spike", "jump at lag 0"]
POINTS = [3, 5, 9, 17]  # the spacing divides n - 1: every point is a position
WIDTHS = [0, 1, 5, 9]


def ski_explorer() -> Explorer:
    """Inducing points and band against the error of the approximated matrix, for three kernels.

    >>> sorted(ski_explorer().values)
    ['inducing', 'kernel', 'width']
    """
    return Explorer(
        _ski,
        title="How much does a band take off the inducing points?",
        description="Raise r for the smooth part. Widen the band for what is sharp at lag 0.",
        kernel=Choice("Kernel", KERNELS, start=KERNELS[1]),
        inducing=Slider("Inducing points r", POINTS, start=9),
        width=Slider("Width of the band", WIDTHS, start=0),
    )


def _ski(kernel: str, inducing: int, width: int) -> list[Panel]:
    matrix = toeplitz_matrix(example_kernel(kernel), causal=False)
    fit = _fit(kernel, inducing, width)
    error = matrix - fit.sparse - fit.low_rank
    middle = LENGTH // 2
    lags = middle - torch.arange(LENGTH)
    now = _relative(kernel, inducing, width)
    return [
        Panel(
            "Toeplitz matrix T",
            image=Image(matrix),
            x_label="input position",
            y_label="output position",
        ),
        Panel(
            "What is missing",
            image=Image(error),
            x_label="input position",
            y_label="output position",
            note=f"The largest entry is off by {float(error.abs().max()):.2g}.",
        ),
        Panel(
            "Middle row",
            [
                Curve(lags, matrix[middle], "T"),
                Curve(lags, (fit.sparse + fit.low_rank)[middle], "band + W A Wᵀ"),
                Curve(lags, fit.low_rank[middle], "W A Wᵀ", style="dashed"),
            ],
            x_label="lag",
            y_label="tap",
        ),
        Panel(
            "Relative error",
            [
                Curve(POINTS, _errors(kernel, width), "with this band"),
                Curve(POINTS, _errors(kernel, 0), "without", style="dashed"),
                Curve([inducing], [now], "here", style="points"),
            ],
            x_label="inducing points r",
            y_scale="log",
            note=f"{now:.1%} of T's Frobenius norm is missing, with {2 * inducing - 1 + width} "
            f"numbers in place of {2 * LENGTH - 1}.",
        ),
    ]


def example_kernel(name: str) -> Tensor:
    """Taps of a kernel on 33 positions, lag -32 first: float64 ``(65,)``."""
    lag = torch.arange(1 - LENGTH, LENGTH, dtype=torch.float64)
    smooth = (1 + lag / 14) * torch.exp(-((lag / 7) ** 2) / 2)
    if name == "smooth":
        return smooth
    if name == "smooth + spike":
        return smooth + 2 * torch.exp(-3 * lag.abs())
    return torch.where(lag < 0, -1.0, 1.0) * torch.exp(-lag.abs() / 8)


@cache
def _fit(kernel: str, inducing: int, width: int) -> Fit:
    return fit_ski(toeplitz_matrix(example_kernel(kernel), causal=False), inducing, width)


def _relative(kernel: str, inducing: int, width: int) -> float:
    matrix = toeplitz_matrix(example_kernel(kernel), causal=False)
    fit = _fit(kernel, inducing, width)
    return float((matrix - fit.sparse - fit.low_rank).norm() / matrix.norm())


def _errors(kernel: str, width: int) -> list[float]:
    return [_relative(kernel, inducing, width) for inducing in POINTS]
