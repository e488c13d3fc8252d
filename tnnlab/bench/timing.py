"""How long a call takes and how much memory it needs."""

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

# What a call is given: its number, so that it can take other inputs each time.
Call = Callable[[int], Any]


def measure(call: Call, device: torch.device, *, seconds: float = 1.0) -> dict[str, Any]:
    """Time a call and see how much memory it takes.

    After a warm-up, samples are taken for about ``seconds``, at least 5 (3 of a call that takes
    half a second). On a GPU a sample is a group of calls between two events, 20 ms long: the
    GPU waits for the launch of the first call, which must not count; on a CPU it is one call.

    Returns:
        ``time_s`` (the median), ``low_s`` and ``high_s`` (quartiles), ``samples``, ``peak_bytes``
        (see :func:`peak_bytes`).

    >>> x = torch.ones(100)
    >>> found = measure(lambda number: x + number, torch.device("cpu"), seconds=0.01)
    >>> sorted(found), found["low_s"] <= found["time_s"] <= found["high_s"]
    (['high_s', 'low_s', 'peak_bytes', 'samples', 'time_s'], True)
    """
    for number in range(2):  # compiles, tunes and allocates what later calls find ready
        once = elapsed(call, device, number, 1)
    memory = peak_bytes(lambda: call(0), device)
    group = max(1, round(20e-3 / once)) if device.type == "cuda" else 1
    least = 5 if once < 0.5 else 3
    samples: list[float] = []
    begun = time.perf_counter()
    while len(samples) < least or (len(samples) < 200 and time.perf_counter() - begun < seconds):
        samples.append(elapsed(call, device, len(samples) * group, group))
    low, median, high = statistics.quantiles(samples, n=4)
    return {
        "time_s": median,
        "low_s": low,
        "high_s": high,
        "samples": len(samples),
        "peak_bytes": memory,
    }


def elapsed(call: Call, device: torch.device, first: int, calls: int) -> float:
    """Seconds for each of so many calls, one after the other, numbered from ``first``.

    >>> elapsed(lambda number: torch.ones(100) + number, torch.device("cpu"), 0, calls=3) > 0
    True
    """
    if device.type != "cuda":
        start = time.perf_counter()
        for number in range(first, first + calls):
            call(number)
        return (time.perf_counter() - start) / calls
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin.record()
    for number in range(first, first + calls):
        call(number)
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) * 1e-3 / calls


def peak_bytes(call: Callable[[], Any], device: torch.device) -> int:
    """Most bytes that a call held at once beyond those that were held before it.

    As PyTorch's allocators count them: tensors, and the workspaces that GPU libraries ask PyTorch
    for. Scratch memory inside a CPU library (MKL's FFT) is not seen.

    >>> peak_bytes(lambda: torch.ones(1000), torch.device("cpu"))
    4000
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # some builds report every use
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    results: Any = getattr(profiler.profiler, "kineto_results", None)
    events = [event for event in results.events() if event.name() == "[memory]"]
    sizes = (event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return max(itertools.accumulate(sizes, initial=0))


@contextmanager
def settings(threads: int | None, *, tf32: bool) -> Iterator[None]:
    """Run with so many CPU threads (None: as it is), and float32 products as TF32 or not.

    >>> with settings(1, tf32=False):
    ...     torch.get_num_threads(), torch.get_float32_matmul_precision()
    (1, 'highest')
    """
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(threads or before[0])
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])


def speed_limits(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """What this machine reaches when it does nothing else, measured here and now.

    Returns:
        ``copy_bytes_per_s``, of a large tensor, reads and writes counted, and
        ``matmul_flop_per_s``, of large square matrices of this dtype.

    >>> sorted(speed_limits(torch.device("cpu"), torch.float32))
    ['copy_bytes_per_s', 'matmul_flop_per_s']
    """
    cuda = device.type == "cuda"
    source = torch.empty(2**28 if cuda else 2**24, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    source.zero_()
    size = 8192 if cuda else 1024
    # Random numbers: a GPU multiplies ones faster, as fewer bits flip and less power is drawn.
    a, b, c = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(3))
    copy = measure(lambda _: target.copy_(source), device, seconds=0.3)
    product = measure(lambda _: torch.mm(a, b, out=c), device, seconds=0.3)
    return {
        "copy_bytes_per_s": 2 * source.nbytes / copy["time_s"],
        "matmul_flop_per_s": 2 * size**3 / product["time_s"],
    }
