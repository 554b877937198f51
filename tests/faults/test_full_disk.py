"""FAULTS.md row 2 on the tuning run: no room for the compiler's files.

LLD dies of SIGBUS when the disk is full, and says nothing; that must not be held against the
candidate, for failures are remembered.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.device.simulated import qemu
from vrmpy_tune.records import open_store
from vrmpy_tune.toolchain.cache import DIRECTORY_VARIABLE, cache_directory

pytestmark = [pytest.mark.device, pytest.mark.fault]

TUNE = "from vrmpy_tune.cli import main; main()"
WORKLOAD = "dense:m=96,n=64,k=128,lhs=u8,rhs=u8"
FULL = 74


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with all first-time work, but without linked candidates."""
    qemu()  # does that work
    made = tmp_path / "cache"
    made.mkdir()
    for entry in cache_directory().iterdir():
        if entry.name == "runtime" or entry.name.startswith("sysroot"):
            (made / entry.name).symlink_to(entry)
    return made


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
@pytest.mark.parametrize("kibibytes", [16, 480, 800], ids="{} KiB".format)
def test_a_full_temporary_directory_stops_the_run_and_blames_no_candidate(
    tmp_path: Path, cache: Path, kibibytes: int
) -> None:
    mount, store = tmp_path / "small", tmp_path / "records.db"
    mount.mkdir()
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    # The mount lives in a namespace of its own, and dies with the shell.
    shell = f'mount -t tmpfs -o size={kibibytes}k none {mount} || exit 77; exec "$@"'
    tune = [sys.executable, "-c", TUNE, "tune", WORKLOAD, "--trials", "6", "--records", str(store)]
    started = time.monotonic()
    done = subprocess.run(
        ["unshare", "--mount", *root, "sh", "-c", shell, "sh", *tune],
        env={**os.environ, "TMPDIR": str(mount), DIRECTORY_VARIABLE: str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr}")
    seconds = time.monotonic() - started
    assert done.returncode == FULL, done.stderr
    assert str(mount) in done.stderr
    assert "Traceback" not in done.stderr
    with open_store(store, readonly=True) as opened:
        assert opened.failures() == []
    print(f"\nrow 2: {kibibytes} KiB for temporary files: stopped after {seconds:.0f} s, 0 blamed")
