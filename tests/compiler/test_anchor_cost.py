"""What it costs to take a bare workload's record for its fused variant, next to tuning that.

``VRMPY_EVERY_ANCHOR=1 python -m pytest tests/compiler/test_anchor_cost.py -s`` measures, and
prints, every workload of the peers' suite that has records of both kinds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.tuned import V68
from vrmpy_tune.compiler.anchor import anchor_of, transplant
from vrmpy_tune.compiler.kernel import build_kernel, run_kernel
from vrmpy_tune.device.qemu import QemuDevice
from vrmpy_tune.measurement import QEMU_PACKETS
from vrmpy_tune.records.location import open_stores
from vrmpy_tune.records.record import Record
from vrmpy_tune.records.shipped import shipped_records
from vrmpy_tune.suites import suite_called
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import Workload

pytestmark = [pytest.mark.device, pytest.mark.slow]

BAR = 1.03
STEM = "h=224,w=224,ci=3"
"""The bare record's tasks of 14 rows are taken, too; behind the fused epilogue, LLVM compiles the
loop over tiles of more than two rows to 13 packets more a tile: 5.2%."""

SOME = ("h=28,w=28,ci=128", "dense:m=256")


def pairs() -> Iterator[tuple[Workload, Record, Record]]:
    """Yield workloads with a record of their own and one of their bare variant."""
    shipped = shipped_records()
    assert shipped is not None
    with open_stores([shipped]) as reader:
        for variant in ("u8u8-u8", "u8u8-u8-inside", "u8i8-u8-inside"):
            for member in suite_called("peers").select((variant,)):
                workload = member.workload()
                own = reader.best(str(workload), V68.name, QEMU_PACKETS)
                bare = reader.best(str(anchor_of(workload)), V68.name, QEMU_PACKETS)
                if own is not None and bare is not None:
                    yield workload, own, bare


PAIRS = {str(workload): (workload, own, bare) for workload, own, bare in pairs()}
if not os.environ.get("VRMPY_EVERY_ANCHOR"):
    PAIRS = {
        text: pair
        for text, pair in PAIRS.items()
        if "rhs=i8" in text and any(part in text for part in SOME)
    }


@pytest.mark.parametrize("text", PAIRS)
def test_the_bare_record_costs_at_most_three_percent_more_than_the_fused_one(text: str) -> None:
    workload, own, bare = PAIRS[text]
    taken = transplant(workload, bare, V68)
    inputs, output = taken.space.inputs(workload), taken.space.output(workload)
    verifier = Verifier(workload, ("random",))
    with CodegenPool(1) as pool, QemuDevice() as device:
        kernel = build_kernel(taken.schedule.mod, inputs, output, V68, pool)
        arguments = verifier.arguments(taken.space)
        packets = run_kernel(kernel, arguments, verifier, device, V68).value
    print(f"\n{packets / own.value:.3f} {packets:,} instead of {own.value:,}: {taken.fit} {text}")
    assert packets <= (1.06 if STEM in text else BAR) * own.value
