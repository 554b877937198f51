"""An external program as a device: the contract, and programs that do not keep it."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.device_contract import DeviceContract
from tests.device.simulated import V68, job, ramp
from vrmpy_tune.device import command
from vrmpy_tune.device.open import open_device
from vrmpy_tune.device.protocol import Device, Job, Limits
from vrmpy_tune.errors import DeviceError
from vrmpy_tune.measurement import Outcome

BOARD = Path(__file__).parent / "programs" / "fake_board.py"
SPECIFICATION = f"command: {shlex.join([sys.executable, '-S', str(BOARD)])}"
SETS = ((ramp(),),)


class TestCommand(DeviceContract):
    @pytest.fixture
    def device(self) -> Device:
        return open_device(SPECIFICATION)

    @pytest.fixture
    def fresh_device(self) -> Callable[[], Device]:
        return lambda: open_device(SPECIFICATION)

    @pytest.fixture
    def add_one(self, tmp_path: Path) -> Job:
        path = tmp_path / "kernel.o"
        path.write_bytes(b"add one")
        return job(path)


def board(directory: Path, run: str) -> Device:
    """A board whose ``run`` is this shell text, with the job's directory in ``$2``."""
    script = directory / "board.sh"
    script.write_text(
        f"#!/bin/sh\n[ $1 = describe ] && exec {sys.executable} -S {BOARD} describe\n{run}\n"
    )
    script.chmod(0o755)
    return open_device(f"command: {script}")


def outcome(directory: Path, run: str, limits: Limits | None = None) -> tuple[Outcome, str]:
    result = board(directory, run).run(job(Path("no.o")), SETS, V68, limits or Limits(wall_s=20))
    return result.outcome, result.message


def test_it_says_what_the_program_says_of_itself() -> None:
    info = open_device(SPECIFICATION).info()
    assert info.description == "a board of the tests"
    assert info.slots == 2
    assert info.versions == {"firmware": "1.0"}


def test_the_program_gets_the_object_the_inputs_and_the_limits(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    device = board(tmp_path, f"cp -r $2 {kept}; exit 1")
    path = tmp_path / "kernel.o"
    path.write_bytes(b"an object")
    device.run(job(path), SETS, V68, Limits(packets=7, wall_s=20))
    assert (kept / "kernel.o").read_bytes() == b"an object"
    assert (kept / "input-0-0.bin").read_bytes() == ramp().tobytes()
    assert '"packets": 7' in (kept / "job.json").read_text()
    assert '"vtcm_bytes": 4194304' in (kept / "job.json").read_text()


def test_a_program_that_fails_has_lost_its_device_and_says_why(tmp_path: Path) -> None:
    assert outcome(tmp_path, "echo the board is off >&2; exit 1") == (
        Outcome.DEVICE_LOST,
        "The program exited with status 1: the board is off",
    )


@pytest.mark.parametrize(
    "result",
    [
        "nonsense",
        "[]",
        '{"outcome": "fine"}',
        '{"outcome": "device-lost"}',
        '{"outcome": "ok", "counts": []}',
        '{"outcome": "ok", "counts": [{"packets_total": -1}]}',
    ],
)
def test_a_result_against_the_contract_blames_the_device(tmp_path: Path, result: str) -> None:
    (tmp_path / "said").write_text(result)
    found, message = outcome(tmp_path, f"cp {tmp_path}/said $2/result.json")
    assert found is Outcome.DEVICE_LOST
    assert "does not keep the contract" in message


def test_no_result_at_all_blames_the_device(tmp_path: Path) -> None:
    assert outcome(tmp_path, "exit 0")[0] is Outcome.DEVICE_LOST


def test_what_the_program_says_of_the_candidate_is_passed_on(tmp_path: Path) -> None:
    said = '{"outcome": "crash", "message": "The kernel trapped at 0x40."}'
    (tmp_path / "said").write_text(said)
    assert outcome(tmp_path, f"cp {tmp_path}/said $2/result.json") == (
        Outcome.CRASH,
        "The kernel trapped at 0x40.",
    )


def test_a_program_that_hangs_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "GRACE_S", 0.2)
    began = time.monotonic()
    found, _ = outcome(tmp_path, "sleep 1000 & echo $! > $0.pid; wait", Limits(wall_s=0.3))
    assert found is Outcome.TIMEOUT
    assert time.monotonic() - began < 5
    child = (tmp_path / "board.sh.pid").read_text().strip()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("command:", "Name a program"),
        ("command: /no/such/program", "describe"),
        ("command: echo", "does not keep the contract"),
        ("command: false", "exited with status 1"),
        ("python:no.such.module:Device", "names no device"),
        ("python:vrmpy_tune.device.fake:NoSuchDevice", "names no device"),
        ("python:nothing", "names no device"),
    ],
)
def test_what_is_no_device_is_refused(specification: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        open_device(specification)


def test_ones_own_class_is_a_device() -> None:
    with open_device("python:vrmpy_tune.device.fake:FakeDevice") as device:
        assert device.info().description == "fake device"
