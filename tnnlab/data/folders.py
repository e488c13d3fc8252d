"""Where data is read from and where caches go."""

import os
from pathlib import Path

from tnnlab._machine import cache_folder

__all__ = ["cache_folder", "data_folder"]


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
