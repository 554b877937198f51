"""A farm on one host, a tuner on another, and the cable between them pulled for 20 s."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.farm.local_farm import ROOT, LocalFarm
from tests.farm.two_hosts import FARM_ADDRESS, TwoHosts
from vrmpy_tune.farm.private import PrivateFarm

pytestmark = [pytest.mark.fault, pytest.mark.slow]

KEY = "obedient"
CUT_S = 20.0
JOBS = 120
SLOTS = 2


class FarmOnHost(LocalFarm):
    """A farm on the other host, whose status only that host can ask for."""

    def __init__(self, hosts: TwoHosts) -> None:
        PrivateFarm.__init__(self, bind=FARM_ADDRESS, prefix=hosts.on(hosts.farm))
        self._hosts = hosts

    def measured(self) -> int:
        done = subprocess.run(
            [
                *self._hosts.on(self._hosts.farm), sys.executable, "-c",
                "import sys; from vrmpy_tune.farm.secret import load_key; "
                "from vrmpy_tune.farm.status import farm_status; "
                "print(farm_status(sys.argv[1], load_key())['totals']['measured'])",
                self.tracker,
            ],
            env=self.environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return int(done.stdout)


def test_a_cable_pulled_for_20_s_loses_nothing_and_doubles_nothing() -> None:
    with TwoHosts() as hosts, FarmOnHost(hosts) as farm:
        farm.serve(KEY, "python:tests.farm.devices:tenth", SLOTS)
        command = [
            *hosts.on(hosts.tuner), sys.executable, "-m", "tests.farm.tuner_script",
            f"rpc://{farm.tracker}/{KEY}", str(JOBS), str(SLOTS),
        ]  # fmt: skip
        tuner = subprocess.Popen(
            command, cwd=ROOT, env=farm.environment, stdout=subprocess.PIPE, text=True
        )
        lines: list[str] = []
        assert tuner.stdout is not None
        while len(lines) < JOBS // 4:
            lines.append(tuner.stdout.readline())
        hosts.cut()
        time.sleep(CUT_S)
        hosts.mend()
        mended = time.monotonic()
        lines.append(tuner.stdout.readline())
        # Those that had ended before the cut may still have been in the pipe.
        while len(lines) < JOBS // 4 + 10:
            lines.append(tuner.stdout.readline())
        back = time.monotonic() - mended
        lines += tuner.stdout.readlines()
        assert tuner.wait(60) == 0
        measured = farm.measured()
    assert lines[-1] == "finished\n"
    assert sorted(lines[:-1]) == sorted(f"done good {number}: ok\n" for number in range(JOBS))
    # What the slots were at when the cable was pulled is measured again, and nothing else.
    assert JOBS <= measured <= JOBS + SLOTS
    assert back < 30
    print(f"\n{JOBS} of {JOBS} jobs, {measured} measurements, at work {back:.1f} s after the mend")


def test_a_farm_out_of_reach_is_named_in_time() -> None:
    with TwoHosts() as hosts, FarmOnHost(hosts) as farm:
        hosts.cut()
        began = time.monotonic()
        done = subprocess.run(
            [*hosts.on(hosts.tuner), sys.executable, "-m", "tests.farm.tuner_script",
             f"rpc://{farm.tracker}/{KEY}", "1", "1"],
            cwd=ROOT, env=farm.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        took = time.monotonic() - began
    assert done.returncode != 0
    assert "cannot be reached" in done.stderr
    assert took < 30
    print(f"\nhost out of reach: found out in {took:.1f} s")
