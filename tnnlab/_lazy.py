"""Names of a package that are imported when they are first used."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def lazy_exports(
    package: str, homes: Mapping[str, Iterable[str]], *, also: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package puts into ``__getattr__``, ``__dir__`` and ``__all__``.

    Type checkers do not see these names: import them under ``TYPE_CHECKING`` as well.

    Args:
        package: its ``__name__``.
        homes: names by the module inside the package that defines them.
        also: names that the package defines itself.

    >>> get, _, names = lazy_exports("tnnlab.ops", {"fft": ["fast_size"]})
    >>> get("fast_size")(11), names
    (12, ['fast_size'])
    """
    modules = {name: f"{package}.{home}" for home, names in homes.items() for name in names}
    exported = sorted([*modules, *also])

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    return get, lambda: exported, exported
