from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.toolchain.generated import GENERATORS, V68, llvm_ir
from tests.toolchain.modules import add_one
from tests.toolchain.schedulers import crashing
from vrmpy_tune.errors import BuildError, BuildTimeoutError
from vrmpy_tune.process import ProcessLimits
from vrmpy_tune.toolchain import codegen, packets
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS, FALLBACK, to_object
from vrmpy_tune.toolchain.sources import ROOT

PACKETS = GENERATORS["packets"]


@pytest.fixture
def crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the packet scheduler crash."""
    stand_in = SimpleNamespace(
        __name__=crashing.__name__, UNKNOWN_ASSEMBLY=packets.UNKNOWN_ASSEMBLY
    )
    monkeypatch.setattr(codegen, "packets", stand_in)


@pytest.mark.parametrize("name", ["packets", "zig-rotate", "zig"])
def test_the_generator_that_was_asked_for_is_named(name: str, tmp_path: Path) -> None:
    made = to_object(llvm_ir(add_one()), GENERATORS[name], V68, tmp_path)
    assert (made.generator, made.fallback) == (name, "")


def test_what_the_scheduler_does_not_understand_falls_back_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = llvm_ir(add_one())
    # Without these flags clang makes packets itself, which are no input of the scheduler.
    monkeypatch.setattr(codegen, "SEQUENTIAL_FLAGS", ())
    made = to_object(source, PACKETS, V68, tmp_path)
    assert made.generator == FALLBACK.name != PACKETS.name
    assert "packet scheduler does not understand a packet of two instructions" in made.fallback
    assert made.assembly == to_object(source, FALLBACK, V68, tmp_path).assembly


def test_a_crash_of_the_scheduler_is_a_build_error(crash: None, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"scheduling packets.*KeyError.*never given"):
        to_object(llvm_ir(add_one()), PACKETS, V68, tmp_path)


def test_a_scheduler_that_takes_too_long_is_a_timeout(tmp_path: Path) -> None:
    def late(assembly: str) -> str:
        return codegen._in_packets(assembly, tmp_path, ProcessLimits(wall_s=0.001))

    with pytest.raises(BuildTimeoutError, match="scheduling packets"):
        late("")


def test_no_trace_can_ask_for_the_fallback() -> None:
    assert FALLBACK.name not in {one.name for one in CODE_GENERATORS}
    assert FALLBACK.flags == PACKETS.flags


BUILD = """
import sys
import tvm
from pathlib import Path
import vrmpy_tune
from vrmpy_tune.compiler.naive import naive_module
from vrmpy_tune.target import TARGETS
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS, to_object
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.workload import parse_workload

V68, packets = TARGETS["hexagon-v68"], CODE_GENERATORS[-1]
module = tvm.ir.save_json(naive_module(parse_workload("dense:m=2,n=4,k=4,lhs=u8,rhs=u8")))
with CodegenPool(1) as pool:
    text = pool.generate(module, V68, by_tvm=False)
print(vrmpy_tune.__file__, to_object(text, packets, V68, Path(sys.argv[1])).generator)
"""


def test_no_process_of_ours_writes_into_the_package(tmp_path: Path) -> None:
    root, directory = tmp_path / "checkout", tmp_path / "built"
    directory.mkdir()
    for package in ("vrmpy_tune", "search_spaces"):
        shutil.copytree(
            ROOT.parent / package, root / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    # -B is this process's own: what it starts does not inherit it.
    ended = subprocess.run(
        [sys.executable, "-B", "-c", BUILD, directory],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.split() == [str(root / "vrmpy_tune" / "__init__.py"), "packets"], ended
    assert not list(root.rglob("*.pyc"))
