"""Kernels of the operators around dense and convolution: bit-exact, and near their bound."""

from __future__ import annotations

from pathlib import Path

import pytest
from tvm.s_tir import Schedule

from search_spaces import base_module, find_space, spaces_for
from tests.device.simulated import qemu
from tests.operators import ELEMENTWISE, POOLING, WORKLOADS
from tests.toolchain.generated import V68, pool
from vrmpy_tune.compiler import compile_workloads, run_artifact
from vrmpy_tune.compiler.choice import fixed_schedule
from vrmpy_tune.compiler.kernel import build_kernel, run_kernel
from vrmpy_tune.compiler.naive import naive_inputs, naive_module, naive_output
from vrmpy_tune.measurement import Measurement
from vrmpy_tune.records.record import canonical_trace
from vrmpy_tune.replay import replay, trace_json
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS
from vrmpy_tune.tune.cost_model import FEATURES
from vrmpy_tune.tune.run import tune
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import Workload, parse_workload

BARS = (
    "depthwise_conv2d:n=1,h=56,w=56,c=128,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8,out=u8,bias=1,"
    "requant=channel,act=relu",
    "depthwise_conv2d:n=1,h=56,w=56,c=128,kh=3,kw=3,stride=2,pad=1,lhs=u8,rhs=i8,out=u8,bias=1,"
    "requant=channel,act=relu",
    "add:shape=1x56x56x256,lhs=u8,rhs=u8,out=u8",
    "max_pool2d:n=1,h=112,w=112,c=64,kh=3,kw=3,stride=2,pad=1,dtype=u8",
    "global_avg_pool2d:n=1,h=7,w=7,c=2048,dtype=u8",
    "pad:n=1,h=56,w=56,c=64,pad=1,dtype=u8,value=3",
)
"""What issue 3 has bars for: twice the bound at most, a fifth of plain loops at most."""

LAUNCH_PACKETS = 150
TIMES_BOUND = 2.0
TIMES_NAIVE = 5.0


def sampled(workload: Workload, seed: int) -> list[tuple[str, Schedule]]:
    return [
        (space.name, schedule)
        for space in spaces_for(workload, V68)
        for schedule in space.generator(workload, V68)(Schedule(space.module(workload), seed=seed))
    ]


def measured(workload: Workload, space_name: str, schedule: Schedule) -> Measurement:
    """Build, run and verify; raises where an output is wrong."""
    space, verifier = find_space(space_name), Verifier(workload)
    assert space is not None
    inputs, output = space.inputs(workload), space.output(workload)
    kernel = build_kernel(schedule.mod, inputs, output, V68, pool())
    return run_kernel(kernel, verifier.arguments(space), verifier, qemu(), V68)


@pytest.mark.device
@pytest.mark.parametrize("text", WORKLOADS)
def test_a_sample_of_every_space_is_bit_exact_on_every_input_set(text: str) -> None:
    workload = parse_workload(text)
    for space, schedule in sampled(workload, seed=3):
        measurement = measured(workload, space, schedule)
        assert measurement.counts.packets_total >= workload.packet_bound
        assert measurement.alignment_checked == qemu().info().checks_alignment


@pytest.mark.parametrize("text", WORKLOADS)
def test_a_trace_replays_to_the_same_program(text: str) -> None:
    for space, schedule in sampled(parse_workload(text), seed=4):
        trace = canonical_trace(trace_json(schedule.trace))
        again = replay(base_module(text, space), trace)
        assert again.mod.script() == schedule.mod.script()


@pytest.mark.parametrize("text", WORKLOADS)
def test_features_have_one_length_and_end_in_the_estimate(text: str) -> None:
    workload = parse_workload(text)
    for name, schedule in sampled(workload, seed=5):
        space = find_space(name)
        assert space is not None
        features = space.features(workload, schedule.trace)
        assert len(features) <= FEATURES
        assert len(features) == 11 + len(CODE_GENERATORS)
        estimate = space.estimate(workload, schedule.trace)
        assert features[-1] == pytest.approx(estimate / workload.packet_bound)


def test_samples_differ_in_their_choices() -> None:
    workload = parse_workload(BARS[0])
    traces = {
        canonical_trace(trace_json(sampled(workload, seed)[0][1].trace)) for seed in range(1, 9)
    }
    assert len(traces) > 3


@pytest.mark.device
@pytest.mark.parametrize("text", BARS)
def test_the_fixed_schedule_is_near_the_bound_and_far_from_plain_loops(text: str) -> None:
    workload = parse_workload(text)
    space, schedule = fixed_schedule(workload, V68)
    fast = measured(workload, space.name, schedule)
    total = fast.counts.packets_total
    assert total <= TIMES_BOUND * workload.packet_bound
    # Four contexts share the work: none has much more than its quarter and the launch.
    assert fast.counts.packets_critical <= 1.2 * total / V68.contexts + LAUNCH_PACKETS
    verifier = Verifier(workload, ("random",))
    inputs, output = naive_inputs(workload), naive_output(workload)
    kernel = build_kernel(naive_module(workload), inputs, output, V68, pool())
    operands = tuple(one.operands for one in verifier.input_sets)
    slow = run_kernel(kernel, operands, verifier, qemu(), V68)
    assert slow.counts.packets_total >= TIMES_NAIVE * total


@pytest.mark.device
def test_operators_are_tuned_and_compiled_from_their_records(tmp_path: Path) -> None:
    texts = (POOLING[0], ELEMENTWISE[0])
    workloads = [parse_workload(text) for text in texts]
    store = str(tmp_path / "tuned.db")
    tuned = tune(workloads, target=V68, trials=3, effort="quick", records=store)
    report = compile_workloads(
        workloads, target=V68, records=[store], output=tmp_path / "out", strict=True
    )
    packets = {task["workload"]: task["packets"] for task in report.as_json()["tasks"]}
    for result in tuned:
        assert result.best is not None
        assert packets[str(result.workload)] == result.best.counts.packets_total
    layers = run_artifact(tmp_path / "out").layers
    assert [str(workload) for workload, _ in layers] == list(texts)
