"""Optional dependencies, imported when they are used."""

import importlib
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Args:
        module: dotted name of the module to import, e.g. ``"safetensors.torch"``.
        extra: the extra of tnnlab that installs it: ``book``, ``train``, ``gpu`` or ``dev``.

    Raises:
        ImportError: the module is missing; the message names the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A missing dependency *inside* an installed module is another problem: show it as it is.
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise ImportError(
            f"this part of tnnlab needs `{module.split('.')[0]}`, which is not installed: "
            f"run  pip install 'tnnlab[{extra}]'"
        ) from error
