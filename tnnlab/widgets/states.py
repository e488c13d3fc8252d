"""Explorer of order reduction: a few states against all of a kernel, with the bound."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from tnnlab.convert.reduction import ReducedStateSpace, reduce
from tnnlab.operators import TNO
from tnnlab.widgets.controls import Choice, Slider
from tnnlab.widgets.explorer import Explorer
from tnnlab.widgets.frames import Curve, Image, Panel
from tnnlab.widgets.plane import pole_map

LENGTH = 48
KERNELS = ["damped waves", "fresh TNO", "fresh TNO, cut off", "random, decaying", "pure delay"]
ORDERS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 40]
BINS = 65


def states_explorer() -> Explorer:
    """States kept against kernel, error of the spectrum, bound and poles, for five kernels.

    >>> sorted(states_explorer().values)
    ['kernel', 'order']
    """
    return Explorer(
        _states,
        title="How many states does it take?",
        description="Add states one by one. Then try a kernel that was cut off, and the delay.",
        kernel=Choice("Kernel", KERNELS),
        order=Slider("States h", ORDERS, start=2, continuous=False),
    )


def _states(kernel: str, order: int) -> list[Panel]:
    taps = example_kernel(kernel)
    system = _reduced(kernel, order)
    lags, shown = torch.arange(LENGTH), system.kernel(LENGTH)[0]
    frequency = torch.linspace(0, 1, BINS, dtype=torch.float64)
    error = (_response(system, frequency) - _spectrum(taps, frequency)).abs()
    bound, least = float(system.bound), lower_bound(system, order)
    flat = torch.ones(BINS, dtype=torch.float64)
    peaks, bounds, least_errors = (
        [f(_reduced(kernel, h), h) for h in ORDERS]
        for f in (lambda s, _: float(s.peak_error), lambda s, _: float(s.bound), lower_bound)
    )
    return [
        Panel(
            "Kernel",
            [Curve(lags, taps, "all taps"), Curve(lags, shown, f"{order} states")],
            x_label="lag",
            note=f"The largest tap is off by {float((shown - taps).abs().max()):.2g}.",
        ),
        Panel(
            "Error of the spectrum",
            [
                Curve(frequency, error, "error"),
                Curve(frequency, bound * flat, "bound 2 Σ σ", style="dashed"),
                Curve(frequency, least * flat, "best possible peak σ"),
            ],
            x_label="frequency (1: half a cycle per step)",
            y_scale="log",
            note=f"Peak {float(system.peak_error):.2g}, bound {bound:.2g}; "
            f"no {order} states have a peak below {least:.2g}.",
        ),
        Panel(
            "Poles",
            image=Image(pole_map(system.poles()[0]), colormap="sequential"),
            note=f"{order} poles, the outermost at {float(system.poles().abs().max()):.3f}.",
        ),
        Panel(
            "Peak error",
            [
                Curve(ORDERS, peaks, "measured"),
                Curve(ORDERS, bounds, "bound", style="dashed"),
                Curve(ORDERS, least_errors, "best possible"),
                Curve([order], [float(system.peak_error)], "here", style="points"),
            ],
            x_label="states h",
            x_scale="log",
            y_scale="log",
        ),
    ]


def example_kernel(name: str) -> Tensor:
    """48 taps by name: float64 ``(48,)``."""
    lag = torch.arange(LENGTH, dtype=torch.float64)
    if name == "damped waves":  # two pairs of poles: rank 4, up to the cut
        return 0.7**lag * torch.cos(0.5 * lag) + 0.6**lag * torch.cos(1.8 * lag)
    if name == "pure delay":
        return (lag == LENGTH - 1).double()
    generator = torch.Generator().manual_seed(0)
    if name == "random, decaying":
        return torch.randn(LENGTH, generator=generator, dtype=torch.float64) * 0.8**lag
    decay = 0.97 if name.endswith("cut off") else 0.8
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return TNO(1, causal=True, decay=decay).kernel(LENGTH)[0].double()


def lower_bound(system: ReducedStateSpace, order: int) -> float:
    """σ_{h+1}: what no system with h = ``order`` states stays below."""
    return float(system.hankel_values[0, order])


@cache
def _reduced(kernel: str, order: int) -> ReducedStateSpace:
    return reduce(example_kernel(kernel)[None], order=order)


def _spectrum(taps: Tensor, frequency: Tensor) -> Tensor:
    """The frequency response of taps, at frequencies in half cycles per step."""
    lags = torch.arange(len(taps), dtype=torch.float64)
    return torch.exp(-1j * math.pi * frequency[:, None] * lags) @ taps.to(torch.complex128)


def _response(system: ReducedStateSpace, frequency: Tensor) -> Tensor:
    """The same of the first channel's system, with all of its lags: D + C (z - A)⁻¹ B."""
    A, B, C = (matrix[0].to(torch.complex128) for matrix in (system.A, system.B, system.C))
    z = torch.exp(1j * math.pi * frequency)
    resolvent = z[:, None, None] * torch.eye(len(A)) - A
    return system.direct[0] + torch.linalg.solve(resolvent, B.expand(len(z), -1)) @ C
