"""Ctrl-C as a polite request: finish the step first."""

import signal
import threading
from types import FrameType
from typing import Any, Self

import torch


class StopRequest:
    """While entered, SIGINT and SIGTERM set ``requested``; a second one acts at once, as before.

    Outside the main thread, where Python allows no handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def agreed(self, accelerator: Any, *, at_boundary: bool) -> bool:
        """Whether to stop now: all processes of a run get the same answer.

        Args:
            accelerator: of the run.
            at_boundary: several processes ask each other at boundaries only, as it costs time.
        """
        if accelerator.num_processes == 1:
            return self.requested
        if not at_boundary:
            return False
        votes = torch.tensor(float(self.requested), device=accelerator.device)
        return accelerator.reduce(votes, reduction="sum").item() > 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
        self._previous = {}
