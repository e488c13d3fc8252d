"""``tnnlab bench crossovers``: up to which length each method is the fastest on this machine.

What it finds is kept in the cache folder, and ``method="auto"`` goes by it from then on.
"""

import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from tnnlab.bench.operators import DTYPES
from tnnlab.bench.products import product_rows
from tnnlab.bench.rows import Report, Sizes, collect, make_record
from tnnlab.bench.timing import measure, settings
from tnnlab.ops.crossovers import LADDER, arithmetic, machine
from tnnlab.ops.tiles import gpu_kernels_refuse

PASS = "forward+backward"
STEADY = ("fft", "monarch")  # whose cost of a position hardly grows with the length


@dataclasses.dataclass(frozen=True)
class CrossoverBench:
    """What is timed: causal products, forward and backward.

    Attributes:
        device: "cpu" or "cuda".
        dtypes: of activations, each once for the units that multiply it.
        lengths: n, each with ``tokens // n`` sequences, at least one.
        channels, tokens: as in ``bench operators``.
        seconds: spent on each measurement.
        slack: a method that is so many times slower than the fastest is not timed at greater
            lengths.

    >>> CrossoverBench("cpu", ("float32",), (16,), 4, tokens=0)
    Traceback (most recent call last):
        ...
    ValueError: lengths, channels and tokens are at least 1; got (16,), 4 and 0
    """

    device: str
    dtypes: tuple[str, ...]
    lengths: tuple[int, ...]
    channels: int
    tokens: int
    seconds: float = 0.3
    slack: float = 4.0

    def __post_init__(self) -> None:
        if not self.lengths or min(*self.lengths, self.channels, self.tokens) < 1:
            raise ValueError(
                "lengths, channels and tokens are at least 1; "
                f"got {self.lengths}, {self.channels} and {self.tokens}"
            )


PRESETS = {
    "cpu": CrossoverBench(
        "cpu",
        ("float32",),
        lengths=(16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024),
        channels=256,
        tokens=8192,
    ),
    "gpu": CrossoverBench(
        "cuda",
        ("float32", "tf32", "bfloat16"),
        lengths=(32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768),
        channels=1536,
        tokens=65536,
        seconds=0.15,
    ),
}


def bench_crossovers(bench: CrossoverBench, preset: str, command: str, report: Report) -> Any:
    """Run it all; ``report`` is given each row as it comes.

    Returns:
        the record, as :func:`tnnlab.results.write_record` takes it, with ``crossovers`` by kind of
        arithmetic, for :func:`tnnlab.ops.crossovers.keep`.

    >>> bench = CrossoverBench("cpu", ("float32",), (8, 16), 4, tokens=32, seconds=0.001)
    >>> record = bench_crossovers(bench, "cpu", "tnnlab bench crossovers", lambda row: None)
    >>> record["status"], list(record["crossovers"])
    ('complete', ['cpu'])
    """
    begun = time.perf_counter()
    device = torch.device(bench.device)
    rows: list[dict[str, Any]] = []
    found: dict[str, dict[str, int]] = {}
    stopped = False
    for name in bench.dtypes:
        with settings(None, tf32=name == "tf32"):
            kind, _ = arithmetic(device, DTYPES[name])
            if kind in found:  # a GPU without TF32
                continue
            more, stopped = collect(_rows(bench, DTYPES[name]), report)
            rows += more
            if stopped:
                break
            times: dict[str, dict[int, float]] = {"fft": {}}
            for row in more:
                if row.get("pass") == PASS:
                    times.setdefault(row["name"], {})[row["n"]] = row["time_s"]
            found[kind] = find_crossovers(times)
    return make_record(
        "bench-crossovers",
        "Lengths up to which each method of the Toeplitz product is the fastest",
        preset=preset,
        command=command,
        config={**dataclasses.asdict(bench), "threads": torch.get_num_threads()},
        device=device,
        begun=begun,
        rows=rows,
        stopped=stopped,
        machine=machine(device),
        crossovers=found,
    )


def find_crossovers(times: Mapping[str, Mapping[int, float]]) -> dict[str, int]:
    """The limits with which the choice loses least against the fastest method at each length.

    Noise can make a slower method win here and there, so limits are not read off single lengths:
    of all of them those are taken whose total of ``log(chosen / fastest)`` is smallest. Between two
    lengths that were timed a limit is their geometric mean.

    Args:
        times: seconds by method and length, those of "fft"; what is missing is never chosen.

    >>> times = {"dense": {16: 1.0, 64: 2.0, 256: 9.0}, "fft": {16: 3.0, 64: 3.0, 256: 3.0}}
    >>> find_crossovers(times)
    {'dense': 128}
    """
    lengths = sorted(times["fft"])
    ladder = [name for name in LADDER if name in times]

    def loss(cuts: Sequence[int]) -> float:
        total = 0.0
        for place, n in enumerate(lengths):
            beyond = (name for name, cut in zip(ladder, cuts, strict=True) if place < cut)
            chosen = times[next(beyond, "fft")].get(n, math.inf)
            total += math.log(chosen / min(t[n] for t in times.values() if n in t))
        return total

    places = range(len(lengths) + 1)
    best = min(itertools.combinations_with_replacement(places, len(ladder)), key=loss)
    edges = [math.isqrt(a * b) for a, b in itertools.pairwise(lengths)] + lengths[-1:]
    return {
        name: edges[cut - 1]
        for name, before, cut in zip(ladder, (0, *best), best, strict=False)
        if cut > before
    }


def _rows(bench: CrossoverBench, dtype: torch.dtype) -> Iterator[dict[str, Any]]:
    device = torch.device(bench.device)
    timer = functools.partial(measure, device=device, seconds=bench.seconds)
    methods = ["fft", "dense", "tiles" if bench.device == "cpu" else "triton"]
    if not gpu_kernels_refuse(device, dtype, "monarch"):
        methods.append("monarch")
    for n in sorted(bench.lengths):
        sizes = Sizes(n, max(1, bench.tokens // n), bench.channels, True, dtype, device)
        times: dict[str, float] = {}
        for name in methods:
            for row in product_rows(name, sizes, timer):
                if row.get("pass") == PASS:
                    times[name] = row["time_s"]
                yield row
        most = bench.slack * min(times.values(), default=0.0)
        # What is far behind is left out from here on, if it only falls back further.
        methods = [m for m in methods if m in STEADY or times.get(m, math.inf) < most]
