"""Ctrl-C: once to finish what runs, twice to stop at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vrmpy_tune.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@contextmanager
def stopping_on_interrupt(stop: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Call ``stop`` on the first SIGINT or SIGTERM; end the process at once on the second.

    What was stored stays: records are on disk before they are reported, and the processes that
    build and run candidates die with this one.

    Yields
    ------
    interrupted:
        Returns whether a signal came.
    """
    count = 0

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 1:
            os._exit(EXIT_INTERRUPTED)
        sys.stderr.write("\nFinishing what runs; press Ctrl-C again to stop at once.\n")
        stop()

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, handle)
    try:
        yield lambda: count > 0
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
