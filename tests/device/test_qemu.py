"""The QEMU device: counting, the model of contexts, allocators, limits, messages."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from tests.device.simulated import BYTES, V68, build, job, qemu, ramp, run
from vrmpy_tune.device.protocol import Job, Limits, TensorSpec
from vrmpy_tune.errors import DeviceError
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.target import TARGETS

pytestmark = pytest.mark.device


def test_every_target_that_qemu_knows_runs_the_same_kernel() -> None:
    device = qemu()
    made = job(build("add_one"))
    for name in device.info().targets:
        result = device.run(made, ((ramp(),),), TARGETS[name], Limits())
        assert result.outcome is Outcome.OK, (name, result.message)


def test_an_empty_kernel_counts_as_the_packets_that_it_has() -> None:
    # Loads of both pointers, and the return: three packets or so, and nothing of the runtime.
    (counts,) = run("memory_cost", "FUNCTION=2", "SIZE=0", "TO=0", "FROM=0").counts
    assert counts.packets_total <= 4
    assert counts.hvx_instructions == 0


def test_twice_the_work_costs_twice_the_packets() -> None:
    once, twice, thrice = (
        run("add_one", f"REPEAT={repeat}").counts[0].packets_total for repeat in (11, 12, 13)
    )
    assert thrice - twice == twice - once > BYTES


def test_tasks_are_spread_over_the_contexts_greedily() -> None:
    (one,) = run("parallel", "TASKS=1").counts
    (four,) = run("parallel", "TASKS=4").counts
    assert one.packets_critical == one.packets_total
    assert one.context_packets[1:] == (0, 0, 0)
    # Task 0 works twice; every other task once, on a context of its own.
    first, *others = four.context_packets
    assert len(set(others)) == 1
    assert first == pytest.approx(2 * others[0], rel=0.05)
    assert four.packets_critical == first
    assert sum(four.context_packets) == four.packets_total


def test_the_fifth_task_goes_to_the_context_with_least_to_do() -> None:
    (counts,) = run("parallel", "TASKS=5").counts
    _, second, third, fourth = counts.context_packets
    assert third == fourth
    assert second == 2 * third


def test_a_launch_of_zero_tasks_means_one_for_each_context() -> None:
    assert run("parallel", "TASKS=0").counts == run("parallel", "TASKS=4").counts


def test_a_region_inside_a_region_runs_on_its_own_context() -> None:
    result = run("parallel", "TASKS=4", "NESTED")
    np.testing.assert_array_equal(result.outputs[0][0], ramp() + np.uint8(1))
    (counts,) = result.counts
    assert counts.packets_critical == counts.context_packets[0]


@pytest.mark.parametrize("kind", [(), ("VTCM",)])
class TestAllocators:
    def test_memory_is_aligned_and_usable(self, kind: tuple[str, ...]) -> None:
        result = run("workspace", "SCALE=1", "OFFSET=0", "REVERSED=0", *kind)
        assert result.outcome is Outcome.OK, result.message
        assert result.outputs[0][0][0] == 1

    def test_the_same_calls_cost_the_same(self, kind: tuple[str, ...]) -> None:
        made = job(build("workspace", "SCALE=4000", "OFFSET=0", "REVERSED=0", *kind))
        result = qemu().run(made, ((ramp(),),) * 3, V68, Limits())
        assert len(set(result.counts)) == 1, result

    @pytest.mark.parametrize("offset", [-1, -256, BYTES, BYTES + 255])
    def test_a_store_past_its_ends_is_found(self, kind: tuple[str, ...], offset: int) -> None:
        result = run("workspace", "SCALE=1", f"OFFSET={offset}", "REVERSED=0", *kind)
        assert result.outcome is Outcome.WRONG_RESULT
        name = "VTCM" if kind else "workspace"
        assert f"{name} allocation 1" in result.message


def test_vtcm_is_as_large_as_the_targets_and_says_so() -> None:
    made = job(build("workspace", "SCALE=5000", "OFFSET=0", "REVERSED=0", "VTCM"))
    small = dataclasses.replace(V68, vtcm_bytes=1 << 20)
    assert qemu().run(made, ((ramp(),),), small, Limits()).outcome is Outcome.CRASH
    result = qemu().run(made, ((ramp(),),), V68, Limits())
    assert "VTCM is exhausted" in result.message
    fits = job(build("workspace", "SCALE=4000", "OFFSET=0", "REVERSED=0", "VTCM"))
    assert qemu().run(fits, ((ramp(),),), V68, Limits()).outcome is Outcome.OK


def test_vtcm_freed_out_of_order_is_refused() -> None:
    result = run("workspace", "SCALE=1", "OFFSET=0", "REVERSED=1", "VTCM")
    assert result.outcome is Outcome.CRASH
    assert "out of order" in result.message


def test_an_error_that_the_kernel_raises_reaches_the_message() -> None:
    result = run("raise")
    assert result.outcome is Outcome.CRASH
    assert "ValueError: Mismatched A.shape[0] on argument #0" in result.message


def test_an_undefined_symbol_is_a_build_error_that_names_it() -> None:
    made = dataclasses.replace(job(build("add_one")), symbol="other")
    result = qemu().run(made, ((ramp(),),), V68, Limits())
    assert result.outcome is Outcome.BUILD_ERROR
    assert "__tvm_ffi_other" in result.message


def test_a_missing_or_broken_object_is_a_build_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"\x7fELF but not for long")
    for path in (tmp_path / "missing.o", broken):
        result = qemu().run(job(path), ((ramp(),),), V68, Limits())
        assert result.outcome is Outcome.BUILD_ERROR
        assert path.name in result.message


def test_an_input_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        qemu().run(job(build("add_one")), ((ramp(7),),), V68, Limits())


def test_a_target_without_a_cpu_model_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(DeviceError, match=r"cannot run hexagon-v75.*hexagon-v68"):
        qemu().run(job(build("add_one")), ((ramp(),),), TARGETS["hexagon-v75"], Limits())


def test_memory_beyond_the_limit_is_not_given() -> None:
    limits = Limits(memory_bytes=256 << 20)
    assert run("add_one", limits=limits).outcome is Outcome.OK
    big = (16, 1 << 20, 32)
    made = Job(
        build("add_one"), "main", (TensorSpec((BYTES,), "uint8"),), (TensorSpec(big, "uint8"),)
    )
    result = qemu().run(made, ((ramp(),),), V68, limits)
    assert result.outcome is Outcome.CRASH
    assert "out of memory" in result.message


def test_without_a_plugin_it_runs_and_says_that_alignment_was_not_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = qemu()
    monkeypatch.setattr(device, "_plugin", None)
    result = device.run(job(build("add_one")), ((ramp(),),), V68, Limits())
    assert result.outcome is Outcome.OK
    assert not result.alignment_checked
    assert not device.info().checks_alignment


def test_the_plugin_changes_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    device = qemu()
    made = job(build("add_one", "REPEAT=20"))
    watched = device.run(made, ((ramp(),),), V68, Limits(packets=10**9))
    monkeypatch.setattr(device, "_plugin", None)
    assert device.run(made, ((ramp(),),), V68, Limits()).counts == watched.counts
    assert watched.alignment_checked


def test_a_small_kernel_costs_little_more_than_qemu_itself() -> None:
    made = job(build("add_one"))
    qemu().run(made, ((ramp(),),), V68, Limits())
    times = []
    for _ in range(10):
        started = time.monotonic()
        qemu().run(made, ((ramp(),),), V68, Limits())
        times.append(time.monotonic() - started)
    print(f"\nfastest of 10 runs of a small kernel: {min(times) * 1000:.1f} ms")
    assert min(times) < 0.2


def test_a_run_leaves_no_descriptor_and_no_file_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = job(build("add_one"))
    qemu().run(made, ((ramp(),),), V68, Limits())
    before = len(list(Path("/proc/self/fd").iterdir()))
    files = sorted(Path(tempfile.gettempdir()).glob("vrmpy-tune-*"))
    for _ in range(5):
        qemu().run(made, ((ramp(),),), V68, Limits())
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert sorted(Path(tempfile.gettempdir()).glob("vrmpy-tune-*")) == files
