"""Where and with what something was measured."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import tnnlab
from tnnlab._machine import card, cpu_name, device_name

Record = dict[str, Any]


def provenance(device: Any = None, *, processes: int = 1) -> Record:
    """Where and with what something is measured, as plain JSON values.

    Args:
        device: the ``torch.device`` that computes; None: the CPU.
        processes: how many of them work together.

    Returns:
        ``date`` (UTC, ISO 8601), ``tnnlab`` (version), ``commit`` and ``dirty`` (None outside a
        checkout, unless the environment variable ``TNNLAB_COMMIT`` names it), ``hardware``,
        ``python``, ``platform``, ``torch``, ``accelerate`` (None if absent).

    >>> sorted(provenance())
    ['accelerate', 'commit', 'date', 'dirty', 'hardware', 'platform', 'python', 'tnnlab', 'torch']
    """
    commit, dirty = _commit()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "tnnlab": tnnlab.__version__,
        "commit": commit,
        "dirty": dirty,
        "hardware": _hardware(device, processes),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "torch": _version("torch"),
        "accelerate": _version("accelerate"),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    folder = Path(tnnlab.__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _commit() -> tuple[str | None, bool | None]:
    # A copy without git (a container, a cluster) is told its commit: NAME, or NAME-dirty.
    if name := os.environ.get("TNNLAB_COMMIT"):
        return name.removesuffix("-dirty"), name.endswith("-dirty")
    # An installed copy may lie inside somebody else's repository, which does not track it.
    if not _git("ls-files", "--error-unmatch", "__init__.py"):
        return None, None
    return _git("rev-parse", "HEAD"), bool(_git("status", "--porcelain", "--untracked-files=no"))


def _hardware(device: Any, processes: int) -> Record:
    hardware: Record = {"cpu": cpu_name(), "cpu_count": os.cpu_count(), "processes": processes}
    if device is None:
        return {"device": hardware["cpu"], "type": "cpu", **hardware}
    if which := card(device):
        hardware["card"] = which
    return {"device": device_name(device), "type": device.type, **hardware}
