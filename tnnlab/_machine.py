"""This machine: what its devices are called, and where it keeps what can be made again."""

import functools
import os
import platform
import sys
from pathlib import Path
from typing import Any


def device_name(device: Any) -> str:
    """What a ``torch.device`` is called by its maker; of other types than cpu and cuda the type."""
    if device.type == "cpu":
        return cpu_name()
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    return device.type


def card(device: Any) -> str | None:
    """Which of several GPUs of one name: the head of its UUID; None where there is none."""
    if device.type != "cuda":
        return None
    import torch

    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return None if uuid is None else str(uuid)[:8]


@functools.cache
def cpu_name() -> str:
    """What the processor is called."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, UnicodeDecodeError):
        return platform.processor() or platform.machine()


def cache_folder() -> Path:
    """``TNNLAB_CACHE`` where it is set, else ``tnnlab`` in the user's cache folder.

    That is ``~/.cache`` (or ``XDG_CACHE_HOME``) on Linux, ``~/Library/Caches`` on macOS,
    ``%LOCALAPPDATA%`` on Windows. The folder need not exist yet; deleting it is always safe.

    >>> cache_folder().is_absolute()
    True
    """
    value = os.environ.get("TNNLAB_CACHE")
    if value:
        return Path(value).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tnnlab"
