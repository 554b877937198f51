from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.cli.fakes import COMPILED, CONV, DENSE, RAN, TUNED, Report, fake_tune, measured
from tests.records.samples import record
from vrmpy_tune.records import open_store
from vrmpy_tune.records.shipped import shipped_records
from vrmpy_tune.workload import parse_workload

Replace = Callable[..., None]


def test_tune_prints_one_document_whatever_libraries_and_children_print(
    command: Command, replace: Replace
) -> None:
    def noisy(workloads: object, **options: Any) -> list[Report]:
        print("from Python")
        os.write(1, b"from a compiled library\n")
        subprocess.run(["echo", "from a child"], check=True)
        return fake_tune(measured(1, value=9, best=9))(workloads, **options)

    replace("vrmpy_tune.tune.run", tune=noisy)
    ended = command("tune", DENSE, "--json")
    assert ended.code == 0
    assert ended.document == {"results": [TUNED]}
    for source in ("Python", "a compiled library", "a child"):
        assert f"from {source}" in ended.stderr


def test_stdout_is_itself_again_after_a_document(command: Command, replace: Replace) -> None:
    replace("vrmpy_tune.compiler", compile_workloads=lambda *_, **__: Report(COMPILED))
    assert command("compile", DENSE, "-o", "out", "--json").document == COMPILED
    assert "applied" in command("compile", DENSE, "-o", "out").stdout


def test_tune_passes_on_what_was_asked(command: Command, replace: Replace) -> None:
    asked: dict[str, Any] = {}

    def tune(workloads: object, **options: Any) -> list[Report]:
        asked.update(options, workloads=workloads)
        return []

    replace("vrmpy_tune.tune.run", tune=tune)
    given = ("--target", "v73", "--time", "1.5m", "--records", "a.db", "--no-transfer")
    command("tune", DENSE, CONV, DENSE, *given)
    assert asked["workloads"] == [parse_workload(DENSE), parse_workload(CONV)]
    assert asked["target"].name == "hexagon-v73"
    assert (asked["time_s"], asked["trials"], asked["records"]) == (90.0, None, "a.db")
    assert (asked["transfer"], asked["early_stop"]) == (False, True)


def test_tune_prints_its_figures_in_words(command: Command, replace: Replace) -> None:
    replace("vrmpy_tune.tune.run", tune=fake_tune())
    printed = command("tune", DENSE).stdout
    for words in (
        "312,345 packets",
        "241.7 MACs/packet",
        "94.4% of the ceiling",
        "1 build-error",
        "96 candidates/min",
        "cores 90% busy",
        "stopped early after 96 of 128: no gain in 32",
        "2 seeds from records of 1 similar workloads",
    ):
        assert words in printed


def test_compile_prints_untuned_and_tuned_packets_their_ratio_and_the_records(
    command: Command, replace: Replace
) -> None:
    replace("vrmpy_tune.compiler", compile_workloads=lambda *_, **__: Report(COMPILED))
    printed = command("compile", DENSE, CONV, "-o", "out", "--compare-untuned").stdout
    assert (
        "untuned 3,123,450 packets, tuned 312,345 packets (80,123 on the critical path), "
        "ratio 10.00, 241.7 MACs/packet, 94.4% of the ceiling" in printed
    )
    assert "record abababababababab applied (other toolchain), output verified" in printed
    assert "missing: No record of" in printed
    assert "1 of 2 records applied" in printed


def test_compile_without_verification_opens_no_device(command: Command, replace: Replace) -> None:
    asked: dict[str, Any] = {}

    def compile_workloads(_workloads: object, **options: Any) -> Report:
        asked.update(options)
        return Report(COMPILED)

    replace("vrmpy_tune.compiler", compile_workloads=compile_workloads)
    command("compile", DENSE, "-o", "out", "--no-verify")
    assert asked["device"] is None
    assert asked["output"] == Path("out")


def test_compile_looks_in_named_stores_and_those_that_ship_unless_they_are_left_out(
    command: Command, replace: Replace
) -> None:
    asked: list[list[str]] = []

    def compile_workloads(_workloads: object, *, records: list[str], **_: Any) -> Report:
        asked.append(records)
        return Report(COMPILED)

    replace("vrmpy_tune.compiler", compile_workloads=compile_workloads)
    named = ("compile", DENSE, "-o", "out", "--records", "a", "--records", "b")
    ended = command(*named)
    assert "--no-shipped leaves them out" in ended.stderr
    command(*named, "--no-shipped")
    assert asked == [["a", "b", str(shipped_records())], ["a", "b"]]


def test_run_prints_a_line_for_each_layer_when_profiling(
    command: Command, replace: Replace
) -> None:
    replace("vrmpy_tune.compiler", run_artifact=lambda *_, **__: Report(RAN))
    replace("vrmpy_tune.model.artifact", is_network=lambda _: False)
    assert command("run", "out", "--json").document == RAN
    assert len(command("run", "out").stdout.splitlines()) == 1
    layer, total = command("run", "out", "--profile").stdout.splitlines()
    assert layer.split() == ["400,000", "packets", "100.0%", "188.7", "MACs/packet", "kernel"]
    assert total == "400,000 packets in all, 100,000 on the critical path"


def test_explain_names_the_nearest_record_and_the_field_that_differs(
    command: Command, tmp_path: Path
) -> None:
    store = tmp_path / "a.db"
    with open_store(store) as opened:
        opened.add(record(1, DENSE))
    wanted = DENSE.replace("k=768", "k=512")
    ended = command("explain", wanted, "--records", store)
    assert ended.code == 0
    assert "missing: No record of" in ended.stdout
    assert "k 768 instead of 512" in ended.stdout
    row = command("explain", wanted, "--records", store, "--json").document["workloads"][0]
    assert row["record"] is None
    assert row["nearest"][0]["differences"] == {"k": {"wanted": "512", "found": "768"}}


def test_spaces_and_instructions_are_listed(command: Command) -> None:
    names = [row["name"] for row in command("spaces", "--json").document["spaces"]]
    assert "dense.scalar/3" in names
    listed = command("spaces", "--instructions", "--json").document["instructions"]
    assert {row["mnemonic"] for row in listed} == {"vrmpy", "vdmpy"}
    assert len(command("spaces", "--instructions").stdout.splitlines()) == len(listed)


def test_a_check_of_the_spaces_says_its_progress_on_stderr(
    command: Command, replace: Replace
) -> None:
    row = {"workload": DENSE, "spaces": ["dense.scalar/3"], "samples": 300, "verified": 299}
    document = {
        "samples": 300,
        "verified": 299,
        "verified_fraction": 299 / 300,
        "failures": {"build-error": 1},
        "workloads": [row],
        "messages": ["It did not build."],
        "wall_s": 60.0,
    }

    def check_spaces(**options: Any) -> Report:
        options["progress"]("half way")
        return Report(document)

    replace("vrmpy_tune.tune.space_check", check_spaces=check_spaces)
    ended = command("spaces", "--check", "--samples", "300", "--json")
    assert ended.document == document
    assert "half way" in ended.stderr
    ended = command("spaces", "--check")
    assert ended.code == 0
    assert "299 of 300 verified (99.7%) in 60 s, 1 build-error" in ended.stdout
    document["verified_fraction"] = 0.98
    assert command("spaces", "--check", "--json").code == 10


def test_one_wrong_output_fails_a_check_of_the_spaces(command: Command, replace: Replace) -> None:
    asked: list[dict[str, Any]] = []

    def check_spaces(**options: Any) -> Report:
        asked.append(options)
        samples = options["samples"]
        return Report(
            {
                "samples": samples,
                "verified": samples - 1,
                "verified_fraction": 1 - 1 / samples,
                "failures": {"wrong-result": 1},
                "workloads": [],
                "messages": [],
                "wall_s": 60.0,
            }
        )

    replace("vrmpy_tune.tune.space_check", check_spaces=check_spaces)
    assert command("spaces", "--check", "--residues").code == 10
    assert asked[0]["fixed"]
    assert asked[0]["samples"] == 2 * len(asked[0]["workloads"])


def test_doctor_prints_the_remedy_and_exits_7_if_something_is_broken(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from vrmpy_tune.toolchain import doctor
    from vrmpy_tune.toolchain.doctor import Check, Status

    checks = [
        Check("numpy", Status.OK, "2.4.6"),
        Check("tvm_ffi", Status.ERROR, "has version 0.1.15", "pip install 'apache-tvm-ffi'"),
    ]
    monkeypatch.setattr(doctor, "doctor", lambda: checks)
    store = tmp_path / "records.db"
    with open_store(store) as opened:
        opened.add_many([record(1), record(2, generator="packets-fallback")])
        opened.add(record(3, generator="unknown"))
    monkeypatch.setattr("vrmpy_tune.records.shipped.sources", lambda: [str(store)])
    ended = command("doctor")
    assert f"3 in {store}, 1 with LLVM's packets" in ended.stdout
    assert ", 1 of unknown code generators" in ended.stdout
    assert ended.code == 7
    assert "pip install 'apache-tvm-ffi'" in ended.stdout
    assert command("doctor", "--json").document["healthy"] is False
    checks.pop()
    assert command("doctor").code == 0


def test_first_time_work_tells_its_steps(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from vrmpy_tune.toolchain import first_time

    monkeypatch.setattr(first_time, "first_time_setup", lambda tell: tell("Building musl"))
    ended = command("doctor", "--setup", "--json")
    assert json.loads(ended.stdout) == {"set_up": True}
    assert ended.stderr == "Building musl\n"
