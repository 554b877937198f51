"""An external program as a device: a board over ssh, a vendor's simulator, anything else.

The contract, version 1.  The program is started with its own arguments and, behind them,

``describe``
    Print one JSON object and exit with 0: ``description`` (one line, provenance of records),
    ``targets`` and ``metrics`` (lists of names), and optionally ``slots`` (runs at once, 1),
    ``checks_alignment``, ``limits_packets`` (false), ``clock`` (what it does during a measurement,
    ``simulated``) and ``versions`` (an object of texts).

``run DIRECTORY``
    Run one job.  ``DIRECTORY`` is the program's own until it exits, and holds

    - ``kernel.o``: the object, which defines ``__tvm_ffi_<symbol>`` with TVM's plain ABI;
    - ``job.json``: ``contract`` (1), ``symbol``, ``target``, ``contexts``, ``vtcm_bytes``,
      ``inputs`` and ``outputs`` (each a list of ``{"shape", "dtype"}``, arguments in that
      order), ``sets`` (how many input sets), ``limits`` (``packets`` in one call or null,
      ``cpu_s``, ``wall_s``, ``memory_bytes``);
    - ``input-<set>-<argument>.bin``: each input, little-endian, in C order, no padding.

    The program calls the kernel once on each input set, and writes

    - ``output-<set>-<argument>.bin``: each output, in the same form, when all went well;
    - ``result.json``: ``outcome`` (``ok``, ``crash``, ``timeout``, ``wrong-result`` for a
      violation that it saw itself, ``cut`` beyond ``packets``, ``build-error``), ``message``
      (empty when ok), ``counts`` (for each set ``packets_total``, ``packets_critical``,
      ``instructions``, ``hvx_instructions`` and ``context_packets``, one for each context),
      optionally ``alignment_checked`` and ``retryable``.

    It exits with 0 if ``result.json`` stands.  Any other exit means that the device was lost: the
    candidate is not blamed, and the last line of standard error says why.

The program has an environment of ``PATH`` and ``HOME`` alone, and is killed with its whole process
group 5 s after ``wall_s``.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.device.protocol import DeviceInfo, RunResult
from vrmpy_tune.errors import DeviceError
from vrmpy_tune.measurement import PACKET_METRICS, Counts, Outcome
from vrmpy_tune.process import Ending, Finished, ProcessLimits, run_limited
from vrmpy_tune.target import TARGETS

if TYPE_CHECKING:
    from vrmpy_tune.device.protocol import Job, Limits
    from vrmpy_tune.target import HexagonTarget

CONTRACT: Final = 1

DESCRIBE_S: Final = 60.0
"""Seconds that ``describe`` may take: a board may have to wake up."""

GRACE_S: Final = 5.0
"""Seconds beyond the limit of a run for carrying files to a board and back."""

_LARGEST_JSON: Final = 1 << 20
_ALLOWED: Final = frozenset(Outcome) - {Outcome.DEVICE_LOST, Outcome.BUILD_TIMEOUT}


class CommandDevice(ClosedOnExit):
    """Runs each job by one start of a program, see the contract above.

    Parameters
    ----------
    command:
        The program and its own arguments.

    Raises
    ------
    DeviceError
        If the program cannot be started, or does not describe itself as the contract says.
    """

    def __init__(self, command: list[str]) -> None:
        if not command:
            raise DeviceError("Name a program: --device 'command: PROGRAM ARGUMENT...'.")
        self._command = command
        self._closed = False
        finished = self._start(["describe"], DESCRIBE_S)
        if not finished.succeeded:
            raise DeviceError(
                f"'{command[0]} describe' {finished.describe()}: {_last_line(finished)}"
            )
        try:
            self._info = _read_info(_read_json(finished.stdout))
        except (KeyError, TypeError, ValueError) as error:
            raise DeviceError(
                f"'{command[0]} describe' does not keep the contract of vrmpy_tune.device.command: "
                f"{error}."
            ) from error
        # As many at once as the device has slots; further threads queue here.
        self._slots = threading.BoundedSemaphore(self._info.slots)

    def info(self) -> DeviceInfo:
        """Describe the device, as the program does."""
        self._require_open()
        return self._info

    def run(
        self,
        job: Job,
        input_sets: tuple[tuple[np.ndarray, ...], ...],
        target: HexagonTarget,
        limits: Limits,
    ) -> RunResult:
        """Have the program run ``job``.

        Raises
        ------
        DeviceError
            If the device is closed or does not run ``target``.
        """
        self._require_open()
        if target.name not in self._info.targets:
            raise DeviceError(
                f"{self._info.description} cannot run {target.name}. "
                f"It runs: {', '.join(self._info.targets)}."
            )
        with self._slots, tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as name:
            directory = Path(name)
            _write_job(directory, job, input_sets, target, limits)
            finished = self._start(["run", name], limits.wall_s + GRACE_S)
            if finished.ending is Ending.WALL_LIMIT:
                message = f"The program {finished.describe()}."
                return RunResult(Outcome.TIMEOUT, message, retryable=True)
            if not finished.succeeded:
                message = f"The program {finished.describe()}: {_last_line(finished)}"
                return RunResult(Outcome.DEVICE_LOST, message, retryable=True)
            try:
                return _read_result(directory, job, len(input_sets), target)
            except (OSError, KeyError, TypeError, ValueError) as error:
                message = f"The program does not keep the contract: {error}"
                return RunResult(Outcome.DEVICE_LOST, message, retryable=True)

    def close(self) -> None:
        """Release the device; no program runs between jobs."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise DeviceError("The command device is closed. Open another one.")

    def _start(self, arguments: list[str], wall_s: float) -> Finished:
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        try:
            return run_limited(
                [*self._command, *arguments], ProcessLimits(wall_s), environment=environment
            )
        except OSError as error:
            raise DeviceError(f"'{self._command[0]}' cannot be started: {error}.") from error


def _write_job(
    directory: Path,
    job: Job,
    input_sets: tuple[tuple[np.ndarray, ...], ...],
    target: HexagonTarget,
    limits: Limits,
) -> None:
    if job.object_file.exists():
        (directory / "kernel.o").write_bytes(job.object_file.read_bytes())
    for number, arrays in enumerate(input_sets):
        for index, array in enumerate(arrays):
            data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
            (directory / f"input-{number}-{index}.bin").write_bytes(data)
    told = {
        "contract": CONTRACT,
        "symbol": job.symbol,
        "target": target.name,
        "contexts": target.contexts,
        "vtcm_bytes": target.vtcm_bytes,
        "inputs": [{"shape": spec.shape, "dtype": spec.dtype} for spec in job.inputs],
        "outputs": [{"shape": spec.shape, "dtype": spec.dtype} for spec in job.outputs],
        "sets": len(input_sets),
        "limits": asdict(limits),
    }
    (directory / "job.json").write_text(json.dumps(told))


def _read_result(directory: Path, job: Job, sets: int, target: HexagonTarget) -> RunResult:
    said = _read_json((directory / "result.json").read_bytes())
    outcome, message = Outcome(said["outcome"]), str(said.get("message", ""))
    if outcome not in _ALLOWED:
        raise ValueError(f"the outcome '{outcome}' is not the program's to say")
    checked = said.get("alignment_checked") is True
    if outcome is not Outcome.OK:
        return RunResult(
            outcome,
            message or f"The program says: {outcome}.",
            alignment_checked=checked,
            retryable=said.get("retryable") is True,
        )
    counts = tuple(_read_counts(one, target.contexts) for one in said["counts"])
    if len(counts) != sets:
        raise ValueError(f"there are counts for {len(counts)} input sets of {sets}")
    outputs = tuple(
        tuple(
            _read_array(directory / f"output-{number}-{index}.bin", spec.shape, spec.dtype)
            for index, spec in enumerate(job.outputs)
        )
        for number in range(sets)
    )
    return RunResult(outcome, outputs=outputs, counts=counts, alignment_checked=checked)


def _read_array(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    little = np.dtype(dtype).newbyteorder("<")
    return np.frombuffer(path.read_bytes(), little).reshape(shape).astype(dtype, copy=False)


def _read_counts(value: dict[str, Any], contexts: int) -> Counts:
    names = ("packets_total", "packets_critical", "instructions", "hvx_instructions")
    total, critical, instructions, hvx = (int(value[name]) for name in names)
    each = tuple(int(one) for one in value["context_packets"])
    if len(each) != contexts or min(total, critical, instructions, hvx, *each) < 0:
        raise ValueError(f"'context_packets' must be {contexts} counts, none of them negative")
    return Counts(total, critical, instructions, hvx, each)


def _read_info(value: dict[str, Any]) -> DeviceInfo:
    targets, metrics = (tuple(map(str, value[name])) for name in ("targets", "metrics"))
    for name, known in ((targets, TARGETS), (metrics, PACKET_METRICS)):
        if not name or not set(name) <= set(known):
            raise ValueError(f"{name} are not among {', '.join(known)}")
    slots = int(value.get("slots", 1))
    if slots < 1:
        raise ValueError("'slots' must be at least 1")
    return DeviceInfo(
        description=str(value["description"]),
        targets=targets,
        metrics=metrics,
        slots=slots,
        checks_alignment=value.get("checks_alignment") is True,
        limits_packets=value.get("limits_packets") is True,
        clock=str(value.get("clock", "simulated")),
        versions={str(k): str(v) for k, v in dict(value.get("versions", {})).items()},
    )


def _read_json(data: bytes) -> dict[str, Any]:
    if len(data) > _LARGEST_JSON:
        raise ValueError("its JSON is too long")
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("its JSON is no object")
    return value


def _last_line(finished: Finished) -> str:
    lines = finished.error_text.splitlines()
    return lines[-1] if lines else "no message"
