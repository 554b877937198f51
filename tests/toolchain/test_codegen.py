from __future__ import annotations

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
