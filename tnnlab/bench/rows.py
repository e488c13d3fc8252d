"""Rows of a record: what is checked, then timed, or says why it is not."""

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tnnlab.bench import exact
from tnnlab.bench.timing import Call
from tnnlab.results import Record, provenance
from tnnlab.training.signals import StopRequest

# Times one call; what :func:`tnnlab.bench.timing.measure` returns.
Timer = Callable[[Call], dict[str, Any]]
# Told of each row as it comes.
Report = Callable[[dict[str, Any]], None]
# One call of what is timed, ``call(number, backward)``, and its relative errors.
Prepared = tuple[Callable[[int, bool], Any], dict[str, float]]


class Sizes(NamedTuple):
    """What is multiplied: ``batch`` sequences of n positions, a kernel for each channel."""

    n: int
    batch: int
    channels: int
    causal: bool
    dtype: torch.dtype
    device: torch.device

    def normal(self, shape: tuple[int, ...], seed: int) -> Tensor:
        """A leaf of normal random numbers, the same for the same seed."""
        generator = torch.Generator(self.device).manual_seed(seed)
        x = torch.randn(shape, generator=generator, device=self.device)
        return x.to(self.dtype).requires_grad_()

    def row(self, kind: str, name: str) -> dict[str, Any]:
        """The head of a record's row."""
        return {
            "kind": kind,
            "name": name,
            "n": self.n,
            "batch": self.batch,
            "channels": self.channels,
            "causal": self.causal,
            "dtype": str(self.dtype).removeprefix("torch."),
        }


def timed_rows(
    row: dict[str, Any],
    sizes: Sizes,
    prepare: Callable[[], Prepared],
    costs: dict[str, tuple[float, float]],
    timer: Timer,
) -> list[dict[str, Any]]:
    """One row for each pass in ``costs``, if the errors of what ``prepare`` makes allow it.

    ``costs`` are a pass's operations and its least bytes. What refuses, or is wrong, has a row
    that says why.
    """
    rows: list[dict[str, Any]] = []
    try:
        call, errors = prepare()
        row = {**row, "errors": errors}
        exact.require_exact(errors, exact.limit(sizes.dtype, sizes.device))
        for name, (flops, size) in costs.items():
            backward = name != "forward"
            found = timer(lambda number, b=backward: call(number, b))
            time = found["time_s"]
            rates = {
                "tokens_per_s": sizes.n * sizes.batch / time,
                "bytes_per_s": size / time,
                "flop_per_s": flops / time or None,
            }
            rows.append({**row, "pass": name, **found, **rates})
    except (ImportError, RuntimeError, TypeError, ValueError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        rows.append({**row, "skipped": text, "wrong": isinstance(error, exact.WrongResult)})
    if sizes.device.type == "cuda":
        torch.cuda.empty_cache()
    return rows


def refuse_large(size: int, device: torch.device) -> None:
    """Refuse to make one tensor of so many bytes, where that would push the rest out of memory."""
    room = torch.cuda.mem_get_info(device)[0] // 8 if device.type == "cuda" else 2**28
    if size > room:
        raise ValueError(
            f"one tensor of {size / 2**20:,.0f} MiB, more than {room / 2**20:,.0f} MiB"
        )


def collect(rows: Iterable[dict[str, Any]], report: Report) -> tuple[list[dict[str, Any]], bool]:
    """All rows; or, after Ctrl-C or SIGTERM, those that there are by then.

    Args:
        rows: made one after another as they are asked for.
        report: told of each.

    Returns:
        the rows, and whether they were cut off.

    >>> rows, stopped = collect(({"n": n} for n in (1, 2)), lambda row: print(row["n"]))
    1
    2
    >>> stopped
    False
    """
    found: list[dict[str, Any]] = []
    with StopRequest() as stop:
        for row in rows:
            report(row)
            found.append(row)
            if stop.requested:
                return found, True
    return found, False


def make_record(
    name: str,
    title: str,
    *,
    preset: str,
    command: str,
    config: dict[str, Any],
    device: torch.device,
    begun: float,
    rows: list[dict[str, Any]],
    stopped: bool = False,
    **more: Any,
) -> Record:
    """The record of a benchmark, as :func:`tnnlab.results.write_record` takes it.

    Args:
        begun: ``time.perf_counter()`` at the start.
        stopped: of :func:`collect`.
        more: further entries, such as ``limits``.
    """
    whole = "wrong results" if any(row.get("wrong") for row in rows) else "complete"
    return {
        "name": name,
        "title": title,
        "preset": preset,
        "status": "stopped" if stopped else whole,
        "command": command,
        "config": config,
        "provenance": provenance(device),
        **more,
        "wall_time_s": time.perf_counter() - begun,
        "rows": rows,
    }
