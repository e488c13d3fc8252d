"""Up to which length each method of the product is the fastest: measured here, or built in.

``tnnlab bench crossovers`` measures, and keeps what it finds in ``crossovers.json`` in the cache
folder. A measurement counts for this device, version of PyTorch and number of CPU threads.
"""

import functools
import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tnnlab._files import atomic_file
from tnnlab._machine import cache_folder, device_name
from tnnlab.ops.tiles import HALF, gpu_kernels_refuse

# Methods with a crossover, those of the shortest lengths first; the FFT comes last and has none.
LADDER = ("dense", "tiles", "triton", "monarch")

# Measured forward and backward together, at constant tokens: with 256 channels on two kinds of CPU
# (one thread; 110 and 180), with 1,536 on an NVIDIA H200, or H100 ("hopper half").
_BUILT_IN = {
    "cpu": {"dense": 128},
    "cuda": {"dense": 256},
    "cuda half": {"triton": 8192},
    "hopper half": {"triton": 1024, "monarch": 131072},
    "cuda tf32": {"dense": 256, "triton": 1024},
}


class Crossovers(NamedTuple):
    """The longest length at which each method is the fastest, in the order of ``LADDER``.

    >>> Crossovers((("dense", 96),), measured=False).limits
    (('dense', 96),)
    """

    limits: tuple[tuple[str, int], ...]
    measured: bool  #: on this machine; else built in


def arithmetic(device: torch.device, dtype: torch.dtype) -> tuple[str, str | None]:
    """The units that multiply, which the crossovers depend on; and why not Triton's, on a GPU.

    >>> arithmetic(torch.device("cpu"), torch.float32)
    ('cpu', None)
    """
    if device.type != "cuda":
        return device.type, None
    refusal = gpu_kernels_refuse(device, dtype)
    if not refusal and dtype in HALF:
        on_chip = not gpu_kernels_refuse(device, dtype, "monarch")
        return "hopper half" if on_chip else "cuda half", None
    if not refusal and _rounds_to_tf32():
        return "cuda tf32", None
    return "cuda", refusal


def _rounds_to_tf32() -> bool:
    return torch.get_float32_matmul_precision() != "highest"


def crossovers(device: torch.device, kind: str) -> Crossovers:
    """Those of this machine where they were measured, else the built-in ones.

    Args:
        device: where the product runs.
        kind: of :func:`arithmetic`.

    >>> "fft" in dict(crossovers(torch.device("cpu"), "cpu").limits)
    False
    """
    return _find(device, kind, torch.get_num_threads())


@functools.cache
def _find(device: torch.device, kind: str, threads: int) -> Crossovers:
    found = _read(_file()).get(machine(device), {}).get(kind)
    limits = _BUILT_IN.get(kind, _BUILT_IN["cpu"]) if found is None else found
    return Crossovers(tuple(limits.items()), measured=found is not None)


def crossover(device: torch.device, kind: str, method: str) -> int:
    """The longest length at which a method is the fastest; 0 where it is at none.

    >>> crossover(torch.device("cpu"), "cpu", "triton")
    0
    """
    return dict(crossovers(device, kind).limits).get(method, 0)


def measured_here(device: torch.device, kind: str) -> bool:
    """Whether the crossovers were measured on this machine.

    >>> measured_here(torch.device("cpu"), "an unknown kind")
    False
    """
    return crossovers(device, kind).measured


# What torch.compiler.assume_constant_result does: a graph holds the answer, and reads no file. That
# function imports the compiler, which takes seconds that nobody else should spend. Answers are
# plain numbers: older compilers cannot take more for a constant.
for _constant in (crossover, measured_here, _rounds_to_tf32):
    _constant._dynamo_marked_constant = True  # type: ignore[attr-defined]


def machine(device: torch.device) -> str:
    """What a measurement counts for, as text.

    >>> machine(torch.device("cpu")).endswith("threads")
    True
    """
    parts = [device_name(device), f"torch {torch.__version__}"]
    if device.type == "cpu":
        parts.append(f"{torch.get_num_threads()} threads")
    return ", ".join(parts)


def keep(device: torch.device, found: dict[str, dict[str, int]]) -> Path:
    """Write crossovers of this machine, by kind of arithmetic, into the cache folder.

    Other machines', and other kinds, stay as they are.

    Returns:
        the file.

    >>> import os, tempfile, unittest.mock
    >>> with tempfile.TemporaryDirectory() as cache:
    ...     with unittest.mock.patch.dict(os.environ, TNNLAB_CACHE=cache):
    ...         forget()
    ...         keep(torch.device("cpu"), {"cpu": {"dense": 64}}).name
    ...         crossovers(torch.device("cpu"), "cpu")
    'crossovers.json'
    Crossovers(limits=(('dense', 64),), measured=True)
    >>> forget()
    """
    path = _file()
    known = dict(_read(path))
    known[machine(device)] = known.get(machine(device), {}) | found
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    forget()
    return path


def forget() -> None:
    """Read the file anew when it is needed next: once in a process is the rule.

    >>> forget()
    """
    _find.cache_clear()
    _read.cache_clear()


def _file() -> Path:
    return cache_folder() / "crossovers.json"


@functools.cache
def _read(path: Path) -> dict[str, dict[str, dict[str, int]]]:
    """What was measured, by machine and kind of arithmetic."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        _check(known)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        warnings.warn(
            f"crossovers measured on this machine cannot be read, built-in ones stand in: {error} "
            f"(delete {path}, or write it anew: tnnlab bench crossovers)",
            stacklevel=2,
        )
        return {}
    return known


def _check(known: Any) -> None:
    for kinds in known.values():
        for limits in kinds.values():
            ladder = [name for name in LADDER if name in limits]
            if list(limits) != ladder or not all(type(n) is int for n in limits.values()):
                raise ValueError(f"lengths of some of {', '.join(LADDER)} expected; got {limits}")
