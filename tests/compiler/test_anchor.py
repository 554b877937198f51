"""One record serves every fused variant of a workload."""

from __future__ import annotations

import pytest

from tests.tuned import CONV, DENSE, V68, records, tuned_store
from vrmpy_tune.compiler.anchor import anchor_of, likest_first, transplant
from vrmpy_tune.compiler.choice import choose
from vrmpy_tune.compiler.kernel import build_kernel, run_kernel
from vrmpy_tune.device.qemu import QemuDevice
from vrmpy_tune.records import open_store
from vrmpy_tune.records.resolution import Status
from vrmpy_tune.records.resolver import Resolver
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.tune.draws import key_of
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import Workload, parse_workload

pytestmark = pytest.mark.device

FUSED = f"{CONV},out=u8,bias=1,requant=channel,act=relu"


@pytest.mark.parametrize(
    "text",
    [
        CONV,
        FUSED,
        f"{CONV},out=u8,requant=tensor,residual=1",
        f"{CONV},out=i8,requant=tensor",
        f"{CONV},bias=1,lzp=3",
    ],
)
def test_variants_have_one_anchor(text: str) -> None:
    assert str(anchor_of(parse_workload(text))) == CONV


@pytest.mark.parametrize(
    "text", [CONV.replace("h=5", "h=6"), CONV.replace("pad=1", "pad=2"), CONV.replace("u8", "i8")]
)
def test_other_shapes_and_types_have_other_anchors(text: str) -> None:
    assert anchor_of(parse_workload(text)) != anchor_of(parse_workload(CONV))


@pytest.mark.parametrize("text", [FUSED, f"{DENSE},out=u8,bias=1,requant=tensor", f"{CONV},bias=1"])
def test_a_variants_kernel_made_from_another_ones_record_is_right(text: str) -> None:
    workload = parse_workload(text)
    with open_store(str(tuned_store()), readonly=True) as reader:
        choice = choose(Resolver(reader, V68).resolve(workload))
    best = records(text.partition(",out")[0].partition(",bias")[0])[0]
    assert choice.found.status is Status.BY_ANCHOR
    assert choice.found.status.is_hit
    assert choice.found.record == best
    assert f"of {best.workload}, which has the same anchor" in choice.reason
    assert choice.reason.endswith(" choices.")
    space, verifier = choice.space, Verifier(workload)
    with CodegenPool(1) as pool, QemuDevice() as device:
        kernel = build_kernel(
            choice.schedule.mod, space.inputs(workload), space.output(workload), V68, pool
        )
        run_kernel(kernel, verifier.arguments(space), verifier, device, V68)  # verifies


def test_the_records_own_choices_are_taken_where_the_variant_has_them() -> None:
    record = records(CONV)[-1]
    taken = transplant(parse_workload(f"{CONV},bias=1"), record, V68)
    assert taken.same_choices
    assert taken.fit == "Taken here: the same choices."
    own = transplant(parse_workload(CONV), record, V68)
    assert key_of(own.schedule.trace)[1] == key_of(taken.schedule.trace)[1]


def test_the_likest_variant_comes_first() -> None:
    clipped = FUSED.replace("act=relu", "act=clip")
    found = likest_first(*_parsed(FUSED), _parsed(CONV, clipped, FUSED))
    assert found == _parsed(clipped, CONV)


def test_a_workload_without_the_records_space_is_refused() -> None:
    (dense,) = _parsed(f"{DENSE.replace('rhs=u8', 'rhs=i8')},bias=1")
    with pytest.raises(ValueError, match=r"has no search space dense\.scalar"):
        transplant(dense, records(DENSE)[0], V68)


def _parsed(*texts: str) -> list[Workload]:
    return [parse_workload(text) for text in texts]
