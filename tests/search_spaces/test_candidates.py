"""Sampled candidates: every one builds, runs, and is bit-exact."""

from __future__ import annotations

from functools import cache

import pytest

from tests.device.simulated import qemu
from tests.search_spaces.samples import CASES, Sample, samples
from tests.toolchain.generated import V68, compiled, llvm_ir
from vrmpy_tune.device.protocol import Job, Limits, RunResult
from vrmpy_tune.measurement import Outcome
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
