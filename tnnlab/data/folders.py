"""Where data is read from and where caches go."""

import os
import sys
from pathlib import Path


def data_folder() -> Path | None:
    """The folder named by ``TNNLAB_DATA``, which holds local copies of data sets, or None.

    Raises:
        FileNotFoundError: the variable is set, and no such folder exists.

    >>> folder = data_folder()  # None where TNNLAB_DATA is not set
    >>> folder is None or folder.is_dir()
    True
    """
    value = os.environ.get("TNNLAB_DATA")
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"TNNLAB_DATA is {value!r}, which is not a folder: "
            "point it at the folder that holds your data sets, or unset it"
        )
    return folder


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
