"""Programs of Triton that cost a CPU little to launch again.

At every launch Triton works out what kinds of arguments it was given: types, alignments, numbers
that are 1 or multiples of 16. It then looks up what it compiled for these. A GPU is done with a
short product before six programs are on their way like this.
"""

import functools
import importlib
from typing import Any

import torch
from torch import Tensor

_MOST = 1024  # launches that a program remembers


class Program:
    """``program[grid](*arguments, **options)`` of ``triton.jit``, which remembers its launches.

    What was compiled is found by the arguments themselves: numbers by their value, tensors by
    device, type and alignment. That tells more apart than Triton does, and never less.

    Args:
        program: as ``triton.jit`` makes it. ``arguments`` come first in its signature; options are
            its ``tl.constexpr`` and Triton's own, such as ``num_warps``.
    """

    def __init__(self, program: Any) -> None:
        self.program = program
        self.compiled: dict[Any, tuple[Any, tuple[Any, ...]]] = {}

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return functools.partial(self._launch, (*grid, 1, 1)[:3])

    def _launch(self, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        kinds = [
            (a.device, a.dtype, a.data_ptr() % 16) if isinstance(a, Tensor) else a
            for a in arguments
        ]
        key = (*kinds, *options.items())
        if known := self.compiled.get(key):
            compiled, constants = known
            compiled[grid](*arguments, *constants)
            return
        compiled = self.program[grid](*arguments, **options)
        if compiled is None or not _can_repeat():  # None: Triton's interpreter compiles nothing
            return
        if len(self.compiled) >= _MOST:
            self.compiled.clear()
        names = self.program.arg_names[len(arguments) :]
        self.compiled[key] = compiled, tuple(options[name] for name in names)


@functools.cache
def _can_repeat() -> bool:
    """Whether what Triton compiled takes all arguments, as it does since version 3.3, and depends
    on no more of them than is looked at here: for AMD's GPUs it looks at a tensor's size, too."""
    major, minor = importlib.import_module("triton").__version__.split(".")[:2]
    return torch.version.hip is None and (int(major), int(minor)) >= (3, 3)
