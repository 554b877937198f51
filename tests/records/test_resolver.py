from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.records import samples
from tests.records.samples import CONV, DENSE, TOOLCHAIN, V68
from vrmpy_tune.errors import StaleRecordError
from vrmpy_tune.measurement import METRICS, QEMU_CRITICAL, QEMU_PACKETS
from vrmpy_tune.records import JsonLinesStore, Record, RecordReader, export_json_lines
from vrmpy_tune.records.explain import explain
from vrmpy_tune.records.record import FixedRule
from vrmpy_tune.records.resolution import Resolution, Status, Verdict
from vrmpy_tune.records.resolver import Resolver
from vrmpy_tune.target import TARGETS
from vrmpy_tune.workload import parse_workload

ReaderOf = Callable[..., RecordReader]

VARIANT = f"{DENSE},bias=1"
LIKER = f"{DENSE},out=u8,bias=1,requant=tensor"
FUSED = f"{DENSE},out=u8,bias=1,requant=channel"


def record(choice: int, workload: str = DENSE, **options: Any) -> Record:
    space = "conv2d.offset/3" if workload.startswith("conv2d") else "dense.scalar/3"
    return samples.record(choice, workload, **{"space": space, **options})


class Replays:
    """Stands for TVM's replay; knows whose traces do not replay, and which were asked for."""

    def __init__(self, *stale: Record) -> None:
        self.stale = {one.trace for one in stale}
        self.asked: list[str] = []

    def __call__(self, module: Any, trace: str) -> Any:
        self.asked.append(trace)
        if trace in self.stale:
            raise StaleRecordError("The trace does not fit.")
        return f"a schedule of {trace}"


def resolve(
    reader: RecordReader,
    workload: str = DENSE,
    metrics: Sequence[str] = METRICS,
    *,
    replay: Replays | None = None,
    **options: Any,
) -> Resolution:
    options = {"toolchain": TOOLCHAIN, **options}
    resolver = Resolver(reader, TARGETS[V68], metrics, replay=replay or Replays(), **options)
    return resolver.resolve(parse_workload(workload))


@pytest.fixture
def reader_of(tmp_path: Path) -> ReaderOf:
    def write(*records: Record) -> RecordReader:
        path = tmp_path / "a.jsonl"
        export_json_lines(records, path)
        return JsonLinesStore(path)

    return write


def test_what_is_worse_than_the_fixed_rule_is_passed_over_unless_its_metric_is_asked_for(
    reader_of: ReaderOf,
) -> None:
    rule = FixedRule(1100, 200)
    worse = record(1, total=900, critical=780, fixed_rule=rule)
    found = resolve(reader_of(worse))
    assert (found.record, found.status) == (None, Status.WORSE)
    assert not found.status.is_hit
    assert "780 packets, is 3.90 times the fixed rule's, 200" in found.reason
    assert f"--metric {QEMU_PACKETS}" in found.reason
    assert Verdict.WORSE in [step.verdict for step in found.trail]
    asked = resolve(reader_of(worse), metrics=[QEMU_PACKETS])
    assert (asked.record, asked.status) == (worse, Status.APPLIED)
    assert "780 packets, is 3.90 times the fixed rule's, 200" in asked.reason
    by_packets = resolve(reader_of(worse), metrics=[QEMU_PACKETS, QEMU_CRITICAL])
    assert by_packets.record == worse, "a benchmark by packets takes what is best by packets"
    better = record(2, total=1000, critical=190, fixed_rule=rule)
    both = resolve(reader_of(worse, better))
    assert both.record == better
    assert "1 better placed are worse than the fixed rule" in both.reason


def test_a_record_beside_which_the_fixed_rule_was_not_measured_says_so(
    reader_of: ReaderOf,
) -> None:
    reader = reader_of(record(1, metric=QEMU_CRITICAL))
    assert "what the fixed rule takes is unknown" in resolve(reader).reason
    assert "unknown" not in resolve(reader, metrics=[QEMU_CRITICAL]).reason


def test_the_first_metric_that_has_a_record_decides(reader_of: ReaderOf) -> None:
    packets, critical = record(1, total=900), record(2, metric=QEMU_CRITICAL, critical=1)
    reader = reader_of(packets, critical)
    assert resolve(reader, DENSE, [QEMU_PACKETS, QEMU_CRITICAL]).record == packets
    assert resolve(reader, DENSE, [QEMU_CRITICAL, QEMU_PACKETS]).record == critical


def test_the_same_toolchain_comes_before_a_better_figure(reader_of: ReaderOf) -> None:
    ours, better = record(1, total=900), record(2, total=800, toolchain={"tvm": "0.28.0"})
    reader = reader_of(ours, better)
    found = resolve(reader, DENSE, toolchain=TOOLCHAIN)
    assert (found.record, found.status) == (ours, Status.APPLIED)
    assert resolve(reader, toolchain={"tvm": "0.28.0"}).record == better
    assert "900 packets" in found.reason


def test_another_toolchain_is_taken_and_said_unless_exact(reader_of: ReaderOf) -> None:
    reader = reader_of(record(1))
    found = resolve(reader, DENSE, toolchain=TOOLCHAIN | {"zig": "0.18"})
    assert found.status == "applied (other toolchain)"
    assert found.status.is_hit
    assert "zig 0.17.1, here 0.18" in found.reason
    found = resolve(reader, DENSE, toolchain=TOOLCHAIN | {"zig": "0.18"}, exact=True)
    assert (found.record, found.status) == (None, Status.MISSING)
    assert "--exact" in found.reason


def test_another_simulator_is_said_but_is_no_other_toolchain(reader_of: ReaderOf) -> None:
    slower, ours = record(1, total=900), record(2, total=800, toolchain={"tvm": "0.28.0"})
    reader = reader_of(slower, ours)
    found = resolve(reader, DENSE, toolchain=TOOLCHAIN | {"qemu": "10.0.2"}, exact=True)
    assert (found.record, found.status) == (slower, Status.APPLIED)
    assert "another simulator (qemu 7.2.22, here 10.0.2)" in found.reason
    unmeasured = {name: value for name, value in TOOLCHAIN.items() if name != "qemu"}
    found = resolve(reader, DENSE, toolchain=unmeasured)
    assert (found.record, found.status) == (slower, Status.APPLIED)
    assert "another" not in found.reason


def test_a_record_of_another_packet_scheduler_is_another_toolchains(reader_of: ReaderOf) -> None:
    reader = reader_of(record(1))
    found = resolve(reader, DENSE, toolchain=TOOLCHAIN | {"packets": "cd34"})
    assert found.status is Status.OTHER_TOOLCHAIN
    assert "another toolchain (packets ab12, here cd34)" in found.reason


def test_a_stale_record_gives_way_to_the_next_that_replays(reader_of: ReaderOf) -> None:
    stale, sound = record(1, total=1), record(2, total=2)
    found = resolve(reader_of(stale, sound), replay=Replays(stale))
    assert (found.record, found.stale) == (sound, (stale,))
    assert "1 better placed no longer replay" in found.reason


def test_no_more_is_replayed_than_needed(reader_of: ReaderOf) -> None:
    stored = [record(number, total=number) for number in range(1, 5)]
    replay = Replays(stored[0])
    found = resolve(reader_of(*stored, record(9, VARIANT, total=1)), replay=replay)
    assert replay.asked == [stored[0].trace, stored[1].trace]
    assert found.applied is not None
    assert found.applied.schedule == f"a schedule of {stored[1].trace}"


def test_the_trail_names_what_was_looked_at_in_order(reader_of: ReaderOf) -> None:
    unknown = record(1, total=1, space="dense.scalar/1")
    stale, sound = record(2, total=2), record(3, total=3)
    found = resolve(
        reader_of(unknown, stale, sound), DENSE, [QEMU_CRITICAL, QEMU_PACKETS],
        replay=Replays(stale),
    )  # fmt: skip
    assert [(step.rule, step.verdict, step.record) for step in found.trail] == [
        (QEMU_CRITICAL, Verdict.NONE, None),
        (QEMU_PACKETS, Verdict.STALE, unknown),
        (QEMU_PACKETS, Verdict.STALE, stale),
        (QEMU_PACKETS, Verdict.TAKEN, sound),
    ]
    assert "this version has no search space dense.scalar/1" in str(found.trail[1])
    assert "2 packets: no longer replays: The trace does not fit" in str(found.trail[2])


def test_without_a_record_the_trail_ends_with_the_fixed_rule(reader_of: ReaderOf) -> None:
    foreign = [record(number, toolchain={"tvm": "0.28.0"}) for number in (1, 2)]
    found = resolve(reader_of(*foreign), metrics=[QEMU_PACKETS], exact=True)
    assert [(step.rule, step.verdict, step.count) for step in found.trail] == [
        (QEMU_PACKETS, Verdict.OTHER_TOOLCHAIN, 2),
        ("fixed rule", Verdict.TAKEN, 1),
    ]
    assert "2 records of" in str(found.trail[0])
    assert found.applied is None


def test_by_anchor_the_likest_variants_record_is_taken_that_replays(reader_of: ReaderOf) -> None:
    bare, stale, likest = record(1, DENSE), record(2, LIKER, total=1), record(3, LIKER, total=2)
    elsewhere = record(4, f"{DENSE},lzp=3", target="hexagon-v73")
    reader = reader_of(bare, stale, likest, elsewhere)
    found = resolve(reader, FUSED, replay=Replays(stale))
    assert (found.record, found.status) == (likest, Status.BY_ANCHOR)
    assert found.status.is_hit
    assert f"of {LIKER}, which has the same anchor" in found.reason
    assert (found.trail[-1].rule, found.trail[-1].record) == (f"by anchor: {QEMU_PACKETS}", likest)
    assert resolve(reader, FUSED, replay=Replays(stale, likest)).record == bare


def test_exact_takes_no_other_variants_record(reader_of: ReaderOf) -> None:
    found = resolve(reader_of(record(1, DENSE)), FUSED, exact=True)
    assert (found.record, found.status) == (None, Status.MISSING)
    assert not any("anchor" in step.rule for step in found.trail)


def test_the_own_record_goes_first_whatever_its_toolchain_and_metric(reader_of: ReaderOf) -> None:
    own = record(1, FUSED, metric=QEMU_CRITICAL, total=900, toolchain={"tvm": "0.28.0"})
    found = resolve(reader_of(own, record(2, LIKER, total=1)), FUSED)
    assert (found.record, found.status) == (own, Status.OTHER_TOOLCHAIN)


def test_where_its_own_do_not_replay_a_variants_record_is_taken(reader_of: ReaderOf) -> None:
    own, other = record(1, FUSED), record(2, LIKER)
    found = resolve(reader_of(own, other), FUSED, replay=Replays(own))
    assert (found.record, found.status, found.stale) == (other, Status.BY_ANCHOR, (own,))
    found = resolve(reader_of(own, other), FUSED, replay=Replays(own, other))
    assert (found.record, found.status) == (None, Status.STALE)
    assert found.reason.startswith(f"1 records of {FUSED}")


def test_a_variants_record_of_a_space_that_the_workload_has_not_is_passed_over(
    reader_of: ReaderOf,
) -> None:
    found = resolve(reader_of(record(1, LIKER, space="dense.offset/3")), FUSED)
    assert found.record is None
    assert Verdict.OTHER_SPACE in {step.verdict for step in found.trail}


def test_a_record_of_another_operators_space_is_stale(reader_of: ReaderOf) -> None:
    found = resolve(reader_of(record(1, space="conv2d.scalar/3")))
    assert (found.status, found.stale) == (Status.STALE, (record(1, space="conv2d.scalar/3"),))


def test_only_records_of_the_program_that_was_asked_about_are_taken(reader_of: ReaderOf) -> None:
    from search_spaces import find_space

    workload = parse_workload(DENSE)
    other, own = record(1, total=1, space="dense.offset/3"), record(2, total=2)
    staged = record(3, total=3, space="dense.scalar-dma/1")
    space = find_space("dense.scalar/3")
    assert space is not None
    for program in (space.module(workload), space.plain_module(workload)):
        resolver = Resolver(
            reader_of(other, own, staged), TARGETS[V68], toolchain=TOOLCHAIN, replay=Replays(own)
        )
        found = resolver.resolve(workload, program)
        # Plans for VTCM schedule the same program.
        assert (found.record, found.program) == (staged, program)
        assert "1 better placed are of another form of the program" in found.reason
        alone = Resolver(reader_of(other), TARGETS[V68], toolchain=TOOLCHAIN, replay=Replays())
        missed = alone.resolve(workload, program)
        assert (missed.record, missed.status) == (None, Status.MISSING)
        assert missed.reason.startswith("1 records are of other forms of the program")


def test_a_miss_says_how_to_tune(reader_of: ReaderOf) -> None:
    found = resolve(reader_of(record(1)), CONV)
    assert found.status is Status.MISSING
    assert f"vrmpy-tune tune '{CONV}' --target {V68}" in found.reason


def test_a_miss_is_explained_by_the_nearest_records_and_what_differs(reader_of: ReaderOf) -> None:
    reader = reader_of(
        record(1, "dense:m=128,n=768,k=3072,lhs=u8,rhs=u8"),
        record(1, "dense:m=128,n=768,k=1024,lhs=u8,rhs=u8"),
        record(1, "dense:m=128,n=768,k=512,lhs=i8,rhs=u8"),
        record(1, CONV),
    )
    explanation = explain(reader, DENSE, V68)
    assert not explanation.is_hit
    first, second, third = explanation.nearest
    assert [str(d) for d in first.differences] == ["k 1024 instead of 768"]
    assert [str(d) for d in second.differences] == ["k 3072 instead of 768"]
    assert {d.field for d in third.differences} == {"k", "lhs"}
    assert "k 1024 instead of 768" in explanation.text()
    assert explanation.to_json()["workload"] == DENSE


def test_another_target_is_a_difference(reader_of: ReaderOf) -> None:
    explanation = explain(reader_of(record(1)), DENSE, "hexagon-v73")
    assert [str(d) for d in explanation.nearest[0].differences] == [
        "target hexagon-v68 instead of hexagon-v73"
    ]


def test_a_hit_and_an_empty_store_are_explained_too(reader_of: ReaderOf) -> None:
    assert explain(reader_of(record(1)), DENSE, V68).is_hit
    assert "record " in explain(reader_of(record(1)), DENSE, V68).text()
    assert "the store is empty" in explain(reader_of(), DENSE, V68).text()
