"""A real ``vrmpy-tune tune`` process to kill, and what it leaves."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil

WORKLOAD: Final = "dense:m=96,n=64,k=128,lhs=u8,rhs=u8"
"""Small enough for several candidates a second, with a space that 50 runs do not exhaust."""

_MAIN: Final = "from vrmpy_tune.cli import main; main()"

_SET_CHILD_SUBREAPER: Final = 36
"""From ``linux/prctl.h``."""


class Tuner:
    """One ``vrmpy-tune tune`` process.

    Parameters
    ----------
    store, events:
        Where it stores records, and writes events.
    arguments:
        More arguments.
    program:
        Python source that runs the command line.
    """

    def __init__(
        self, store: Path | str, events: Path, *arguments: str, program: str = _MAIN
    ) -> None:
        self.events_file = events
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, "tune", WORKLOAD,
             "--records", str(store), "--events", str(events), "--no-early-stop", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )  # fmt: skip

    def events(self) -> list[dict[str, Any]]:
        """Return the events that were written completely."""
        with suppress(FileNotFoundError):
            lines = self.events_file.read_text().split("\n")[:-1]
            return [json.loads(line) for line in lines]
        return []

    def measured(self) -> list[dict[str, Any]]:
        """Return the events of candidates that were really built and run."""
        return [
            event
            for event in self.events()
            if event["event"] == "candidate-measured" and not event["cached"]
        ]

    def wait_until_measuring(self, candidates: int = 1, timeout_s: float = 120.0) -> None:
        """Return as soon as some candidates were measured."""
        deadline = time.monotonic() + timeout_s
        while len(self.measured()) < candidates:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self, timeout_s: float = 60.0) -> tuple[int, str, str]:
        """Wait for its end; return exit status, stdout and stderr."""
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out, err


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Become the parent of whatever a killed process leaves running."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        libc.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def orphans(known: set[int]) -> list[psutil.Process]:
    """Return the living processes below this one that are not ``known``; reap the dead."""
    living = []
    for child in psutil.Process().children(recursive=True):
        if child.pid in known:
            continue
        with suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE:
                living.append(child)
            elif child.ppid() == os.getpid():
                os.waitpid(child.pid, os.WNOHANG)
    return living


def seconds_until_alone(known: set[int], timeout_s: float) -> float:
    """Wait until no orphan is left; return how long that took."""
    started = time.monotonic()
    while left := orphans(known):
        waited = time.monotonic() - started
        assert waited < timeout_s, [child.cmdline() for child in left]
        time.sleep(0.02)
    return time.monotonic() - started
