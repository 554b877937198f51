"""Replaying traces: the same program again, a stale trace refused, nothing else changed."""

from __future__ import annotations

import json
from typing import Final

import pytest
import tvm
import tvm_ffi
from tvm.s_tir import Schedule

from search_spaces import find_space
from search_spaces.space import Space
from tests.device.simulated import qemu
from tests.search_spaces.fixed import with_decisions
from tests.search_spaces.samples import CASES, Sample, samples
from tests.toolchain.generated import V68, compiled
from vrmpy_tune.device.protocol import Job, Limits, TensorSpec
from vrmpy_tune.errors import BuildError, StaleRecordError
from vrmpy_tune.records import Identity, Record
from vrmpy_tune.records.jsonlines_store import JsonLinesStore
from vrmpy_tune.records.record import canonical_trace
from vrmpy_tune.records.shipped import shipped_records
from vrmpy_tune.replay import named_in, replay, replay_identity, trace_json
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.tune.draws import key_of
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import NUMPY_TYPES, parse_workload

EACH_CASE = pytest.mark.parametrize(("text", "space"), CASES, ids=[" ".join(c) for c in CASES])
DENSE: Final = "dense:m=31,n=129,k=7,lhs=u8,rhs=i8"
STEM: Final = "conv2d:n=1,h=15,w=15,ci=3,co=32,kh=7,kw=7,stride=2,pad=3,lhs=u8,rhs=i8"


def trace_of(sample: Sample) -> str:
    return canonical_trace(trace_json(sample.schedule.trace))


def assert_same(one: tvm.IRModule, other: tvm.IRModule) -> None:
    tvm_ffi.structural_equal(one, other) or tvm.ir.assert_structural_equal(one, other)


@EACH_CASE
def test_the_trace_of_every_design_space_replays_to_the_same_module(text: str, space: str) -> None:
    for sample in samples(text, space):
        trace = trace_of(sample)
        again = replay(sample.space.module(sample.workload), trace)
        assert_same(again.mod, sample.schedule.mod)
        assert canonical_trace(trace_json(again.trace)) == trace


@EACH_CASE
def test_replaying_leaves_the_unscheduled_module_as_it_was(text: str, space: str) -> None:
    """In TVM 0.27 schedules share nodes with the module that they started from."""
    for sample in samples(text, space):
        base, fresh = (sample.space.module(sample.workload) for _ in range(2))
        before = tvm_ffi.structural_hash(base)
        first = replay(base, trace_of(sample))
        second = replay(base, trace_of(sample))
        assert tvm_ffi.structural_hash(base) == before
        assert_same(base, fresh)
        assert_same(first.mod, second.mod)


@EACH_CASE
def test_sampling_a_space_leaves_the_module_that_it_started_from(text: str, space: str) -> None:
    (found,) = (one.space for one in samples(text, space)[:1])
    workload = parse_workload(text)
    base, fresh = found.module(workload), found.module(workload)
    found.generator(workload, V68)(Schedule(base, seed=1))
    assert_same(base, fresh)


@EACH_CASE
def test_a_program_on_plain_weights_accepts_the_same_trace(text: str, space: str) -> None:
    for sample in samples(text, space):
        plain = replay(sample.space.plain_module(sample.workload), trace_of(sample))
        assert plain.get_sblock("pack")
        multiplies = "T.call_llvm_pure_intrin("
        assert str(plain.mod).count(multiplies) == str(sample.schedule.mod).count(multiplies) > 0


@pytest.mark.device
@pytest.mark.parametrize(
    ("text", "space"),
    [case for case in CASES if case[0] in (DENSE, STEM)],
    ids=[" ".join(case) for case in CASES if case[0] in (DENSE, STEM)],
)
def test_a_program_on_plain_weights_computes_the_same(text: str, space: str) -> None:
    workload, verifier = parse_workload(text), Verifier(parse_workload(text))
    sample = samples(text, space)[0]
    plain = replay(sample.space.plain_module(workload), trace_of(sample))
    inputs = (
        TensorSpec(workload.input_shape, NUMPY_TYPES[workload.lhs]),
        TensorSpec(workload.weight_shape, NUMPY_TYPES[workload.rhs]),
    )
    job = Job(compiled(plain.mod).object_file, "main", inputs, (sample.space.output(workload),))
    sets = tuple((one.operands[0], one.operands[1]) for one in verifier.input_sets)
    result = qemu().run(job, sets, V68, Limits())
    assert verifier.difference(result) is None, result.message


def space_named(name: str) -> Space:
    space = find_space(name)
    assert space is not None
    return space


@pytest.mark.parametrize(
    ("workload", "space"),
    [
        ("dense:m=26,n=129,k=7,lhs=u8,rhs=i8", "dense.offset/3"),  # other tiles
        ("dense:m=31,n=129,k=40,lhs=u8,rhs=i8", "dense.offset/3"),  # a deeper reduction
        ("dense:m=31,n=129,k=7,lhs=u8,rhs=u8", "dense.scalar/3"),  # no sums of activations
    ],
)
def test_a_trace_of_another_program_is_stale(workload: str, space: str) -> None:
    five_vectors = samples(DENSE, "dense.offset/3")[1]
    with pytest.raises(StaleRecordError, match="Tune it again") as caught:
        replay(space_named(space).module(parse_workload(workload)), trace_of(five_vectors))
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    "decisions",
    [
        ([1, 4, 9], [1, 1], [1, 2], 0),  # a tile that does not divide its loop
        ([1, 1, 32], [1, 1], [1, 3], 0),
        ([0, 4, 8], [1, 1], [1, 2], 0),
        ([-1, 4, 8], [1, 1], [1, 2], 0),
        ([4, 8], [1, 1], [1, 2], 0),
        ("a", [1, 1], [1, 2], 0),
        ([1, 4, 8], [1, 1], [1, 2], 4),
        ([1, 4, 8], [1, 1], [1, 2], -1),
        ([1, 4, 1 << 40], [1, 1], [1, 2], 0),
    ],
    ids=str,
)
def test_decisions_that_do_not_fit_are_stale(decisions: tuple[object, ...]) -> None:
    sample = samples(DENSE, "dense.offset/3")[0]
    trace = with_decisions(sample.schedule, *decisions)
    with pytest.raises(StaleRecordError):
        replay(sample.space.module(sample.workload), trace)


def test_a_trace_without_its_decisions_is_stale_and_not_drawn_anew() -> None:
    sample = samples(DENSE, "dense.offset/3")[0]
    instructions, _ = json.loads(trace_of(sample))
    with pytest.raises(StaleRecordError, match="decisions"):
        replay(sample.space.module(sample.workload), json.dumps([instructions, []]))


@pytest.mark.parametrize(
    "trace",
    ["", "{", "null", "[]", "[1,2]", '{"a":1}', '[[["Nope",[],[],[]]],[]]',
     '[[["GetSBlock",[],["nowhere","main"],["b0"]]],[]]', '[[["GetSBlock"]],[]]'],
)  # fmt: skip
def test_what_is_no_trace_is_stale_and_said_in_a_sentence(trace: str) -> None:
    sample = samples(DENSE, "dense.offset/3")[0]
    with pytest.raises(StaleRecordError, match=r"^The trace no longer replays .*again\.$"):
        replay(sample.space.module(sample.workload), trace)


def shipped(workload: str) -> list[Record]:
    """Return the shipped records of a workload."""
    found = shipped_records()
    assert found is not None
    return JsonLinesStore(found).query(workload)


LIKE_NOW: Final = "dense:m=128,n=768,k=768,lhs=u8,rhs=u8"
OLDER: Final = "conv2d:n=1,h=56,w=56,ci=64,co=64,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8"


@pytest.mark.parametrize(("workload", "elsewhere"), [(LIKE_NOW, False), (OLDER, True)])
def test_records_replay_as_they_were_written_and_older_ones_in_another_process(
    workload: str, elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    replayed = CodegenPool.replay

    def ask(pool: CodegenPool, module: str, trace: str) -> str:
        asked.append(trace)
        return replayed(pool, module, trace)

    monkeypatch.setattr(CodegenPool, "replay", ask)
    record = shipped(workload)[0]
    space, parsed, _ = named_in(record.identity)
    expected = replay(space.module(parsed), record.trace)
    assert_same(replay_identity(record.identity).mod, expected.mod)
    assert asked == ([record.trace] if elsewhere else [])
    kept = replay_identity(record.identity, keep_trace=True)
    assert key_of(kept.trace) == key_of(expected.trace)


@pytest.mark.parametrize(
    ("workload", "space", "message"),
    [
        ("dense:m=26,n=129,k=7,lhs=u8,rhs=i8", "dense.offset/3", "does not divide"),
        ("dense:m=31,n=129,k=7,lhs=u8,rhs=u8", "dense.offset/3", "is none of"),
        ("dense:m=31,n=1,k=7,lhs=u8,rhs=i8", "dense.offset/3", "names no design space"),
        ("dense:m=31,n=129,k=7,lhs=u8,rhs=i8", "dense.offset/2", "does not exist"),
        ("dense:m=0,n=129,k=7,lhs=u8,rhs=i8", "dense.offset/3", "cannot be used"),
    ],
)
def test_a_record_of_something_else_is_stale_before_tvm_sees_it(
    workload: str, space: str, message: str
) -> None:
    trace = trace_of(samples(DENSE, "dense.offset/3")[1])
    identity = Identity(workload, V68.name, "qemu-packets/1", space, trace)
    with pytest.raises(StaleRecordError, match=message):
        replay_identity(identity)


def test_what_ends_the_other_process_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(pool: CodegenPool, module: str, trace: str) -> str:
        raise BuildError("Code generation ended its process (SIGSEGV): no message")

    monkeypatch.setattr(CodegenPool, "replay", die)
    with pytest.raises(StaleRecordError, match="SIGSEGV"):
        replay_identity(shipped(OLDER)[0].identity)
