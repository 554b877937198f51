"""Run one program that may crash, hang, or eat memory, and leave nothing of it behind.

The program gets its own session, an empty environment unless told otherwise, limits enforced by the
kernel on CPU time, address space and file size, and a wall-clock deadline after which its whole
process group is killed.  Output goes to anonymous memory files, so neither a full pipe nor a
temporary file can be left over.
"""

from __future__ import annotations

import math
import os
import select
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Ending(Enum):
    """How a program ended."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    CPU_LIMIT = "cpu-limit"
    WALL_LIMIT = "wall-limit"


@dataclass(frozen=True)
class ProcessLimits:
    """When to stop a program.

    Attributes
    ----------
    wall_s:
        Wall-clock seconds until the whole process group is killed.
    cpu_s:
        CPU seconds, rounded up to whole ones; ``None`` for no limit.
    memory_bytes:
        Address space; ``None`` for no limit.
    file_bytes:
        Largest file it may write, standard output included; ``None`` for no limit.
    """

    wall_s: float
    cpu_s: float | None = None
    memory_bytes: int | None = None
    file_bytes: int | None = 1 << 30


@dataclass(frozen=True)
class Finished:
    """What a program that ended left.

    Attributes
    ----------
    ending:
        How it ended.
    status:
        Exit status, or the number of the signal that ended it.
    stdout, stderr:
        What it wrote; at most the last 64 KiB of standard error.
    wall_s, cpu_s:
        Seconds it took.
    """

    ending: Ending
    status: int
    stdout: bytes
    stderr: bytes
    wall_s: float
    cpu_s: float

    @property
    def succeeded(self) -> bool:
        """Whether it exited with status 0."""
        return self.ending is Ending.EXITED and self.status == 0

    @property
    def error_text(self) -> str:
        """Standard error as text, without surrounding white space."""
        return self.stderr.decode(errors="replace").strip()

    def describe(self) -> str:
        """Say in a few words how it ended (``"exited with status 1"``)."""
        match self.ending:
            case Ending.EXITED:
                return f"exited with status {self.status}"
            case Ending.SIGNALLED:
                return f"was ended by {signal_name(self.status)}"
            case Ending.CPU_LIMIT:
                return f"used up its CPU time ({self.cpu_s:.1f} s)"
            case Ending.WALL_LIMIT:
                return f"was still running after {self.wall_s:.1f} s of wall-clock time"


_STDERR_KEPT: Final = 64 << 10
_FILE_BLOCK: Final = 512
"""Unit of ``ulimit -f`` in POSIX, in bytes."""


def signal_name(number: int) -> str:
    """Return the name of a signal (``"SIGSEGV"``), or its number if it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def run_limited(
    command: Sequence[str | Path],
    limits: ProcessLimits,
    *,
    stdin: Sequence[bytes | memoryview] = (),
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Finished:
    """Run ``command`` to its end, or to the end of its limits.

    Parameters
    ----------
    command:
        Program and arguments; the program as a path or to be found on the shell's default path.
    limits:
        When to stop it.
    stdin:
        Pieces of what it reads on standard input, in order.
    environment:
        Its environment variables; none by default.
    directory:
        Its working directory; the current one by default.

    Raises
    ------
    OSError
        If no process can be started, or there is no memory for its input.
    """
    with ExitStack() as files:
        source, output, errors = (
            files.enter_context(os.fdopen(os.memfd_create(name), "wb+"))
            for name in ("stdin", "stdout", "stderr")
        )
        for piece in stdin:
            source.write(piece)
        source.seek(0)
        started = time.monotonic()
        process = subprocess.Popen(
            _limited_command([str(part) for part in command], limits),
            stdin=source,
            stdout=output,
            stderr=errors,
            env=dict(environment or {}),
            cwd=directory,
            start_new_session=True,
        )
        expired, cpu_s = _wait_and_kill_group(process, started + limits.wall_s)
        wall_s = time.monotonic() - started
        stdout, stderr = _content(output.fileno()), _content(errors.fileno())
    status = process.returncode
    if expired:
        ending = Ending.WALL_LIMIT
    elif status >= 0:
        ending = Ending.EXITED
    elif _is_cpu_limit(-status, cpu_s, limits.cpu_s):
        ending = Ending.CPU_LIMIT
    else:
        ending = Ending.SIGNALLED
    return Finished(ending, abs(status), stdout, stderr[-_STDERR_KEPT:], wall_s, cpu_s)


def _limited_command(command: list[str], limits: ProcessLimits) -> list[str]:
    """Wrap ``command`` in a shell that sets its limits and then becomes it.

    A function between fork and exec would do the same in Python, but is not safe when other threads
    run, and forces a slow fork.
    """
    script = ["ulimit -c 0"]
    if limits.cpu_s is not None:
        # SIGXCPU at the soft limit; SIGKILL a little later for a program that ignores it.
        seconds = math.ceil(limits.cpu_s)
        script += [f"ulimit -S -t {seconds}", f"ulimit -H -t {seconds + 2}"]
    if limits.memory_bytes is not None:
        script.append(f"ulimit -v {limits.memory_bytes // 1024}")
    if limits.file_bytes is not None:
        script.append(f"ulimit -f {limits.file_bytes // _FILE_BLOCK}")
    return ["/bin/sh", "-c", " && ".join([*script, 'exec "$@"']), "sh", *_die_with_us(), *command]


@cache
def _die_with_us() -> tuple[str, ...]:
    """Return the prefix that makes a program die when the process that started it is killed.

    ``setpriv`` is part of util-linux, which every Debian has; elsewhere the limit on CPU time ends
    what is left over.
    """
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL") if setpriv else ()


def _wait_and_kill_group(process: subprocess.Popen[bytes], deadline: float) -> tuple[bool, float]:
    """Wait for ``process``, kill its group, and return whether time ran out and its CPU seconds."""
    expired = True
    try:
        descriptor = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            expired = not poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        finally:
            os.close(descriptor)
    finally:
        # Before the process is reaped, its number cannot belong to anyone else.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return expired, usage.ru_utime + usage.ru_stime


def _is_cpu_limit(number: int, cpu_s: float, limit_s: float | None) -> bool:
    """Whether the signal ``number`` came from the limit on CPU time."""
    if limit_s is None or number not in (signal.SIGXCPU, signal.SIGKILL):
        return False
    return number == signal.SIGXCPU or cpu_s >= limit_s


def _content(descriptor: int) -> bytes:
    """Return all of an anonymous file."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
