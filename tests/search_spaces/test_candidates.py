"""Sampled candidates: every one builds, runs, and is bit-exact."""

from __future__ import annotations

from functools import cache

import pytest

from tests.device.simulated import qemu
from tests.search_spaces.samples import CASES, FUSED, Sample, samples, spaces_of
from tests.toolchain.generated import V68, compiled, llvm_ir
from vrmpy_tune.compiler.naive import naive_inputs
from vrmpy_tune.device.protocol import Job, Limits, RunResult
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.records.record import canonical_trace
from vrmpy_tune.replay import replay, trace_json
from vrmpy_tune.toolchain.assembly import count_multiplies
from vrmpy_tune.tune.candidate import code_generator
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import parse_workload

EACH_CASE = pytest.mark.parametrize(("text", "space"), CASES, ids=[" ".join(c) for c in CASES])


@cache
def verifier(text: str) -> Verifier:
    return Verifier(parse_workload(text))


def run(sample: Sample) -> RunResult:
    made = compiled(sample.schedule.mod, code_generator(sample.schedule.mod))
    assert count_multiplies(made.assembly) > 0
    assert ("vmpyo(" in made.assembly) == (sample.workload.requant != "none")
    workload, space = sample.workload, sample.space
    job = Job(made.object_file, "main", space.inputs(workload), (space.output(workload),))
    inputs = verifier(str(workload)).input_sets
    sets = tuple(space.arguments(workload, one.operands) for one in inputs)
    return qemu().run(job, sets, V68, Limits())


@pytest.mark.device
@EACH_CASE
def test_one_candidate_of_every_design_space_is_bit_exact(text: str, space: str) -> None:
    for sample in samples(text, space):
        result = run(sample)
        assert result.outcome is Outcome.OK, (sample.decisions, result.message)
        assert verifier(str(sample.workload)).difference(result) is None, sample.decisions
        assert result.alignment_checked == qemu().info().checks_alignment


@EACH_CASE
def test_only_sketches_that_ask_for_vtcm_allocate_there(text: str, space: str) -> None:
    for sample in samples(text, space):
        calls = llvm_ir(sample.schedule.mod).count("@vrmpy_vtcm_alloc(")
        assert (calls > 0) == sample.decisions.sketch.vtcm


@pytest.mark.device
@pytest.mark.parametrize("text", (FUSED[3], FUSED[4], FUSED[6], FUSED[7]))
def test_a_trace_replays_on_the_program_that_packs_its_own_constants(text: str) -> None:
    workload = parse_workload(text)
    for space in spaces_of(workload):
        first = samples(text, space.name)[0]
        trace = canonical_trace(trace_json(first.schedule.trace))
        module = replay(space.plain_module(workload), trace).mod
        made = compiled(module, code_generator(module))
        specs = naive_inputs(workload), (space.output(workload),)
        sets = tuple(one.operands for one in verifier(text).input_sets)
        result = qemu().run(Job(made.object_file, "main", *specs), sets, V68, Limits())
        assert result.outcome is Outcome.OK, result.message
        assert verifier(text).difference(result) is None
