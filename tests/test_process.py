"""The process runner: every way to end, and nothing left behind."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from vrmpy_tune.process import Ending, ProcessLimits, run_limited

LIMITS = ProcessLimits(wall_s=20.0)


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _ends(process: int) -> bool:
    """Whether a process that was killed is gone within a moment."""
    deadline = time.monotonic() + 2
    while _is_running(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not _is_running(process)


def test_output_input_and_status_come_back() -> None:
    finished = run_limited(
        ["/bin/sh", "-c", "cat; echo told >&2; exit 3"], LIMITS, stdin=[b"one ", memoryview(b"two")]
    )
    assert finished.ending is Ending.EXITED
    assert finished.status == 3
    assert finished.stdout == b"one two"
    assert finished.error_text == "told"
    assert not finished.succeeded


def test_the_environment_is_empty_unless_given() -> None:
    assert run_limited(["/usr/bin/env"], LIMITS).stdout.strip() in (
        b"",
        f"PWD={Path.cwd()}".encode(),
    )
    given = run_limited(["/usr/bin/env"], LIMITS, environment={"COLOUR": "blue"})
    assert b"COLOUR=blue" in given.stdout


def test_a_signal_is_told_by_name() -> None:
    finished = run_limited(["/bin/sh", "-c", "kill -SEGV $$"], LIMITS)
    assert finished.ending is Ending.SIGNALLED
    assert finished.describe() == "was ended by SIGSEGV"


def test_a_deadline_ends_the_whole_process_group() -> None:
    script = "sleep 60 & echo $!; sleep 60"
    started = time.monotonic()
    finished = run_limited(["/bin/sh", "-c", script], ProcessLimits(wall_s=0.3))
    assert finished.ending is Ending.WALL_LIMIT
    assert time.monotonic() - started < 2
    assert _ends(int(finished.stdout))


def test_what_a_program_leaves_running_ends_with_it() -> None:
    finished = run_limited(["/bin/sh", "-c", "sleep 60 & echo $!"], LIMITS)
    assert finished.succeeded
    assert _ends(int(finished.stdout))


def test_cpu_time_is_told_from_wall_clock_time() -> None:
    busy = run_limited(["/bin/sh", "-c", "while :; do :; done"], ProcessLimits(30.0, cpu_s=1.0))
    assert busy.ending is Ending.CPU_LIMIT
    assert busy.cpu_s >= 0.9


def test_a_program_that_ignores_the_warning_is_killed() -> None:
    script = "trap '' XCPU; while :; do :; done"
    stubborn = run_limited(["/bin/sh", "-c", script], ProcessLimits(30.0, cpu_s=1.0))
    assert stubborn.ending is Ending.CPU_LIMIT


def test_output_without_end_is_cut_off() -> None:
    limits = ProcessLimits(20.0, file_bytes=1 << 20)
    finished = run_limited(["/bin/sh", "-c", "while :; do echo endless; done"], limits)
    assert len(finished.stdout) <= 1 << 20
    assert not finished.succeeded


@pytest.mark.parametrize("script", ["exit 0", "kill -KILL $$", "sleep 60"])
def test_no_descriptor_is_left_open(script: str) -> None:
    limits = ProcessLimits(wall_s=0.2)
    run_limited(["/bin/sh", "-c", script], limits)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        run_limited(["/bin/sh", "-c", script], limits)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
