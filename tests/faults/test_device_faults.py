"""FAULTS.md on the device: rows 4, 5, 7, 20, and the linker of row 8.

Each test prints the figure that its row asks for.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from tests.device.simulated import BYTES, V68, build, job, qemu, ramp, run
from vrmpy_tune.device.protocol import Limits
from vrmpy_tune.errors import BuildError, BuildTimeoutError
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.process import ProcessLimits
from vrmpy_tune.toolchain.first_time import runtime_cache
from vrmpy_tune.toolchain.link import link_executable
from vrmpy_tune.toolchain.runtime import runtime_object
from vrmpy_tune.toolchain.sysroot import find_sysroot

pytestmark = [pytest.mark.device, pytest.mark.fault]

CRASHES = {
    "wild store": ("WAY=1", "FRAME_BYTES=64"),
    "stack overflow": ("WAY=2", "FRAME_BYTES=1024"),
    "stack overflow by frames of 900 KB": ("WAY=2", "FRAME_BYTES=900000"),
    "bad instruction": ("WAY=3", "FRAME_BYTES=64"),
    "exit": ("WAY=4", "FRAME_BYTES=64"),
    "null load": ("WAY=5", "FRAME_BYTES=64"),
    "all memory": ("WAY=6", "FRAME_BYTES=64"),
}


@pytest.fixture(autouse=True)
def _own_temporary_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what other processes of this package do out of the counts."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def _children() -> set[int]:
    """Return the processes whose parent is this one."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(status.parent.name))
    return found


def _belongings() -> tuple[set[int], int, set[Path]]:
    """Return child processes, the number of open descriptors, and our temporary files."""
    files = set(Path(tempfile.gettempdir()).glob("vrmpy-tune-*"))
    return _children(), len(list(Path("/proc/self/fd").iterdir())), files


@pytest.mark.parametrize("way", CRASHES)
def test_row_4_a_crash_is_a_crash_and_the_next_candidate_runs(way: str) -> None:
    result = run("crash", *CRASHES[way])
    assert result.outcome is Outcome.CRASH
    assert result.message
    started = time.monotonic()
    assert run("add_one").outcome is Outcome.OK
    print(f"\nrow 4, {way}: '{result.message}'; next ran in {time.monotonic() - started:.2f} s")
    assert time.monotonic() - started < 5


def test_row_4_a_hundred_crashes_leave_nothing_behind() -> None:
    made = [job(build("crash", *CRASHES[way])) for way in ("wild store", "stack overflow")]
    for one in made:
        qemu().run(one, ((ramp(),),), V68, Limits())
    before = _belongings()
    started = time.monotonic()
    for number in range(100):
        result = qemu().run(made[number % 2], ((ramp(),),), V68, Limits())
        assert result.outcome is Outcome.CRASH
    elapsed = time.monotonic() - started
    assert _belongings() == before
    print(f"\nrow 4: 100 crashes in {elapsed:.1f} s, 0 processes, descriptors, files left")


def test_row_5_a_hang_ends_by_its_wall_clock_limit() -> None:
    before = _belongings()
    started = time.monotonic()
    result = run("endless_loop", limits=Limits(wall_s=1.0))
    late = time.monotonic() - started - 1.0
    assert result.outcome is Outcome.TIMEOUT
    assert result.retryable
    assert "wall-clock" in result.message
    assert late < 2
    assert _belongings() == before
    print(f"\nrow 5: killed {late:.2f} s after its deadline, 0 processes left")


def test_row_5_a_hang_ends_by_its_cpu_limit_whatever_the_load() -> None:
    result = run("endless_loop", limits=Limits(cpu_s=1.0))
    assert result.outcome is Outcome.TIMEOUT
    assert not result.retryable
    assert "CPU" in result.message


def test_row_5_a_hang_ends_at_its_packet_limit_every_time_alike() -> None:
    results = {run("endless_loop", limits=Limits(packets=200_000)).message for _ in range(3)}
    assert results == {"The kernel was cut after 200000 packets in one call."}


STORES = (-256, -129, -128, -1, BYTES, BYTES + 1, BYTES + 127, BYTES + 255)
WILDER = (-100_000, -5_000, 66_000, 100_000)


def test_row_7_every_store_outside_is_found() -> None:
    found = 0
    for argument in (0, 1):
        for offset in STORES:
            result = run("store_at", f"ARGUMENT={argument}", f"OFFSET={offset}")
            assert result.outcome is Outcome.WRONG_RESULT, (argument, offset, result)
            place = "input" if argument == 0 else "output"
            assert f"{place} 0" in result.message
            found += 1
        for offset in WILDER:
            result = run("store_at", f"ARGUMENT={argument}", f"OFFSET={offset}")
            assert result.outcome in (Outcome.WRONG_RESULT, Outcome.CRASH), (offset, result)
            found += 1
    total = 2 * (len(STORES) + len(WILDER))
    print(f"\nrow 7: {found} of {total} stores outside a buffer found")


def test_row_7_a_store_into_an_input_is_found() -> None:
    for offset in (0, 500, BYTES - 1):
        result = run("store_at", "ARGUMENT=0", f"OFFSET={offset}")
        assert result.outcome is Outcome.WRONG_RESULT
        assert f"offset {offset} of input 0" in result.message


def test_row_7_a_store_inside_the_output_is_not_blamed() -> None:
    for offset in (0, BYTES - 1):
        assert run("store_at", "ARGUMENT=1", f"OFFSET={offset}").outcome is Outcome.OK


ACCESSES = {
    "r2 = memh(%0+#0)": 2,
    "memh(%0+#0) = r2": 2,
    "r2 = memw(%0+#0)": 4,
    "memw(%0+#0) = r2": 4,
    "memw(%0+#0) += r2": 4,
    "r3:2 = memd(%0+#0)": 8,
    "memd(%0+#0) = r3:2": 8,
    r"v0 = vmem(%0+#0)\n r2 = memw(%0+#0)": 4,
    r"v0 = vmem(%0+#0)\n r3:2 = memd(%0+#0)": 8,
}


def test_row_20_every_misaligned_scalar_access_is_found_and_no_aligned_one_is() -> None:
    found = misaligned = 0
    for access, size in ACCESSES.items():
        for offset in (0, 1, 2, 4, 8):
            result = run("misaligned", f"OFFSET={offset}", f'ACCESS="{access}"')
            assert result.alignment_checked
            if offset % size == 0:
                assert result.outcome is Outcome.OK, (access, offset, result.message)
                continue
            misaligned += 1
            assert result.outcome is Outcome.WRONG_RESULT, (access, offset)
            assert f"of {size} bytes" in result.message
            assert "__tvm_ffi_main" in result.message
            found += 1
    print(f"\nrow 20: {found} of {misaligned} misaligned accesses found, no false alarm")


def test_row_20_unaligned_vector_accesses_are_legal() -> None:
    for access in ("v0 = vmemu(%0+#0)", "vmemu(%0+#0) = v0", "v0 = vmem(%0+#0)"):
        for offset in (1, 4, 127):
            result = run("misaligned", f"OFFSET={offset}", f'ACCESS="{access}"')
            assert result.outcome is Outcome.OK, (access, offset, result.message)


LINKERS = {
    "hangs": ("exec sleep 60", BuildTimeoutError),
    "spins": ("while :; do :; done", BuildTimeoutError),
    "aborts": ("kill -ABRT $$", BuildError),
    "fails": ("echo 'error: no' >&2; exit 1", BuildError),
    "eats memory": ("x=x; while :; do x=$x$x; done", BuildError),
}


@pytest.mark.parametrize("way", LINKERS)
def test_row_8_a_linker_that_misbehaves_is_a_typed_failure(way: str, tmp_path: Path) -> None:
    script, error = LINKERS[way]
    stub = tmp_path / "linker"
    stub.write_text(f"#!/bin/sh\n{script}\n")
    stub.chmod(0o755)
    sysroot = find_sysroot()
    assert sysroot is not None
    objects = [runtime_object(V68, runtime_cache()), build("add_one")]
    limits = ProcessLimits(wall_s=2.0, cpu_s=1.0, memory_bytes=64 << 20)
    before = _belongings()
    started = time.monotonic()
    with pytest.raises(error) as caught:
        link_executable(objects, "main", sysroot, tmp_path / "out", linker=[stub], limits=limits)
    elapsed = time.monotonic() - started
    assert isinstance(caught.value, BuildTimeoutError) == (error is BuildTimeoutError)
    assert elapsed < 4
    assert _belongings() == before
    print(f"\nrow 8, the linker {way}: {type(caught.value).__name__} after {elapsed:.2f} s")


def test_good_kernels_run_beside_bad_ones_unharmed() -> None:
    for way in ("wild store", "all memory"):
        run("crash", *CRASHES[way])
        result = run("add_one")
        np.testing.assert_array_equal(result.outputs[0][0], ramp() + np.uint8(1))
