"""Code generation in processes that may die: typed outcomes, and the next request works."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import tvm

from tests.toolchain.generated import GENERATORS, V68
from tests.toolchain.modules import add_one, unrolled, unselectable
from vrmpy_tune.errors import BuildError, BuildTimeoutError
from vrmpy_tune.process import ProcessLimits
from vrmpy_tune.toolchain.codegen import CodeGenerator, to_object
from vrmpy_tune.toolchain.pool import CodegenPool

ADD_ONE: Final = tvm.ir.save_json(add_one())
CPU_S: Final = 2.0


@pytest.fixture(scope="module")
def pool() -> Iterator[CodegenPool]:
    with CodegenPool(1, cpu_s=CPU_S) as made:
        yield made


def workers() -> set[int]:
    """Return the code generation workers of this process."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in text.split()}
    return {child for child, command in commands.items() if "toolchain.worker" in command}


def started(pool: CodegenPool) -> int:
    """Start the one worker of a pool; return its process id."""
    before = workers()
    assert works(pool)
    (worker,) = workers() - before
    return worker


def works(pool: CodegenPool) -> bool:
    return "__tvm_ffi_main" in pool.generate(ADD_ONE, V68, by_tvm=False)


def test_a_module_becomes_llvm_ir_or_assembly(pool: CodegenPool) -> None:
    assert "define" in pool.generate(ADD_ONE, V68, by_tvm=False)
    assert "jumpr r31" in pool.generate(ADD_ONE, V68, by_tvm=True)


@pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS)
def test_the_same_module_gives_the_same_object(
    pool: CodegenPool, generator: CodeGenerator, tmp_path: Path
) -> None:
    """Not the same text: TVM names its alias metadata by addresses of this run."""
    objects = []
    for _ in range(2):
        text = pool.generate(ADD_ONE, V68, by_tvm=generator.by_tvm)
        objects.append(to_object(text, generator, V68, tmp_path).object_file.read_bytes())
    assert objects[0] == objects[1]


@pytest.mark.fault
def test_an_llvm_abort_is_a_build_error_and_the_next_request_works(pool: CodegenPool) -> None:
    with pytest.raises(BuildError, match=r"SIGABRT\): LLVM ERROR: Cannot select") as caught:
        pool.generate(tvm.ir.save_json(unselectable()), V68, by_tvm=True)
    assert not isinstance(caught.value, BuildTimeoutError)
    assert works(pool)


@pytest.mark.parametrize("module", ["", "{}", "null", "[1]", '{"root": 1}'])
def test_text_that_is_no_module_is_a_build_error_and_the_worker_lives(
    pool: CodegenPool, module: str
) -> None:
    assert works(pool)
    before = workers()
    with pytest.raises(BuildError):
        pool.generate(module, V68, by_tvm=False)
    assert workers() == before
    assert works(pool)


@pytest.mark.fault
def test_a_worker_killed_between_requests_is_replaced() -> None:
    with CodegenPool(1) as pool:
        worker = started(pool)
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(BuildError, match="SIGKILL"):
            pool.generate(ADD_ONE, V68, by_tvm=False)
        assert started(pool) != worker


@pytest.mark.fault
def test_a_worker_killed_at_work_is_a_build_error() -> None:
    with CodegenPool(1, cpu_s=60.0) as pool:
        worker = started(pool)
        killer = threading.Timer(0.5, os.kill, (worker, signal.SIGKILL))
        killer.start()
        with pytest.raises(BuildError, match="SIGKILL"):
            pool.generate(tvm.ir.save_json(unrolled(10_000)), V68, by_tvm=True)
        killer.join()
        assert works(pool)


@pytest.mark.fault
def test_10000_unrolled_vrmpy_end_with_a_typed_outcome_in_time(
    pool: CodegenPool, tmp_path: Path
) -> None:
    """FAULTS.md row 8, for both code generators."""
    module = tvm.ir.save_json(unrolled(10_000))
    assert works(pool)
    begun = time.monotonic()
    with pytest.raises(BuildTimeoutError, match="CPU time") as caught:
        pool.generate(module, V68, by_tvm=True)
    by_tvm = time.monotonic() - begun
    assert not caught.value.retryable
    assert works(pool)

    with CodegenPool(1) as patient:
        text = patient.generate(module, V68, by_tvm=False)
    begun = time.monotonic()
    limits = ProcessLimits(wall_s=60.0, cpu_s=CPU_S)
    with pytest.raises(BuildTimeoutError, match="unroll less") as caught:
        to_object(text, GENERATORS["zig-rotate"], V68, tmp_path, limits)
    by_zig = time.monotonic() - begun
    assert not caught.value.retryable
    print(
        f"\n10,000 vrmpy, limit {CPU_S} CPU s: ended after {by_tvm:.1f} s (TVM), {by_zig:.1f} (zig)"
    )
    assert by_tvm < 60.0
    assert by_zig < 60.0


@pytest.mark.fault
def test_wall_clock_time_running_out_is_retryable() -> None:
    with CodegenPool(1, wall_s=0.2) as pool:
        with pytest.raises(BuildTimeoutError, match=r"still running after") as caught:
            pool.generate(tvm.ir.save_json(unrolled(10_000)), V68, by_tvm=True)
        assert caught.value.retryable


def test_closing_ends_every_worker() -> None:
    before = workers()
    pool = CodegenPool(2)
    assert works(pool)
    assert len(workers()) == len(before) + 1
    pool.close()
    assert workers() == before


def test_threads_share_the_workers(pool: CodegenPool) -> None:
    verdicts: list[bool] = []
    threads = [threading.Thread(target=lambda: verdicts.append(works(pool))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert verdicts == [True] * 6
