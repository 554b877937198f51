"""FAULTS.md rows 9 to 13: what may happen to the devices of a farm, with real processes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.farm.jobs import numbered, run, run_all
from tests.farm.local_farm import CLI, ROOT, LocalFarm, eventually, kill_process, local_farm
from vrmpy_tune.device.protocol import Limits
from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm import pool
from vrmpy_tune.farm.agent import GRACE_S
from vrmpy_tune.farm.tunnel import LOST_S
from vrmpy_tune.measurement import Outcome

pytestmark = pytest.mark.fault

KEY = "obedient"
DEVICE = "python:tests.farm.devices:Obedient"


@pytest.fixture(scope="module")
def farm() -> Iterator[LocalFarm]:
    with local_farm() as farm:
        farm.serve(KEY, DEVICE, slots=2)
        yield farm


@pytest.fixture
def own_farm() -> Iterator[LocalFarm]:
    with local_farm() as farm:
        yield farm


def holder_of_slow_job(farm: LocalFarm) -> dict[str, object]:
    """Wait until a slot measures, and return it."""
    found: list[dict[str, object]] = []

    def look() -> bool:
        found[:] = [slot for slot in farm.slots() if slot["health"] == "measuring"]
        return bool(found)

    eventually(look)
    return found[0]


class TestDeviceVanishes:
    """Row 9: the job runs once more elsewhere, and the device is blamed, not the candidate."""

    @pytest.mark.parametrize("process", ["worker", "server"])
    def test_a_job_whose_process_is_killed_runs_again_elsewhere(
        self, farm: LocalFarm, tmp_path: Path, process: str
    ) -> None:
        with farm.device(KEY) as device:
            results = []
            thread = threading.Thread(
                target=lambda: results.append(run(device, tmp_path, b"slow " + process.encode()))
            )
            thread.start()
            slot = holder_of_slow_job(farm)
            began = time.monotonic()
            kill_process(slot["processes"][process])  # type: ignore[index]
            thread.join(30)
            took = time.monotonic() - began
        (result,) = results
        assert result.outcome is Outcome.OK
        assert not result.ran_on.endswith(f"/{slot['slot']}")
        assert took < LOST_S
        eventually(lambda: all(slot["health"] == "free" for slot in farm.slots()))
        print(f"\n{process} killed: done elsewhere {took:.1f} s later (3 s of them measuring)")

    def test_the_process_that_forks_the_others_may_die(
        self, farm: LocalFarm, tmp_path: Path
    ) -> None:
        before = [slot["processes"] for slot in farm.slots()]
        (host,) = farm.hosts
        (zygote,) = psutil.Process(host.process.pid).children()
        zygote.kill()
        with farm.device(KEY) as device:
            assert run(device, tmp_path, b"good").outcome is Outcome.OK
        eventually(lambda: all(slot["health"] == "free" for slot in farm.slots()))
        for processes, slot in zip(before, farm.slots(), strict=True):
            assert not set(processes.values()) & set(slot["processes"].values())

    def test_a_frozen_host_loses_its_lease_within_the_heartbeat(
        self, own_farm: LocalFarm, tmp_path: Path
    ) -> None:
        frozen = own_farm.serve(KEY, DEVICE)
        with own_farm.device(KEY, "?slots=1") as device:
            results = []
            thread = threading.Thread(target=lambda: results.append(run(device, tmp_path, b"slow")))
            thread.start()
            holder_of_slow_job(own_farm)
            # As a host behind a cut cable: connections stay, and nothing comes.
            os.kill(frozen.process.pid, signal.SIGSTOP)
            began = time.monotonic()
            try:
                own_farm.serve(KEY, DEVICE)
                thread.join(60)
                took = time.monotonic() - began
            finally:
                os.kill(frozen.process.pid, signal.SIGCONT)
        assert results[0].outcome is Outcome.OK
        assert took < LOST_S + 20
        print(f"\nhost frozen: lease ended and job done elsewhere {took:.1f} s later")

    def test_a_killed_host_leaves_no_process_and_its_jobs_run_elsewhere(
        self, own_farm: LocalFarm, tmp_path: Path
    ) -> None:
        doomed = own_farm.serve(KEY, DEVICE)
        processes = own_farm.slots()[0]["processes"].values()
        own_farm.serve(KEY, DEVICE)
        with own_farm.device(KEY) as device:
            killer = threading.Timer(1.0, doomed.kill)
            killer.start()
            results = run_all(device, tmp_path, numbered(2, b"slow"), 2)
        assert [result.outcome for result in results] == [Outcome.OK] * 2
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes))


class TestNoDeviceLeft:
    """Row 10."""

    def test_an_unknown_key_is_an_error_within_5_s_that_names_the_known_ones(
        self, farm: LocalFarm
    ) -> None:
        began = time.monotonic()
        with pytest.raises(FarmError, match=rf"Nobody serves 'obedeint'.*: {KEY}\."):
            farm.device("obedeint")
        took = time.monotonic() - began
        assert took < 5
        print(f"\nunknown key: {took:.2f} s")

    def test_a_black_holed_address_is_found_out_within_30_s(self) -> None:
        # A port that accepts connections in the kernel and never answers.
        import socket

        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            command = [
                sys.executable, "-c", CLI, "tune", "dense:m=32,n=32,k=32,lhs=u8,rhs=u8",
                "--device", f"rpc://127.0.0.1:{silent.getsockname()[1]}/{KEY}",
                "--records", "/dev/null/none.db",
            ]  # fmt: skip
            command[-1] = str(Path("/tmp") / f"unused-{os.getpid()}.db")
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "VRMPY_TUNE_FARM_KEY": "k" * 32}
            began = time.monotonic()
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=60, check=False
            )
        took = time.monotonic() - began
        Path(command[-1]).unlink(missing_ok=True)
        assert done.returncode == 9
        assert "says nothing" in done.stderr
        assert took < 30
        print(f"\nblack-holed address: {took:.1f} s")

    def test_without_a_device_there_are_messages_and_then_an_error(
        self,
        own_farm: LocalFarm,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        assert pool.MESSAGE_S == 30
        assert pool.LOOK_S < pool.MESSAGE_S
        monkeypatch.setattr(pool, "MESSAGE_S", 1.0)
        monkeypatch.setattr(pool, "LOOK_S", 0.5)
        host = own_farm.serve(KEY, DEVICE)
        with own_farm.device(KEY, "?wait=4") as device:
            assert run(device, tmp_path, b"good").outcome is Outcome.OK
            host.kill()
            began = time.monotonic()
            with (
                caplog.at_level(logging.WARNING),
                pytest.raises(FarmError, match=f"No device '{KEY}'.* for 4 s: .*farm doctor"),
            ):
                run(device, tmp_path, b"better")
        assert 4 <= time.monotonic() - began < 15
        assert 2 <= sum("Waiting up to 4 s" in text for text in caplog.messages) <= 8

    def test_a_tuning_run_exits_with_9_after_its_wait(self, own_farm: LocalFarm) -> None:
        host = own_farm.serve(KEY, DEVICE)

        def kill_at_work() -> None:
            eventually(lambda: own_farm.slots()[0]["measured"] > 0, 60)
            host.kill()

        threading.Thread(target=kill_at_work).start()
        done = subprocess.run(
            [
                sys.executable, "-c", CLI, "tune", "dense:m=32,n=32,k=32,lhs=u8,rhs=u8",
                "--device", f"rpc://{own_farm.tracker}/{KEY}", "--wait", "3s",
                "--trials", "100000", "--records", f"sqlite:////tmp/wait-{os.getpid()}.db",
            ],
            env=own_farm.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        for path in Path("/tmp").glob(f"wait-{os.getpid()}.db*"):
            path.unlink()
        assert done.returncode == 9, done.stderr
        assert "No device 'obedient' could be had" in done.stderr


class TestTrackerRestarts:
    """Row 11."""

    def test_servers_and_tuner_come_back_and_nothing_is_lost(
        self, own_farm: LocalFarm, tmp_path: Path
    ) -> None:
        own_farm.serve(KEY, "python:tests.farm.devices:tenth", slots=2)
        jobs = numbered(120)
        with own_farm.device(KEY) as device:
            timer = threading.Timer(2.0, own_farm.restart_tracker)
            timer.start()
            results = run_all(device, tmp_path, jobs, 2)
            timer.join()
        assert [result.outcome for result in results] == [Outcome.OK] * len(jobs)
        took = eventually(lambda: len(own_farm.status()["hosts"]) == 1)
        with own_farm.device(KEY) as device:
            began = time.monotonic()
            assert run(device, tmp_path, b"afterwards").outcome is Outcome.OK
            took += time.monotonic() - began
        assert took < 30
        print(f"\ntracker restarted: back {took:.1f} s after it was")


class TestPoison:
    """Row 12."""

    def test_a_candidate_that_ends_two_devices_meets_no_third(
        self, farm: LocalFarm, tmp_path: Path
    ) -> None:
        before = sum(slot["restarts"] for slot in farm.slots())
        with farm.device(KEY) as device:
            result = run(device, tmp_path, b"poison")
            assert result.outcome is Outcome.CRASH
            assert result.outcome.is_remembered
            assert "ended the devices" in result.message
            assert run(device, tmp_path, b"poison").outcome is Outcome.CRASH
            eventually(lambda: all(slot["processes"]["worker"] for slot in farm.slots()))
            assert sum(slot["restarts"] for slot in farm.slots()) == before + 2
            assert run(device, tmp_path, b"good").outcome is Outcome.OK

    def test_after_100_crashing_candidates_every_slot_still_serves(
        self, farm: LocalFarm, tmp_path: Path
    ) -> None:
        before = [slot["processes"] for slot in farm.slots()]
        with farm.device(KEY) as device:
            results = run_all(device, tmp_path, numbered(100, b"crash"), 2)
            assert [result.outcome for result in results] == [Outcome.CRASH] * 100
            assert run(device, tmp_path, b"good").outcome is Outcome.OK
        assert [slot["processes"] for slot in farm.slots()] == before

    def test_a_candidate_that_hangs_is_killed_with_all_that_it_started(
        self, farm: LocalFarm, tmp_path: Path
    ) -> None:
        with farm.device(KEY) as device:
            began = time.monotonic()
            result = run(device, tmp_path, b"hang", Limits(wall_s=1))
            took = time.monotonic() - began
            assert result.outcome is Outcome.TIMEOUT
            assert took < 1 + GRACE_S + 1
            assert run(device, tmp_path, b"good").outcome is Outcome.OK
        print(f"\nhang with a limit of 1 s: over after {took:.2f} s")


class TestSickDevice:
    """Row 13; what is measured again is tested in tests/tune/test_second_opinion.py."""

    def test_a_slot_that_is_complained_of_three_times_is_out_of_service(
        self, own_farm: LocalFarm, tmp_path: Path
    ) -> None:
        own_farm.serve(KEY, DEVICE, slots=2)
        with own_farm.device(KEY) as device:
            sick = run(device, tmp_path, b"good").ran_on
            for _ in range(3):
                device.report_sick(sick, "wrong-result where another is right")

            def quarantined() -> list[str]:
                return [s["health"] for s in own_farm.slots() if sick.endswith(f"/{s['slot']}")]

            eventually(lambda: quarantined() == ["quarantined"])
            results = run_all(device, tmp_path, numbered(20), 2)
            assert {result.outcome for result in results} == {Outcome.OK}
            assert sick not in {result.ran_on for result in results}


@pytest.fixture(scope="module")
def two_slots() -> Iterator[LocalFarm]:
    with local_farm() as farm:
        farm.serve(KEY, "python:tests.farm.devices:tenth", slots=2)
        yield farm


class TestFairness:
    def measure(self, farm: LocalFarm, directory: Path, options: tuple[str, str]) -> list[int]:
        """Let two tuners work for 6 s; return how many jobs each got done."""
        done = [0, 0]
        stop = time.monotonic() + 6

        def tuner(number: int) -> None:
            own = directory / str(number)
            own.mkdir()
            with farm.device(KEY, options[number]) as device:

                def work(thread: int) -> None:
                    while time.monotonic() < stop:
                        content = b"%d %d %d" % (number, thread, done[number])
                        assert run(device, own, content).outcome is Outcome.OK
                        done[number] += 1

                threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

        tuners = [threading.Thread(target=tuner, args=(number,)) for number in range(2)]
        for thread in tuners:
            thread.start()
        for thread in tuners:
            thread.join()
        return done

    @pytest.fixture
    def quick_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pool, "QUANTUM_S", 0.3)

    @pytest.mark.usefixtures("quick_turns")
    def test_equal_tuners_get_equal_shares(self, two_slots: LocalFarm, tmp_path: Path) -> None:
        first, second = self.measure(two_slots, tmp_path, ("?slots=4", "?slots=4"))
        assert 0.5 < first / second < 2
        print(f"\nequal priorities: {first} and {second} jobs")

    @pytest.mark.usefixtures("quick_turns")
    def test_the_higher_priority_gets_most(self, two_slots: LocalFarm, tmp_path: Path) -> None:
        low, high = self.measure(
            two_slots, tmp_path, ("?slots=4&priority=1", "?slots=4&priority=5")
        )
        assert high > 1.5 * low
        print(f"\npriorities 1 and 5: {low} and {high} jobs")
