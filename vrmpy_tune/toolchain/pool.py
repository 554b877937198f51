"""Code generation in processes that may die: a pool of workers that are replaced when they do."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import BuildError, BuildTimeoutError, ToolchainError
from vrmpy_tune.process import signal_name
from vrmpy_tune.toolchain.frames import ClosedError, DeadlineError, receive, send

if TYPE_CHECKING:
    from types import TracebackType

    from vrmpy_tune.target import HexagonTarget

START_S: Final = 120.0
"""Wall-clock seconds a worker may take to import TVM on a loaded machine."""

CPU_S: Final = 30.0
"""CPU seconds for one kernel; exceeding them is the candidate's fault."""

WALL_S: Final = 180.0
"""Wall-clock seconds for one kernel; exceeding them may be the machine's fault."""

_ERROR_BYTES: Final = 2000


class CodegenPool:
    """Worker processes that turn scheduled TIR into text; used from several threads at once.

    Parameters
    ----------
    size:
        Workers; each is started when first needed.
    cpu_s, wall_s:
        Limits for one kernel.
    """

    def __init__(self, size: int, *, cpu_s: float = CPU_S, wall_s: float = WALL_S) -> None:
        self._cpu_s, self._wall_s = cpu_s, wall_s
        self._workers: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        self._closed = False
        for _ in range(size):
            self._workers.put(None)

    def generate(self, module: str, target: HexagonTarget, *, by_tvm: bool) -> str:
        """Lower a module and return LLVM IR, or assembly where ``by_tvm``.

        Parameters
        ----------
        module:
            A scheduled module in TVM's JSON.

        Raises
        ------
        BuildError
            If lowering or code generation fails, or the worker dies of it.
        BuildTimeoutError
            If it takes too long.
        """
        return self._ask("Lowering", {"module": module, "target": target.name, "by_tvm": by_tvm})

    def replay(self, module: str, trace: str) -> str:
        """Apply a trace to an unscheduled module and return the scheduled one, both in TVM's JSON.

        Raises
        ------
        BuildError
            If the trace does not replay, or the worker dies of it.
        BuildTimeoutError
            If it takes too long.
        """
        return self._ask("Replay", {"module": module, "trace": trace})

    def _ask(self, what: str, request: dict[str, object]) -> str:
        """Let a worker answer a request; one that died is replaced when it is next needed."""
        worker = self._workers.get()
        try:
            if worker is None or self._closed:
                worker = _Worker()
            try:
                send(worker.requests, request | {"cpu_s": self._cpu_s})
                reply = receive(worker.replies, self._wall_s)
            except ClosedError:
                dead, worker = worker, None
                raise dead.cause_of_death() from None
            except DeadlineError:
                worker.kill()
                worker = None
                raise BuildTimeoutError(
                    f"Code generation was still running after {self._wall_s:.0f} s.",
                    retryable=True,
                ) from None
            if "error" in reply:
                raise BuildError(f"{what} failed: {_last_lines(reply['error'])}")
            return str(reply["text"])
        finally:
            self._workers.put(worker)

    def close(self) -> None:
        """End all workers."""
        self._closed = True
        while True:
            try:
                worker = self._workers.get_nowait()
            except queue.Empty:
                return
            if worker is not None:
                worker.kill()

    def __enter__(self) -> CodegenPool:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Worker:
    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-m", "vrmpy_tune.toolchain.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.requests = self._process.stdin.fileno()
        self.replies = self._process.stdout.fileno()
        try:
            receive(self.replies, START_S)
        except (ClosedError, DeadlineError):
            self.kill()
            raise ToolchainError(
                f"A code generation worker did not start: {self._error_text() or 'no message'}. "
                "Run: vrmpy-tune doctor"
            ) from None

    def cause_of_death(self) -> BuildError:
        """Reap the worker and return the error that says how it died."""
        self.kill()
        status = self._process.returncode
        if status == -signal.SIGXCPU:
            return BuildTimeoutError("Code generation used up its CPU time; unroll less.")
        how = signal_name(-status) if status < 0 else f"exit status {status}"
        detail = _last_lines(self._error_text()) or "no message"
        return BuildError(f"Code generation ended its process ({how}): {detail}")

    def kill(self) -> None:
        """End the worker and whatever it started, and close its pipes."""
        if self._process.poll() is None:
            try:
                self._process.wait(0.05)  # it may be dying of its own
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _error_text(self) -> str:
        size = os.fstat(self._errors.fileno()).st_size
        start = max(0, size - _ERROR_BYTES)
        return os.pread(self._errors.fileno(), _ERROR_BYTES, start).decode(errors="replace")


def _last_lines(text: str) -> str:
    """Return the end of a long message on one line: TVM puts the cause last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:])[-600:]
