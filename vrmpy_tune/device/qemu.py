"""The embedded device: kernels run in QEMU's user-mode emulation of Hexagon."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.device.protocol import DeviceInfo, Limits, RunResult
from vrmpy_tune.device.simulator import find_simulator, plugin_loads
from vrmpy_tune.device.timing.estimate import estimate_time
from vrmpy_tune.device.timing.profile import profile_of
from vrmpy_tune.device.timing.tracing import find_trace_plugin, write_trace
from vrmpy_tune.device.wire import STATUS_RUNTIME_FAILURE, Call, decode_result, encode_job
from vrmpy_tune.errors import BuildError, BuildTimeoutError, DeviceError
from vrmpy_tune.measurement import METRICS, PACKET_METRICS, Outcome
from vrmpy_tune.process import Ending, Finished, ProcessLimits, run_limited, signal_name
from vrmpy_tune.target import TARGETS
from vrmpy_tune.toolchain.cache import content_key
from vrmpy_tune.toolchain.first_time import executable_cache, runtime_cache
from vrmpy_tune.toolchain.link import link_executable
from vrmpy_tune.toolchain.runtime import runtime_object, watch_plugin
from vrmpy_tune.toolchain.sysroot import build_sysroot
from vrmpy_tune.toolchain.versions import toolchain_versions

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from vrmpy_tune.device.protocol import Job
    from vrmpy_tune.measurement import Counts
    from vrmpy_tune.target import HexagonTarget

_STATUS_CUT: Final = 91
_STATUS_MISALIGNED: Final = 92
"""Exit statuses of the plugin (``device/plugin/watch.c``)."""

_PACKET_WORDS: Final = re.compile(r"\s*(?:0x[0-9a-f]+:\s+)?\b0x[0-9a-f]{8}\t\s*")
"""Addresses and encodings that QEMU prints before each instruction of a packet."""

_SIMULATOR_BYTES: Final = 1 << 30
"""Address space that QEMU takes for itself; measured: about 0.5 GB."""

_GUEST_LIMIT: Final = 0xFFFF0000
"""All of a 32-bit guest's address space, which QEMU reserves unless told less."""

_PAGE: Final = 1 << 16
"""QEMU's page size for Hexagon."""


_TRACE_LIMITS: Final = Limits(cpu_s=120.0, wall_s=600.0)


class QemuDevice(ClosedOnExit):
    """Runs each job in a process of its own, so that nothing a kernel does outlives it.

    Parameters
    ----------
    progress:
        Gets a sentence at the start of each step of first-time work (musl takes a minute).

    Raises
    ------
    DeviceError
        If QEMU is not installed.
    ToolchainError
        If the runtime cannot be built.
    """

    def __init__(self, progress: Callable[[str], None] = lambda _: None) -> None:
        self._simulator = find_simulator()
        self._sysroot = build_sysroot(progress)
        self._runtimes = runtime_cache()
        self._executables = executable_cache()
        self._progress = progress
        self._closed = False
        self._plugin: Path | None = None
        if self._simulator.has_plugins:
            plugin = watch_plugin(self._runtimes, progress)
            if plugin_loads(self._simulator, plugin):
                self._plugin = plugin
        self._traces = find_trace_plugin(self._simulator, self._progress)

    def info(self) -> DeviceInfo:
        """Describe the device."""
        self._require_open()
        cpu = {target: self._simulator.cpu_for(target) for target in TARGETS.values()}
        models = sorted({model for model in cpu.values() if model})
        return DeviceInfo(
            description=f"qemu-hexagon {self._simulator.version}, cpu {'/'.join(models)}",
            targets=tuple(target.name for target, model in cpu.items() if model),
            metrics=METRICS if self._traces else PACKET_METRICS,
            slots=len(os.sched_getaffinity(0)),
            checks_alignment=self._plugin is not None,
            limits_packets=self._plugin is not None,
            versions={"qemu": self._simulator.version, **toolchain_versions()},
        )

    def run(
        self,
        job: Job,
        input_sets: tuple[tuple[np.ndarray, ...], ...],
        target: HexagonTarget,
        limits: Limits,
    ) -> RunResult:
        """Link ``job`` with the runtime and run it on each input set.

        Raises
        ------
        DeviceError
            If the device is closed, cannot run ``target``, or QEMU fails before the kernel runs.
        ValueError
            If an input does not have the shape and type that the job states.
        """
        self._require_open()
        target = _as_timed(target, job.time_metric)
        cpu = self._simulator.cpu_for(target)
        if cpu is None:
            runnable = ", ".join(self.info().targets)
            raise DeviceError(
                f"qemu-hexagon {self._simulator.version} cannot run {target.name}. "
                f"It runs: {runnable}."
            )
        pieces = encode_job(job, input_sets, target)
        try:
            executable = self._link(job, target)
        except BuildTimeoutError as error:
            return RunResult(Outcome.BUILD_TIMEOUT, str(error), retryable=error.retryable)
        except BuildError as error:
            return RunResult(Outcome.BUILD_ERROR, str(error))
        guest_bytes = min(limits.memory_bytes // _PAGE * _PAGE, _GUEST_LIMIT)
        finished = run_limited(
            self._command(executable, cpu, guest_bytes, limits.packets),
            ProcessLimits(limits.wall_s, limits.cpu_s, guest_bytes + _SIMULATOR_BYTES),
            stdin=pieces,
        )
        result = self._judge(finished, job, target, len(input_sets))
        if job.time_metric is None or result.outcome is not Outcome.OK:
            return result
        return self._timed(result, job, input_sets[0], target, limits)

    def _timed(
        self,
        result: RunResult,
        job: Job,
        operands: tuple[np.ndarray, ...],
        target: HexagonTarget,
        limits: Limits,
    ) -> RunResult:
        """Add the estimated time of a call to the counts of a good run.

        A call's time hardly depends on its inputs, so that the first set's stands for all.
        """
        with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as directory:
            trace = Path(directory) / "call.trace"
            self.trace(job, operands, target, trace, limits)
            time = estimate_time(trace, str(job.time_metric))
        return replace(result, counts=tuple(replace(one, time=time) for one in result.counts))

    def trace(
        self,
        job: Job,
        operands: tuple[np.ndarray, ...],
        target: HexagonTarget,
        trace: Path,
        limits: Limits = _TRACE_LIMITS,
    ) -> Counts:
        """Run ``job`` once on ``operands`` and write what it executed to the file ``trace``.

        Raises
        ------
        DeviceError
            If QEMU takes no plugins, or the run does not end well.
        """
        self._require_open()
        cpu = self._simulator.cpu_for(target)
        if self._traces is None or cpu is None:
            raise DeviceError(
                f"qemu-hexagon {self._simulator.version} takes no plugin, so that times cannot be "
                "estimated, only packets counted. Debian 12's QEMU (7.2) takes them."
            )
        guest_bytes = min(limits.memory_bytes // _PAGE * _PAGE, _GUEST_LIMIT)
        pieces = encode_job(job, (operands,), target)
        command: list[str | Path] = [self._simulator.program, "-cpu", cpu, self._link(job, target)]
        within = ProcessLimits(limits.wall_s, limits.cpu_s, guest_bytes + _SIMULATOR_BYTES)
        finished = write_trace(command, self._traces, pieces, trace, within)
        result = self._judge(finished, job, target, 1)
        if result.outcome is not Outcome.OK:
            raise DeviceError(f"The traced kernel failed. {result.message}")
        return result.counts[0]

    def close(self) -> None:
        """Release the device; nothing runs between jobs."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise DeviceError("The QEMU device is closed. Open another one.")

    def _link(self, job: Job, target: HexagonTarget) -> Path:
        """Return the executable of a job, linked now unless the same object was before."""
        runtime = runtime_object(target, self._runtimes, self._progress)
        try:
            content = job.object_file.read_bytes()
        except OSError as error:
            raise BuildError(
                f"The object file {job.object_file} cannot be read ({error.strerror})."
            ) from error
        key = content_key(runtime.name, str(self._sysroot.start), job.symbol, content)
        found = self._executables.find(key)
        if found:
            return found
        with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as directory:
            output = Path(directory) / "kernel.elf"
            link_executable([runtime, job.object_file], job.symbol, self._sysroot, output)
            return self._executables.add(key, output.read_bytes())

    def _command(
        self, executable: Path, cpu: str, guest_bytes: int, packets: int | None
    ) -> list[str | Path]:
        command: list[str | Path] = [self._simulator.program, "-cpu", cpu]
        if guest_bytes < _GUEST_LIMIT:
            command += ["-R", hex(guest_bytes)]
        if self._plugin:
            command += ["-plugin", f"{self._plugin},limit={packets or 0}"]
        return [*command, executable]

    def _judge(self, finished: Finished, job: Job, target: HexagonTarget, sets: int) -> RunResult:
        """Say what a process that ended means."""
        checked = self._plugin is not None
        if finished.succeeded:
            calls = decode_result(finished.stdout, job.outputs, target.contexts)
            return _judge_calls(calls, sets, checked)
        told = finished.error_text
        if finished.ending is Ending.EXITED:
            match finished.status:
                case status if status == _STATUS_CUT:
                    message = f"The kernel was cut after {told} packets in one call."
                    return RunResult(Outcome.CUT, message, alignment_checked=checked)
                case status if status == _STATUS_MISALIGNED:
                    access = _PACKET_WORDS.sub("; ", told).replace(":; {\t", ": { ")
                    message = f"Misaligned scalar access: {access}. The hardware traps on it."
                    return RunResult(Outcome.WRONG_RESULT, message, alignment_checked=checked)
        elif finished.ending is not Ending.SIGNALLED:
            message = f"The kernel {finished.describe()}."
            retryable = finished.ending is Ending.WALL_LIMIT
            return RunResult(Outcome.TIMEOUT, message, retryable=retryable)
        return RunResult(Outcome.CRASH, _crash_message(finished))


def _as_timed(target: HexagonTarget, metric: str | None) -> HexagonTarget:
    """Return a target with no more VTCM than the device has whose time is estimated."""
    if metric is None:
        return target
    available = round(profile_of(metric).value("vtcm_bytes"))
    return replace(target, vtcm_bytes=min(target.vtcm_bytes, available))


def _crash_message(finished: Finished) -> str:
    """Say how a kernel crashed, or raise DeviceError if it was QEMU that failed."""
    told = " ".join(finished.error_text.split())
    if finished.ending is Ending.SIGNALLED:
        return f"The kernel crashed with {signal_name(finished.status)}. {told}".strip()
    if finished.status == STATUS_RUNTIME_FAILURE:
        return f"The run was given up. {told}"
    if told.startswith("qemu-") and not finished.stdout:
        raise DeviceError(f"QEMU failed before the kernel ran: {told}")
    return f"The kernel left the process with status {finished.status}. {told}".strip()


def _judge_calls(calls: list[Call] | None, sets: int, alignment_checked: bool) -> RunResult:
    """Say what the calls of a process that exited normally mean."""
    for number, call in enumerate(calls or ()):
        if call.fault:
            message = f"{call.fault.describe()} (Input set {number}.)"
            return RunResult(Outcome.WRONG_RESULT, message, alignment_checked=alignment_checked)
        if call.return_code != 0:
            message = f"The kernel returned {call.return_code}: {call.message or 'no message'}"
            return RunResult(Outcome.CRASH, message)
    if calls is None or len(calls) != sets:
        return RunResult(Outcome.CRASH, "The kernel ended the process before the run was over.")
    return RunResult(
        Outcome.OK,
        outputs=tuple(call.outputs for call in calls),
        counts=tuple(call.counts for call in calls),
        alignment_checked=alignment_checked,
    )
