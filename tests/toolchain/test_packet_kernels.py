"""Kernels in packets of our own: right on the device, and nearly full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from search_spaces import find_space
from search_spaces.decisions import Decisions
from search_spaces.tiling import Sketch
from tests.search_spaces.fixed import fixed
from tests.toolchain.generated import V68, pool
from vrmpy_tune.compiler.kernel import build_kernel, run_kernel
from vrmpy_tune.device.open import open_device
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from vrmpy_tune.measurement import Counts

PACKETS: Final = [one.schedules_packets for one in CODE_GENERATORS].index(True)
LLVM: Final = 0

pytestmark = pytest.mark.device


def _counts(text: str, space_name: str, chosen: Decisions) -> Counts:
    """Build, run and verify one choice."""
    workload, space = parse_workload(text), find_space(space_name)
    assert space is not None
    schedule = fixed(workload, space, chosen)
    kernel = build_kernel(schedule.mod, space.inputs(workload), space.output(workload), V68, pool())
    verifier = Verifier(workload)
    with open_device("qemu") as device:
        return run_kernel(kernel, verifier.arguments(space), verifier, device, V68).counts


def _dense(generator: int, rows: int, words: int, depth: int = 64) -> Decisions:
    return Decisions(
        Sketch(2, 1, vtcm=False), generator, (1, 64 // rows, rows), (1, 1), (depth // words, words)
    )


@pytest.mark.parametrize(
    ("rows", "words"),
    # pipelined, peeled and rotated, with few and with many words; the whole reduction in one body
    [(8, 4), (4, 8), (8, 32)],
)
def test_a_dense_kernel_is_right_and_takes_fewer_packets_than_llvm(rows: int, words: int) -> None:
    depth = 32 if words == 32 else 64
    text = f"dense:m=64,n=64,k={4 * depth},lhs=u8,rhs=u8"
    ours = _counts(text, "dense.scalar/3", _dense(PACKETS, rows, words, depth))
    theirs = _counts(text, "dense.scalar/3", _dense(LLVM, rows, words, depth))
    assert ours.packets_total < theirs.packets_total


def test_a_deep_reduction_fills_its_packets() -> None:
    text = "dense:m=64,n=64,k=2048,lhs=u8,rhs=u8"
    chosen = Decisions(Sketch(2, 1, vtcm=False), PACKETS, (1, 8, 8), (1, 1), (128, 4))
    ours = _counts(text, "dense.scalar/3", chosen)
    assert parse_workload(text).packet_bound > 0.97 * ours.packets_total
