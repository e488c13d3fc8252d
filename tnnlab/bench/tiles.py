"""``tnnlab bench tiles``: the GPU kernels at every size of tile, to choose from.

What :func:`tnnlab.ops._triton.product_launch` and ``correlation_launch`` return was read off such
a record.
"""

import dataclasses
import functools
import itertools
import time
from collections.abc import Iterator
from typing import Any

import torch

from tnnlab.bench import exact
from tnnlab.bench.rows import Report, Sizes, collect, make_record, timed_rows
from tnnlab.bench.timing import measure, speed_limits

SHARED_MEMORY = 227 * 1024  # bytes that a block of threads can have on Hopper
GRID = {
    "product": {
        "BLOCK": (64, 128),
        "COLUMNS": (64, 128, 256),
        "STEP": (64,),
        "num_warps": (4, 8),
        "num_stages": (3,),
    },
    "correlation": {
        "BLOCK": (32, 64, 128),
        "STEP": (32, 64),
        "num_warps": (4, 8),
        "num_stages": (3,),
    },
}


@dataclasses.dataclass(frozen=True)
class TileBench:
    """What is timed: causal products of bfloat16, forward; correlations.

    Attributes:
        device: "cuda".
        lengths: n, each with ``tokens // n`` sequences.
        channels, tokens: as in ``bench operators``.
        seconds: spent on each measurement.
    """

    device: str = "cuda"
    lengths: tuple[int, ...] = (512, 2048, 8192)
    channels: int = 1536
    tokens: int = 65536
    seconds: float = 0.05


PRESETS = {"gpu": TileBench(), "smoke": TileBench("cuda", (256,), 8, 2048, 0.01)}


def candidates(program: str) -> Iterator[dict[str, int]]:
    """Every combination of tile sizes that a block of threads has room for."""
    grid = GRID[program]
    for values in itertools.product(*grid.values()):
        launch = dict(zip(grid, values, strict=True))
        # A correlation reads one block of x, and two of g.
        sides = launch["BLOCK"] + launch.get("COLUMNS", 2 * launch["BLOCK"])
        if 2 * sides * launch["STEP"] * launch["num_stages"] <= SHARED_MEMORY:
            yield launch


def bench_tiles(bench: TileBench, preset: str, command: str, report: Report) -> Any:
    """Run it all; ``report`` is given each row as it comes.

    Returns:
        the record, as :func:`tnnlab.results.write_record` takes it.
    """
    begun = time.perf_counter()
    device = torch.device(bench.device)
    timer = functools.partial(measure, device=device, seconds=bench.seconds)
    each = (
        row
        for n in bench.lengths
        for program in GRID
        for launch in candidates(program)
        for row in _rows(
            program,
            launch,
            Sizes(n, bench.tokens // n, bench.channels, True, torch.bfloat16, device),
            timer,
        )
    )
    rows, stopped = collect(each, report)
    return make_record(
        "bench-tiles",
        "GPU kernels of the Toeplitz product: sizes of tiles",
        preset=preset,
        command=command,
        config=dataclasses.asdict(bench),
        device=device,
        begun=begun,
        rows=rows,
        stopped=stopped,
        limits=speed_limits(device, torch.bfloat16),
    )


def _rows(program: str, launch: dict[str, int], sizes: Sizes, timer: Any) -> list[dict[str, Any]]:
    from tnnlab.ops import _triton

    n, batch, channels = sizes.n, sizes.batch, sizes.channels
    shape = (batch, channels, n)
    kernel = sizes._replace(dtype=torch.float32).normal((channels, n), 0).detach() / n**0.5
    x, grad = (sizes.normal(shape, seed).detach() for seed in (1, 2))

    def run() -> torch.Tensor:
        if program == "correlation":
            return _triton.correlate(x, grad, True, precision="ieee", **launch)
        y = torch.empty_like(x)
        _triton.product(kernel, x, y, True, False, precision="ieee", **launch)
        return y

    def prepare() -> Any:
        known = exact.sample(kernel, x, grad, True)
        if program == "product":
            error = exact.relative_error(run()[..., known.places], known.y)
        else:
            error = exact.relative_error(run()[..., known.taps], known.grad_kernel)
        return lambda number, backward: run(), {program: error}

    flops = n * (n + 1) * batch * channels
    moved = 2 * n * batch * channels * sizes.dtype.itemsize
    row = sizes.row(program, " ".join(f"{key}={value}" for key, value in launch.items()))
    costs = {"forward": (float(flops), float(moved))}
    return timed_rows(row | {"launch": launch}, sizes, prepare, costs, timer)
