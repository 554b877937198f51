"""A whole farm from a user's side: sharing, status, doctor, keys, stock programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.farm.conftest import KEY
from tests.farm.jobs import numbered, run, run_all
from tests.farm.local_farm import CLI, LocalFarm, eventually
from vrmpy_tune.device.open import open_device
from vrmpy_tune.device.rpc import FarmAddress
from vrmpy_tune.errors import DeviceError, FarmError, UsageError
from vrmpy_tune.farm import bench
from vrmpy_tune.farm.running import exposure
from vrmpy_tune.farm.secret import FILE_VARIABLE, KEY_VARIABLE, load_key
from vrmpy_tune.measurement import Outcome


def command(farm: LocalFarm, *arguments: str, status: int = 0, key: str = "") -> str:
    environment = farm.environment | ({KEY_VARIABLE: key} if key else {})
    done = subprocess.run(
        [sys.executable, "-c", CLI, "farm", *arguments],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done.stdout or done.stderr


@pytest.mark.parametrize("part", ["tracker", "serve"])
def test_a_server_prints_one_document_once_it_is_ready(
    farm: LocalFarm, part: str, tmp_path: Path
) -> None:
    arguments = {
        "tracker": ("--port", "0"),
        "serve": ("--tracker", farm.tracker, "--key", "json",
                  "--device", "python:tests.farm.devices:second"),
    }[part]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", CLI, "farm", part, *arguments, "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**farm.environment, "TMPDIR": str(tmp_path)},
    ) as program:  # fmt: skip
        assert program.stdout is not None
        lines = [program.stdout.readline()]
        while lines[-1].strip() != "}":
            lines.append(program.stdout.readline())
            assert lines[-1], program.stderr.read() if program.stderr else ""
        document = json.loads("".join(lines))
        program.send_signal(signal.SIGTERM)
        rest, _ = program.communicate(timeout=30)
    host, _, port = document["address"].rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0
    if part == "serve":
        assert (document["key"], document["slots"], document["registered"]) == ("json", 1, True)
    assert rest == ""
    assert program.returncode == 0


def test_a_batch_is_spread_over_all_slots_and_each_job_runs_once(
    farm: LocalFarm, tmp_path: Path
) -> None:
    before = farm.status()["totals"]["measured"]
    with farm.device(KEY) as device:
        # Two of 3 s first, so that both slots are leased.
        results = run_all(device, tmp_path, numbered(2, b"slow") + numbered(198), 2)
    assert {result.outcome for result in results} == {Outcome.OK}
    assert len({result.ran_on for result in results}) == 2
    assert farm.status()["totals"]["measured"] == before + 200


def test_the_farm_describes_itself_as_its_devices_do(farm: LocalFarm) -> None:
    with farm.device(KEY) as device:
        info = device.info()
        assert (info.description, info.slots) == ("fake device", 2)
    with farm.device(KEY, "?slots=7") as device:
        assert device.info().slots == 7


def test_status_shows_slots_holders_and_queues(farm: LocalFarm, tmp_path: Path) -> None:
    with farm.device(KEY) as device:
        run(device, tmp_path, b"good")
        holders = [slot["holder"] for slot in farm.slots()]
        assert any(holder.endswith(f":{os.getpid()}") for holder in holders)
        text = command(farm, "status", farm.tracker)
    assert f"{KEY}: 2 registered" in text
    assert "leased" in text
    eventually(lambda: not any(slot["holder"] for slot in farm.slots()))
    document = json.loads(command(farm, "status", farm.tracker, "--json"))
    assert document["keys"][KEY]["slots"] == 2
    (host,) = document["hosts"]
    assert host["capabilities"]["targets"]
    assert {slot["health"] for slot in host["slots"]} == {"free"}


def test_doctor_finds_a_farm_well(farm: LocalFarm) -> None:
    document = json.loads(command(farm, "doctor", farm.tracker, "--json"))
    assert document["healthy"], document
    names = [check["name"] for check in document["checks"]]
    assert names[:4] == ["name", "tracker", "trust of tracker", "TVM's tracker"]
    assert names[-1] == f"session '{KEY}'"


@pytest.mark.parametrize(
    ("tracker", "key", "link", "said"),
    [
        ("no-such-host.invalid:9190", "", "name", "does not resolve"),
        ("127.0.0.1:1", "", "tracker", "nothing listens there"),
        ("", "another key, just as long", "trust of tracker", "another farm key"),
    ],
)
def test_doctor_names_the_first_link_that_is_broken(
    farm: LocalFarm, tracker: str, key: str, link: str, said: str
) -> None:
    text = command(farm, "doctor", tracker or farm.tracker, "--json", status=9, key=key)
    broken = [check for check in json.loads(text)["checks"] if check["status"] == "error"]
    assert [check["name"] for check in broken] == [link]
    assert said in broken[0]["detail"]
    assert broken[0]["remedy"]


def test_a_stock_program_of_this_host_sees_the_tracker(farm: LocalFarm) -> None:
    host, port = farm.tracker.split(":")
    done = subprocess.run(
        [sys.executable, "-m", "tvm.exec.query_rpc_tracker", "--host", host, "--port", port],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert f"server:{KEY}" in done.stdout


def test_a_target_that_no_slot_runs_is_refused_before_anything_is_sent(
    farm: LocalFarm, tmp_path: Path
) -> None:
    from tests.device.simulated import job, ramp
    from vrmpy_tune.device.protocol import Limits
    from vrmpy_tune.target import TARGETS

    with farm.device(KEY) as device, pytest.raises(DeviceError, match="cannot run hexagon-v75"):
        device.run(job(tmp_path / "x.o"), ((ramp(),),), TARGETS["hexagon-v75"], Limits())


def test_a_device_that_cannot_be_opened_is_said_at_once(farm: LocalFarm) -> None:
    said = command(
        farm, "serve", "--tracker", farm.tracker, "--key", "x", "--device", "python:no:Such",
        status=9,
    )  # fmt: skip
    assert "The device 'python:no:Such' cannot be used" in said


@pytest.mark.parametrize(
    "text",
    [
        "rpc://host/key",
        "rpc://host:1/",
        "rpc://host:x/key",
        "rpc://host:1/key?slots=0",
        "rpc://host:1/key?slot=1",
        "rpc://host:1/key?slots=a",
        "rpc://host:1/a key",
    ],
)
def test_an_address_that_is_none_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(UsageError, match=r"rpc://HOST:PORT/KEY"):
        open_device(text)


def test_addresses_say_slots_priority_and_patience() -> None:
    address = FarmAddress.parse("rpc://h:1/hexagon-v68?slots=3&priority=-2&wait=1.5")
    assert address == FarmAddress("h:1", "hexagon-v68", 3, -2, 1.5)


class TestKeys:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv(KEY_VARIABLE, raising=False)
        monkeypatch.delenv(FILE_VARIABLE, raising=False)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def test_without_a_key_the_message_says_where_to_get_one(self) -> None:
        with pytest.raises(FarmError, match=f"no farm key.*{KEY_VARIABLE}"):
            load_key()

    def test_the_first_farm_command_makes_one_that_only_its_owner_reads(
        self, tmp_path: Path
    ) -> None:
        first, second = load_key(create=True), load_key()
        assert first.tag("x") == second.tag("x")
        (path,) = tmp_path.rglob("farm.key")
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_file_that_others_read_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "key"
        path.write_text("k" * 32)
        path.chmod(0o644)
        monkeypatch.setenv(FILE_VARIABLE, str(path))
        with pytest.raises(FarmError, match="chmod 600"):
            load_key()
        path.chmod(0o600)
        load_key()


def test_only_addresses_beyond_this_host_expose_anything() -> None:
    for bind in ("127.0.0.1", "::1", "localhost", "127.1.2.3"):
        assert exposure(bind, "it") == ""
    for bind in ("0.0.0.0", "10.0.0.1", "::", "farmhost"):
        assert f"Listening on {bind}" in exposure(bind, "it")


@pytest.mark.slow
def test_the_benchmark_measures_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SETTLE_S", 0.1)
    rows = bench.farm_throughput([2], window_s=3)
    assert [row.slots for row in rows] == [2]
    # In 3 s, two slots end six measurements, one more or less each at either end.
    assert 0.6 < rows[0].efficiency <= 1.34
    assert "of ideal" in bench.table(rows)
    bench.plot(rows, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").stat().st_size > 1000
    assert bench.document(rows)["next_doubling"]
