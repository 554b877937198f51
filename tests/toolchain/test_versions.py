"""Versions are told without importing anything, and a wrong tvm-ffi is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vrmpy_tune.errors import ToolchainError
from vrmpy_tune.toolchain import versions
from vrmpy_tune.toolchain.doctor import Status, doctor


def test_nothing_is_imported_to_tell_versions() -> None:
    script = (
        "import sys; from vrmpy_tune.toolchain.versions import *; "
        "require_toolchain(); print(toolchain_versions()['tvm']); "
        "assert not {'tvm', 'tvm_ffi', 'xgboost', 'ziglang'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == versions.PINNED["tvm"]


@pytest.mark.parametrize("found", ["0.1.15.post1", "0.1.15.post2", "0.1.13", None])
def test_a_wrong_tvm_ffi_is_refused_with_the_command_that_mends_it(
    monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    real = versions.installed_version
    monkeypatch.setattr(
        versions, "installed_version", lambda part: found if part == "tvm_ffi" else real(part)
    )
    with pytest.raises(ToolchainError, match=r"pip install 'apache-tvm-ffi==0\.1\.14\.post1'"):
        versions.require_toolchain()


@pytest.mark.parametrize("found", ["0.1.14.post0", "0.1.14.post1"])
def test_both_good_versions_are_accepted(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(versions, "installed_version", lambda _: found)
    versions.require_toolchain()


@pytest.mark.slow
def test_the_doctor_finds_nothing_wrong_here() -> None:
    checks = doctor()
    assert not [check for check in checks if check.status is Status.ERROR]
    assert len({check.name for check in checks}) == len(checks)
    assert all(check.remedy for check in checks if check.status is not Status.OK)


def test_the_doctor_tells_how_to_install_a_missing_simulator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VRMPY_TUNE_QEMU", "no-such-qemu")
    (found,) = [check for check in doctor() if check.name == "qemu-hexagon"]
    assert found.status is Status.ERROR
    assert "apt-get install qemu-user" in found.remedy
