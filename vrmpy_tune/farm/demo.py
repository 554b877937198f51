"""``make farm-demo``: two tuning jobs on four slots, one of which is killed half-way.

Exits with 0 if both jobs finish and their records equal those of undisturbed runs on this host's
own simulator with the same seeds.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.private import PrivateFarm, Program
from vrmpy_tune.farm.status import farm_status, status_text
from vrmpy_tune.records import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

KEY: Final = "hexagon-v68"
SLOTS: Final = 4
TRIALS: Final = 32

JOB_S: Final = 900.0
"""Seconds that a tuning job may take."""


@dataclass(frozen=True)
class TuningJob:
    """One of the two jobs."""

    name: str
    workload: str
    seed: int


JOBS: Final = (
    TuningJob("first", "dense:m=32,n=64,k=64,lhs=u8,rhs=u8", 0),
    TuningJob("second", "dense:m=64,n=64,k=128,lhs=u8,rhs=i8", 1),
)


def demonstrate(trials: int, say: Callable[[str], None]) -> bool:
    """Run the demonstration; return whether the records are equal.

    Raises
    ------
    FarmError
        If a part of the farm or a job fails.
    """
    with tempfile.TemporaryDirectory(prefix="vrmpy-farm-demo-") as name, PrivateFarm() as farm:
        directory = Path(name)
        farm.serve(KEY, "qemu", SLOTS)
        say(f"A tracker on {farm.tracker}, and {SLOTS} slots of QEMU under '{KEY}'.")
        device = f"rpc://{farm.tracker}/{KEY}"
        running = [_start(job, trials, device, directory / job.name, farm) for job in JOBS]
        say(f"Two tuning jobs at once, {trials} trials each.")
        slot = _await_half_way(farm, running, trials)
        processes = slot["processes"]
        for pid in processes.values():
            os.kill(pid, signal.SIGKILL)
        numbers = " and ".join(map(str, processes.values()))
        say(f"Half-way: killed slot {slot['slot']}, processes {numbers}.")
        for job, program in zip(JOBS, running, strict=True):
            _finish(job, program)
        say("Both jobs have finished.\n")
        say(status_text(farm_status(farm.tracker, farm.secret)))
        say("\nThe same jobs on this host's own simulator, undisturbed.")
        stores = [directory / f"{job.name}-alone" for job in JOBS]
        running = [
            _start(job, trials, "qemu", alone, farm)
            for job, alone in zip(JOBS, stores, strict=True)
        ]
        equal = True
        for job, program, alone in zip(JOBS, running, stores, strict=True):
            _finish(job, program)
            ours, theirs = _records(directory / job.name), _records(alone)
            same = ours == theirs and len(ours) > 0
            equal &= same
            say(f"{job.workload}: {len(ours)} records, {'equal' if same else 'NOT EQUAL'}.")
        return equal


def _start(job: TuningJob, trials: int, device: str, store: Path, farm: PrivateFarm) -> Program:
    return Program(
        "tune", job.workload, "--seed", str(job.seed), "--trials", str(trials),
        "--device", device, "--records", f"sqlite:///{store}.db",
        environment=farm.environment,
    )  # fmt: skip


def _finish(job: TuningJob, program: Program) -> None:
    try:
        status = program.process.wait(JOB_S)
    finally:
        program.stop()
    if status:
        raise FarmError(f"The job {job.workload} exited with {status}:\n{program.output[-2000:]}")


def _await_half_way(farm: PrivateFarm, running: list[Program], trials: int) -> dict[str, Any]:
    """Return a slot that is in use, once half of all trials have been measured."""
    deadline = time.monotonic() + JOB_S
    while time.monotonic() < deadline and all(job.process.poll() is None for job in running):
        status = farm_status(farm.tracker, farm.secret)
        slots: list[dict[str, Any]] = [slot for host in status["hosts"] for slot in host["slots"]]
        in_use = [slot for slot in slots if slot["health"] in ("measuring", "leased")]
        if in_use and status["totals"]["measured"] >= len(running) * trials // 2:
            return in_use[0]
        time.sleep(0.02)
    raise FarmError(
        "The jobs did not get half-way:\n" + "\n".join(job.output[-1000:] for job in running)
    )


def _records(store: Path) -> list[str]:
    """Return all of a store's records as text."""
    with open_store(f"sqlite:///{store}.db", readonly=True) as opened:
        return sorted(str(record.to_json()) for record in opened.query())


def main() -> int:
    """Run the demonstration and say what came of it."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS
    try:
        equal = demonstrate(trials, lambda text: print(text, flush=True))
    except FarmError as error:
        print(f"farm-demo: {error}", file=sys.stderr)
        return error.exit_code
    print("All records are equal." if equal else "The records differ.")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
