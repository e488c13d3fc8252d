"""Launches that are remembered: the same arguments reach the same compiled program."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tnnlab.ops import _launch
from tnnlab.ops._launch import Program


class Compiled:
    """What Triton compiled: it takes all arguments, in the order of the signature."""

    def __init__(self, launches: list[Any]) -> None:
        self.launches = launches

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return lambda *arguments: self.launches.append((self, grid, arguments))


class Jit:
    """What ``triton.jit`` makes: each launch through it stands for a look at all arguments."""

    arg_names = ("x", "n", "BLOCK", "SIDE")

    def __init__(self, *, compiles: bool = True) -> None:
        self.compiles, self.looks = compiles, 0
        self.launches: list[Any] = []

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., Compiled | None]:
        def run(x: Any, n: int, *, BLOCK: int, SIDE: str, num_warps: int = 4) -> Compiled | None:
            self.looks += 1
            compiled = Compiled(self.launches)
            compiled[grid](x, n, BLOCK, SIDE)
            return compiled if self.compiles else None

        return run


@pytest.fixture(autouse=True)
def repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_launch, "_can_repeat", lambda: True)


X = torch.zeros(64)


def test_a_launch_is_looked_at_once() -> None:
    jit = Jit()
    program = Program(jit)
    for grid in ((2,), (3, 5), (2,)):
        program[grid](X, 7, SIDE="past", BLOCK=16, num_warps=8)
    assert jit.looks == 1
    (compiled, *_), *_ = jit.launches
    known = [(X, 7, 16, "past")] * 3  # in the order of the signature, without Triton's own
    assert [launch[2] for launch in jit.launches] == known
    assert all(launch[0] is compiled for launch in jit.launches)
    assert [launch[1] for launch in jit.launches] == [(2, 1, 1), (3, 5, 1), (2, 1, 1)]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((X.double(), 7), {}),  # another type
        ((X[1:], 7), {}),  # another alignment
        ((X, 16), {}),  # a multiple of 16
        ((X, 7), {"BLOCK": 32}),
        ((X, 7), {"SIDE": "both"}),
        ((X, 7), {"num_warps": 8}),
        ((torch.zeros(64, device="meta"), 7), {}),  # another device
    ],
    ids=["type", "alignment", "number", "constant", "text", "warps", "device"],
)
def test_what_may_be_compiled_anew_is_looked_at_again(
    arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    jit = Jit()
    program = Program(jit)
    usual = {"BLOCK": 16, "SIDE": "past", "num_warps": 4}
    program[(1,)](X, 7, **usual)
    program[(1,)](*arguments, **usual | options)
    assert jit.looks == 2
    program[(1,)](X, 7, **usual)
    program[(1,)](*arguments, **usual | options)
    assert jit.looks == 2
    first, second, *again = [launch[0] for launch in jit.launches]
    assert first is not second and again == [first, second]


def test_another_tensor_of_its_kind_is_not_looked_at() -> None:
    jit = Jit()
    program = Program(jit)
    other = torch.zeros(8, 100)  # its shape reaches a program as numbers only
    for x in (X, other):
        program[(1,)](x, 7, BLOCK=16, SIDE="past")
    assert jit.looks == 1
    assert jit.launches[1][2][0] is other


def test_an_interpreter_that_compiles_nothing_runs_each_launch() -> None:
    jit = Jit(compiles=False)
    program = Program(jit)
    for _ in range(3):
        program[(1,)](X, 7, BLOCK=16, SIDE="past")
    assert jit.looks == len(jit.launches) == 3


def test_a_triton_that_cannot_repeat_runs_each_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_launch, "_can_repeat", lambda: False)
    jit = Jit()
    program = Program(jit)
    for _ in range(3):
        program[(1,)](X, 7, BLOCK=16, SIDE="past")
    assert jit.looks == 3


def test_what_it_remembers_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_launch, "_MOST", 3)
    jit = Jit()
    program = Program(jit)
    for n in range(10):
        program[(1,)](X, n, BLOCK=16, SIDE="past")
        assert len(program.compiled) <= 3
    assert jit.looks == len(jit.launches) == 10
