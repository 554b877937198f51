"""Compiling from stored records: what is applied, what is not, and why."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.compiler.conftest import Compile
from tests.tuned import CONV, DENSE, UNKNOWN, falsified, records, stale, tuned_store
from vrmpy_tune.cli.compile import report_text
from vrmpy_tune.compiler import compile_workloads, run_artifact
from vrmpy_tune.compiler.artifact import read_manifest
from vrmpy_tune.device.fake import FakeDevice, Fault
from vrmpy_tune.errors import (
    ArtifactError,
    DeviceError,
    MissingRecordError,
    VerificationError,
)
from vrmpy_tune.measurement import QEMU_PACKETS
from vrmpy_tune.records import open_store
from vrmpy_tune.target import TARGETS

pytestmark = pytest.mark.device


def test_the_best_record_is_applied_and_its_figure_is_reached(
    compiled: Compile, tmp_path: Path
) -> None:
    report = compiled(DENSE, CONV)
    for text, task in zip((DENSE, CONV), report.as_json()["tasks"], strict=True):
        best = records(text)[0]
        assert (task["status"], task["record"]) == ("applied", best.id)
        assert task["packets"] == best.counts.packets_total
        assert task["vrmpy"] == best.static_vrmpy > 0
        assert task["verified"]
    assert report.as_json()["tensorized"] == {"conv2d": [1, 1], "dense": [1, 1]}
    ran = run_artifact(tmp_path / "out").as_json()
    assert [layer["name"] for layer in ran["layers"]] == [DENSE, CONV]
    assert ran["packets_total"] == sum(layer["packets_total"] for layer in ran["layers"])


def test_the_artifact_holds_what_the_manifest_says(compiled: Compile, tmp_path: Path) -> None:
    compiled(device=None)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    (entry,) = manifest["kernels"]
    directory = tmp_path / "out" / entry["directory"]
    assert directory == tmp_path / "out", "a single kernel lies beside the manifest"
    assert {path.name for path in directory.iterdir()} == {*entry["files"], "manifest.json"}
    for name, digest in entry["files"].items():
        assert hashlib.sha256((directory / name).read_bytes()).hexdigest() == digest
    best = records(DENSE)[0]
    assert entry["files"]["kernel.o"] == best.artifact, "the very object that was measured"
    assert entry["record"] == best.id
    assert not entry["verified"]
    assert b"__tvm_ffi_main" in (directory / "kernel.o").read_bytes()
    assert "vrmpy" in (directory / "kernel.s").read_text()
    assert "@T.prim_func" in (directory / "kernel.tir.py").read_text()


def test_an_unknown_workload_gets_the_fixed_rule_and_a_reason(compiled: Compile) -> None:
    (task,) = compiled(UNKNOWN).as_json()["tasks"]
    assert (task["status"], task["record"]) == ("missing", None)
    assert f"vrmpy-tune tune '{UNKNOWN}'" in task["reason"]
    assert task["verified"]
    assert task["vrmpy"] > 0


def test_strict_refuses_a_miss_before_anything_is_written(
    compiled: Compile, tmp_path: Path
) -> None:
    with pytest.raises(MissingRecordError, match=UNKNOWN) as caught:
        compiled(DENSE, UNKNOWN, strict=True)
    assert caught.value.exit_code == 3
    assert not (tmp_path / "out").exists()
    with pytest.raises(MissingRecordError):
        compiled(strict=True, metric=QEMU_PACKETS)


def _store(tmp_path: Path, *kept: object) -> list[str]:
    path = tmp_path / "altered.db"
    with open_store(path) as store:
        store.add_many(kept)  # type: ignore[arg-type]
    return [str(path)]


def test_a_stale_record_is_passed_over_for_the_next_best(compiled: Compile, tmp_path: Path) -> None:
    best = records(DENSE)[0]
    where = _store(tmp_path, stale(best), best)
    (task,) = compiled(records=where, device=None, strict=True).as_json()["tasks"]
    assert (task["status"], task["record"]) == ("applied", best.id)
    assert "1 better placed no longer replay" in task["reason"]


def test_where_all_records_are_stale_the_fixed_rule_applies_and_says_so(
    compiled: Compile, tmp_path: Path
) -> None:
    where = _store(tmp_path, stale(records(DENSE)[0]))
    (task,) = compiled(records=where).as_json()["tasks"]
    assert (task["status"], task["record"]) == ("stale", None)
    assert "Tune it again" in task["reason"]
    assert task["verified"]
    with pytest.raises(MissingRecordError, match="no longer replay"):
        compiled(records=where, strict=True)


def test_a_record_of_another_toolchain_is_applied_and_said_so_unless_exact(
    compiled: Compile, tmp_path: Path
) -> None:
    foreign = replace(records(DENSE)[0], toolchain={"tvm": "0.26"})
    where = _store(tmp_path, foreign)
    (task,) = compiled(records=where, device=None).as_json()["tasks"]
    assert (task["status"], task["lookup"]) == ("applied", "applied (other toolchain)")
    assert "tvm 0.26" in task["reason"]
    with pytest.raises(MissingRecordError, match="--exact"):
        compiled(records=where, exact=True, strict=True)


def test_a_record_of_this_toolchain_goes_before_a_better_one_of_another(
    compiled: Compile, tmp_path: Path
) -> None:
    best, *others = records(DENSE)
    foreign = replace(falsified(others[0], 1), toolchain={"tvm": "0.26"})
    (task,) = compiled(records=_store(tmp_path, best, foreign), device=None).as_json()["tasks"]
    assert task["record"] == best.id


def test_records_of_another_target_are_not_applied(compiled: Compile) -> None:
    (task,) = compiled(target=TARGETS["hexagon-v69"], device=None).as_json()["tasks"]
    assert task["status"] == "missing"


def test_a_target_without_a_simulator_is_compiled_but_not_run(compiled: Compile) -> None:
    v75 = TARGETS["hexagon-v75"]
    report = compiled(target=v75, compare_untuned=True)
    document = report.as_json()
    (task,) = document["tasks"]
    assert task["vrmpy"] > 0
    assert (task["verified"], task["packets"], task["untuned_packets"]) == (False, None, None)
    assert "QEMU has no model of hexagon-v75" in document["unverified"]
    assert "compiled only, not verified: QEMU has no model" in report_text(document)
    assert not read_manifest(report.artifact)["kernels"][0]["verified"]
    with pytest.raises(DeviceError, match=r"cannot run hexagon-v75.*hexagon-v68"):
        run_artifact(report.artifact)


def test_untuned_packets_are_those_of_plain_loops(compiled: Compile) -> None:
    for task in compiled(DENSE, CONV, compare_untuned=True).as_json()["tasks"]:
        assert task["untuned_packets"] > 2 * task["packets"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.WRONG_LANE, VerificationError),
        (Fault.CRASH, VerificationError),
        (Fault.LOST, DeviceError),
    ],
)
def test_a_kernel_that_does_not_verify_is_not_written(
    compiled: Compile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    error: type[Exception],
) -> None:
    device = FakeDevice(faults={0: fault})
    monkeypatch.setattr("vrmpy_tune.compiler.compile.open_device", lambda _: device)
    with pytest.raises(error):
        compiled()
    assert not (tmp_path / "out").exists()


_COMPILE = """
import sys
from pathlib import Path
from vrmpy_tune.cli.application import run
sys.exit(run(["compile", *sys.argv[3:], "--records", sys.argv[1], "--output", sys.argv[2],
              "--no-verify"]))
"""


def _compile_in(output: Path, *prefix: str) -> tuple[int, str]:
    command = [*prefix, sys.executable, "-c", _COMPILE, str(tuned_store()), str(output), DENSE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_read_only_output_directory_is_a_sentence(tmp_path: Path) -> None:
    # Root may write anywhere unless it gives up the right to.
    root = os.geteuid() == 0
    if root and not shutil.which("setpriv"):
        pytest.skip("needs setpriv when run by root")
    prefix = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if root else ()
    tmp_path.chmod(0o555)
    try:
        code, said = _compile_in(tmp_path / "out", *prefix)
    finally:
        tmp_path.chmod(0o755)
    assert code == ArtifactError.exit_code, said
    assert f"{tmp_path}/out" in said
    assert "Traceback" not in said


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
def test_a_full_disk_is_a_sentence_and_leaves_no_manifest(tmp_path: Path) -> None:
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    # The mount lives in a namespace of its own, and dies with the shell.
    shell = (
        f'mount -t tmpfs -o size=16k none {tmp_path} || exit 77; "$@"; code=$?; '
        f"find {tmp_path} -name manifest.json; exit $code"
    )
    code, said = _compile_in(tmp_path / "out", "unshare", "--mount", *root, "sh", "-c", shell, "sh")
    if code == 77 or "unshare failed" in said:
        pytest.skip(f"no mounts here: {said}")
    assert code == ArtifactError.exit_code, said
    assert "No space left" in said
    assert "manifest.json" not in said
    assert "Traceback" not in said


def test_a_file_in_place_of_the_output_directory_is_a_sentence(
    compiled: Compile, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ArtifactError, match="cannot be written"):
        compiled(device=None)
    assert (tmp_path / "out").read_text() == "mine"


def test_nothing_is_compiled_from_no_workload(tmp_path: Path) -> None:
    report = compile_workloads(
        [], target=TARGETS["hexagon-v68"], records=[], output=tmp_path / "out", device=None
    )
    assert report.tasks == ()
