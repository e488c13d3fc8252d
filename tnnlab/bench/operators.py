"""``tnnlab bench operators``: products and operators against length and channels."""

import dataclasses
import functools
import time
from collections.abc import Iterator
from typing import Any

import torch

from tnnlab.bench.modules import OPERATORS, operator_rows
from tnnlab.bench.products import METHODS, attention_rows, product_rows
from tnnlab.bench.rows import Report, Sizes, collect, make_record
from tnnlab.bench.timing import measure, settings, speed_limits


@dataclasses.dataclass(frozen=True)
class OperatorBench:
    """What is timed.

    Attributes:
        device: "cpu" or "cuda".
        dtype: of activations: a name of ``DTYPES``.
        lengths: n, each with ``tokens // n`` sequences, at least one.
        channels: d; with more than one, all are timed at the length in the middle of the list, and
            the first at all lengths.
        tokens: positions in all sequences together.
        operator_lengths: lengths at which operators, and bidirectional products, are timed too.
        threads: of a CPU; None: as many as PyTorch takes.
        seconds: spent on each measurement.
        patience: seconds; what took longer is not timed at greater lengths.

    >>> OperatorBench("cpu", "int8", (16,), (4,), tokens=64, operator_lengths=())
    Traceback (most recent call last):
        ...
    ValueError: dtype is one of float32, tf32, float16, bfloat16; got 'int8'
    """

    device: str
    dtype: str
    lengths: tuple[int, ...]
    channels: tuple[int, ...]
    tokens: int
    operator_lengths: tuple[int, ...]
    threads: int | None = None
    seconds: float = 0.2
    patience: float = 0.35

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is one of {', '.join(DTYPES)}; got {self.dtype!r}")
        numbers = (*self.lengths, *self.channels, *self.operator_lengths, self.tokens)
        if not self.lengths or not self.channels or min(numbers) < 1:
            raise ValueError(
                "lengths, channels and tokens are at least 1, and there is at least one of each; "
                f"got {self.lengths}, {self.channels} and {self.tokens}"
            )


DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
PRESETS = {
    "smoke": OperatorBench("cpu", "float32", (16, 64), (8,), 256, (64,), threads=1, seconds=0.01),
    "cpu": OperatorBench(
        "cpu",
        "float32",
        lengths=(16, 64, 128, 256, 512, 1024, 2048, 4096, 8192),
        channels=(256, 64, 1024),
        tokens=8192,
        operator_lengths=(512, 2048),
        threads=1,
        patience=1.0,
    ),
    "gpu": OperatorBench(
        "cuda",
        "bfloat16",
        lengths=(64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536),
        channels=(1536, 192, 768),
        tokens=65536,
        operator_lengths=(512, 2048, 8192),
        seconds=0.15,
    ),
}


def bench_operators(bench: OperatorBench, preset: str, command: str, report: Report) -> Any:
    """Run it all; ``report`` is given each row as it comes.

    Returns:
        the record, as :func:`tnnlab.results.write_record` takes it.

    >>> bench = OperatorBench("cpu", "float32", (16,), (4,), 32, (), seconds=0.001)
    >>> rows = []
    >>> record = bench_operators(bench, "smoke", "tnnlab bench operators", rows.append)
    >>> record["status"], record["rows"] == rows, {row["kind"] for row in rows} >= {"product"}
    ('complete', True, True)
    """
    begun = time.perf_counter()
    device, dtype = torch.device(bench.device), DTYPES[bench.dtype]
    with settings(bench.threads, tf32=bench.dtype == "tf32"):
        threads = torch.get_num_threads()
        limits = speed_limits(device, dtype)
        rows, stopped = collect(_rows(bench, device, dtype, limits), report)
    return make_record(
        "bench-operators",
        "Toeplitz products and operators: time and memory",
        preset=preset,
        command=command,
        config={**dataclasses.asdict(bench), "threads": threads},
        device=device,
        begun=begun,
        rows=rows,
        stopped=stopped,
        limits=limits,
    )


def _rows(
    bench: OperatorBench, device: torch.device, dtype: torch.dtype, limits: dict[str, float]
) -> Iterator[dict[str, Any]]:
    timer = functools.partial(measure, device=device, seconds=bench.seconds)
    slow: dict[Any, dict[str, Any]] = {}
    for run, name, sizes in _plan(bench, device, dtype):
        case = (run, name, sizes.causal)
        if case in slow and sizes.n > slow[case]["n"]:
            found = [_impatient(slow[case], sizes.n)]
        else:
            found = run(name, sizes, timer)
        for row in found:
            if "bytes_per_s" in row:
                row["floor_fraction"] = row["bytes_per_s"] / limits["copy_bytes_per_s"]
            if row.get("time_s", 0) > bench.patience:
                slow[case] = row
            yield row


def _impatient(row: dict[str, Any], n: int) -> dict[str, Any]:
    kept = {key: row[key] for key in ("kind", "name", "channels", "causal", "dtype")}
    return {**kept, "n": n, "skipped": f"took {row['time_s']:.2f} s at n = {row['n']}"}


def _plan(bench: OperatorBench, device: torch.device, dtype: torch.dtype) -> list[Any]:
    """What to run, and at which sizes."""

    def sizes(n: int, channels: int, causal: bool) -> Sizes:
        return Sizes(n, max(1, bench.tokens // n), channels, causal, dtype, device)

    first, *others = bench.channels
    middle = bench.lengths[len(bench.lengths) // 2]
    plan: list[Any] = []
    for n, channels in [*((n, first) for n in bench.lengths), *((middle, c) for c in others)]:
        for causal in (True, False):
            if causal or (n in bench.operator_lengths and channels == first):
                plan += [(product_rows, name, sizes(n, channels, causal)) for name in METHODS]
                if channels == first:
                    plan += [(attention_rows, "attention", sizes(n, channels, causal))]
    for n in bench.operator_lengths:
        for causal in (True, False):
            plan += [(operator_rows, name, sizes(n, first, causal)) for name in OPERATORS]
    return plan
