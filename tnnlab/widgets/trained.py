"""Explorer of a trained model's kernels: layer by layer, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tnnlab.widgets.channels import KINDS, SHARE, Layer, layers_of, stored_model
from tnnlab.widgets.controls import Choice, Slider
from tnnlab.widgets.explorer import Explorer
from tnnlab.widgets.frames import Curve, Panel

ORDERS = {"memory": "memory", "mean frequency": "pitch"}
STOPS, BINS, SHARES = 9, 49, 25  # of the slider, of a drawn spectrum, of a sorted layer
FLOOR = 1e-3  # what is drawn of |tap|, as a share of the kernel's norm


def trained_explorer(model: nn.Module | None = None, *, length: int = 512) -> Explorer:
    """The kernels of a trained model: choose a layer, then move through its channels.

    Args:
        model: its token mixers are causal Toeplitz operators with two channels or more; None: the
            byte-level network that comes with the package, whose kernels are state spaces.
        length: how many taps are looked at, at least 16.

    Raises:
        TypeError, ValueError: another model or length.

    >>> explorer = trained_explorer()
    >>> sorted(explorer.values), len(explorer.frames)
    (['channel', 'layer', 'order'], 72)
    """
    if length < 16:
        raise ValueError(f"length is at least 16 taps; got {length}")
    layers = layers_of(stored_model() if model is None else model, length)
    channels = min(len(layer.taps) for layer in layers)
    stops = sorted({round(rank) for rank in np.linspace(1, channels, STOPS)})

    def draw(channel: int, order: str, layer: int = 1) -> list[Panel]:
        return _panels(layers, layer - 1, channel - 1, ORDERS[order])

    several: dict[str, Any] = {}
    if len(layers) > 1:
        several["layer"] = Slider("Layer", range(1, len(layers) + 1))
    return Explorer(
        draw,
        title="What the layers of a trained model look at",
        description="Sort the channels. Go through the layers, then through the channels of one.",
        **several,
        channel=Slider(f"Place, of {channels}", stops, start=stops[len(stops) // 2]),
        order=Choice("Channels sorted by", list(ORDERS)),
    )


def _panels(layers: Sequence[Layer], number: int, rank: int, order: str) -> list[Panel]:
    layer = layers[number]
    sorting = getattr(layer, order).argsort(stable=True)
    channel = int(sorting[rank])
    beside = [int(sorting[r]) for r in (rank - 1, rank + 1) if 0 <= r < len(sorting)]
    return [
        _kernel(layer, channel, beside),
        _spectrum(layer, channel, beside),
        _whole(layer, channel, number),
        _memories(layers, number, channel),
    ]


def _kernel(layer: Layer, channel: int, beside: Sequence[int]) -> Panel:
    memory = int(layer.memory[channel])
    span = min(max(16, 2 ** int(1.25 * memory).bit_length()), layer.taps.shape[1])
    lags, taps = range(span), layer.taps[:, :span]
    within = "at lag 0" if memory == 1 else f"at lags 0 to {memory - 1}"
    return Panel(
        "Kernel",
        [Curve(lags, taps[channel], style="stems"), *_aids(lags, taps, beside)],
        x_label="lag",
        y_label="tap",
        note=f"Channel {channel + 1}: {SHARE:.0%} of its energy is {within}.",
    )


def _spectrum(layer: Layer, channel: int, beside: Sequence[int]) -> Panel:
    frequency = np.linspace(0, 1, BINS)
    spectrum = torch.fft.rfft(_folded(layer.taps, 2 * (BINS - 1))).abs()
    return Panel(
        "Spectrum",
        [Curve(frequency, spectrum[channel]), *_aids(frequency, spectrum, beside)],
        x_label="frequency (1: half a cycle per step)",
        y_label="magnitude",
        y_scale="log",
        note=_verdict(layer, channel),
    )


def _folded(taps: Tensor, size: int) -> Tensor:
    """Taps on a circle: its transform are samples of the spectrum, however many taps there are."""
    short = -taps.shape[1] % size
    return torch.nn.functional.pad(taps, (0, short)).unflatten(1, (-1, size)).sum(dim=1)


def _aids(x: Any, rows: Tensor, beside: Sequence[int]) -> list[Curve]:
    names = ("next in order", "")
    return [Curve(x, rows[c], name, style="dashed") for c, name in zip(beside, names, strict=False)]


def _verdict(layer: Layer, channel: int) -> str:
    """What a channel does, in a sentence."""
    peak, mean = float(layer.peak[channel]), float(layer.mean[channel])
    lag = int(layer.taps[channel].argmax())
    period = f"{2 / peak:.0f}" if 0 < peak < 0.2 else f"{2 / max(peak, 1e-9):.1f}"
    passes = f"a constant passes at {mean:.0%} of the peak."
    return (
        f"It takes differences: {passes}",
        f"It copies the step {f'{lag} back' if lag > 1 else ('itself', 'before')[lag]}.",
        f"It averages: {passes}",
        f"It cancels in part: waves of {period} steps pass best, {passes}",
    )[int(layer.kind[channel])]


def _whole(layer: Layer, channel: int, number: int) -> Panel:
    """|tap| against lag: a channel among all of its layer."""
    length = layer.taps.shape[1]
    lags = np.unique(np.geomspace(1, length, 32).round().astype(int)) - 1
    sizes = layer.taps[:, lags].abs()
    low, middle, high = np.quantile(sizes.numpy(), [0.1, 0.5, 0.9], axis=0)
    counts = torch.bincount(layer.kind, minlength=len(KINDS)).tolist()
    told = ", ".join(f"{count} {kind}" for count, kind in zip(counts, KINDS, strict=True))
    return Panel(
        f"All channels of layer {number + 1}",
        [
            Curve(1 + lags, sizes[channel], "this channel"),
            Curve(1 + lags, middle, "median"),
            Curve(1 + lags, low, "lowest and highest tenth", style="dashed"),
            Curve(1 + lags, high, style="dashed"),
        ],
        x_label="1 + lag",
        y_label="|tap|",
        x_scale="log",
        y_scale="log",
        y_range=(FLOOR, 1.0),
        note=f"Of {len(layer.taps)} channels {told}.",
    )


def _memories(layers: Sequence[Layer], number: int, channel: int) -> Panel:
    """Memory lengths of every layer, sorted, and where the channel stands."""
    share, many = np.linspace(0, 1, SHARES), len(layers) > 4
    curves, others = [], iter(["other layers"])
    for index, layer in enumerate(layers):
        ranked = np.quantile(layer.memory.numpy(), share, method="nearest")
        name, aid = f"layer {index + 1}", many and index != number
        label, style = (next(others, ""), "dashed") if aid else (name, "line")
        curves.append(Curve(100 * share, ranked, label, style=style, look=index))
    memory = layers[number].memory
    place = 100 * int((memory.argsort(stable=True) == channel).nonzero()) / (len(memory) - 1)
    middles = ", ".join(f"{layer.memory.double().quantile(0.5):.0f}" for layer in layers)
    return Panel(
        "Memory of all layers",
        [*curves, Curve([place], [int(memory[channel])], "this channel", style="points")],
        x_label="share of the channels, %",
        y_label="memory, lags",
        y_scale="log",
        note=f"Lags with {SHARE:.0%} of the energy; medians from layer 1 on: {middles}.",
    )
