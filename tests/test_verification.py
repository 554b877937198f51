"""Verification: what is compared, what is found, and what becomes a measurement."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
import pytest

from vrmpy_tune.device.protocol import RunResult
from vrmpy_tune.measurement import QEMU_CRITICAL, QEMU_PACKETS, Counts, Measurement, Outcome
from vrmpy_tune.verification import Verifier, slowest
from vrmpy_tune.workload import NUMPY_TYPES, Conv2d, Dense
from vrmpy_tune.workload.inputs import EXTREMES

MUTANTS: Final = 1000
WORKLOADS: Final = (
    Dense(7, 33, 129, "u8", "u8"),
    Dense(3, 31, 7, "u8", "i8"),
    Dense(1, 1, 1, "i8", "i8"),
    Conv2d(2, 7, 7, 3, 33, 3, 3, stride=(2, 1), pad=(0, 0, 1, 1), lhs="i8", rhs="u8"),
)
EACH_WORKLOAD = pytest.mark.parametrize("workload", WORKLOADS, ids=str)


def counts(packets: int = 10, critical: int = 10) -> Counts:
    return Counts(packets, critical, 2 * packets, packets, (critical, packets - critical))


def result_of(outputs: list[np.ndarray]) -> RunResult:
    calls = tuple(counts() for _ in outputs)
    return RunResult(Outcome.OK, outputs=tuple((one,) for one in outputs), counts=calls)


def right_outputs(verifier: Verifier) -> list[np.ndarray]:
    return [inputs.expected.copy() for inputs in verifier.input_sets]


def measure(verifier: Verifier, result: RunResult) -> Measurement | str:
    return verifier.measure(
        result, target="hexagon-v68", metric=QEMU_PACKETS, static_vrmpy=1, artifact="0", device="d"
    )


@EACH_WORKLOAD
def test_the_right_outputs_become_a_measurement(workload: Dense | Conv2d) -> None:
    verifier = Verifier(workload)
    measured = measure(verifier, result_of(right_outputs(verifier)))
    assert isinstance(measured, Measurement)
    assert measured.workload == str(workload)
    assert measured.inputs == ("random", "extremes", "largest")
    assert measured.value == 10


@EACH_WORKLOAD
def test_inputs_have_the_workloads_shapes_and_reach_its_extremes(workload: Dense | Conv2d) -> None:
    sets = {one.name: one for one in Verifier(workload).input_sets}
    for one in sets.values():
        assert one.operands[0].shape == workload.input_shape
        assert one.operands[1].shape == workload.weight_shape
        assert one.operands[0].dtype == NUMPY_TYPES[workload.lhs]
        assert one.operands[1].dtype == NUMPY_TYPES[workload.rhs]
        np.testing.assert_array_equal(
            one.expected, workload.reference(one.operands[0], one.operands[1])
        )
    assert set(np.unique(sets["extremes"].operands[0])) <= set(EXTREMES[workload.lhs])
    assert set(np.unique(sets["extremes"].operands[1])) <= set(EXTREMES[workload.rhs])
    worst = {"u8": 255, "i8": -128}
    assert set(np.unique(sets["largest"].operands[0])) == {worst[workload.lhs]}
    assert set(np.unique(sets["largest"].operands[1])) == {worst[workload.rhs]}


def test_every_machine_verifies_on_the_same_inputs() -> None:
    first, second = (Verifier(WORKLOADS[0]).input_sets for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.operands[0], other.operands[0])
        np.testing.assert_array_equal(one.operands[1], other.operands[1])


def changed_lane(output: np.ndarray, rng: np.random.Generator) -> None:
    output[..., rng.integers(output.shape[-1])] += 1


def changed_element(output: np.ndarray, rng: np.random.Generator) -> None:
    output.reshape(-1)[rng.integers(output.size)] ^= 1 << int(rng.integers(31))


def changed_tail(output: np.ndarray, rng: np.random.Generator) -> None:
    output.reshape(-1)[-1] += rng.choice((-1, 1))


def swapped_lanes(output: np.ndarray, rng: np.random.Generator) -> None:
    output[...] = np.roll(output, int(rng.integers(1, 32)), axis=-1)


def saturated(output: np.ndarray, rng: np.random.Generator) -> None:
    limit = int(rng.choice((1 << 7, 1 << 8, 1 << 15, 1 << 16)))
    output[...] = output.clip(-limit, limit - 1)


def missing_tail(output: np.ndarray, rng: np.random.Generator) -> None:
    output.reshape(-1)[output.size - int(rng.integers(1, 33)) :] = 0


MUTATIONS: Final = (
    changed_lane, changed_element, changed_tail, swapped_lanes, saturated, missing_tail,
)  # fmt: skip


@pytest.mark.fault
def test_none_of_1000_mutants_that_change_an_output_is_accepted() -> None:
    """FAULTS.md row 6: the mutant differs from the right output on one input set only."""
    rng = np.random.default_rng(6)
    verifiers = [Verifier(workload) for workload in WORKLOADS]
    accepted = mutants = 0
    while mutants < MUTANTS:
        verifier = verifiers[mutants % len(verifiers)]
        outputs = right_outputs(verifier)
        chosen = int(rng.integers(len(outputs)))
        MUTATIONS[rng.integers(len(MUTATIONS))](outputs[chosen], rng)
        if np.array_equal(outputs[chosen], verifier.input_sets[chosen].expected):
            continue
        mutants += 1
        verdict = measure(verifier, result_of(outputs))
        accepted += isinstance(verdict, Measurement)
        assert verifier.input_sets[chosen].name in str(verdict)
    print(f"\n{accepted} of {mutants} mutants accepted")
    assert accepted == 0


@pytest.mark.parametrize("workload", WORKLOADS[:2], ids=str)
def test_a_kernel_that_saturates_its_pairs_of_products_is_found(workload: Dense) -> None:
    """As ``vpmaddubsw`` and ``vmpa`` do: sums of two products clipped to 16 bits."""
    verifier = Verifier(workload)
    outputs = []
    for one in verifier.input_sets:
        lhs, rhs = one.operands[0].astype(np.int64), one.operands[1].astype(np.int64)
        products = np.einsum("mk,nk->mnk", lhs, rhs)
        products = np.pad(products, ((0, 0), (0, 0), (0, products.shape[-1] % 2)))
        pairs = products.reshape(*products.shape[:2], -1, 2).sum(-1).clip(-(1 << 15), (1 << 15) - 1)
        outputs.append(pairs.sum(-1).astype(np.int32))
    assert "wrong on the input" in str(measure(verifier, result_of(outputs)))


@pytest.mark.parametrize(("lhs", "rhs"), [("u8", "u8"), ("u8", "i8"), ("i8", "u8"), ("i8", "i8")])
def test_a_kernel_that_takes_a_sign_for_the_other_is_found(lhs: str, rhs: str) -> None:
    verifier = Verifier(Dense(3, 7, 33, lhs, rhs))
    other = {"u8": np.int8, "i8": np.uint8}
    for wrong in ("lhs", "rhs"):
        outputs = [
            verifier.workload.reference(
                one.operands[0].view(other[lhs]) if wrong == "lhs" else one.operands[0],
                one.operands[1].view(other[rhs]) if wrong == "rhs" else one.operands[1],
            )
            for one in verifier.input_sets
        ]
        assert "wrong on the input 'random'" in str(measure(verifier, result_of(outputs)))


def test_the_difference_counts_and_names_the_first_wrong_element() -> None:
    verifier = Verifier(WORKLOADS[0])
    outputs = right_outputs(verifier)
    right = int(outputs[1][6, 32])
    outputs[1][6, 32] += 1
    assert measure(verifier, result_of(outputs)) == (
        f"1 of 231 outputs of {WORKLOADS[0]} are wrong on the input 'extremes'; "
        f"the first, at [6, 32], is {right + 1} instead of {right}."
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda outputs: outputs[:-1],
        lambda outputs: [*outputs, outputs[0]],
        lambda outputs: [],
        lambda outputs: [one.astype(np.int64) for one in outputs],
        lambda outputs: [one.T for one in outputs],
        lambda outputs: [one.ravel() for one in outputs],
    ],
    ids=["one missing", "one too many", "none", "other type", "other shape", "flat"],
)
def test_outputs_of_another_number_shape_or_type_are_found(spoil: object) -> None:
    verifier = Verifier(WORKLOADS[0])
    outputs = spoil(right_outputs(verifier))  # type: ignore[operator]
    assert isinstance(measure(verifier, result_of(outputs)), str)


@pytest.mark.parametrize("outcome", [one for one in Outcome if one is not Outcome.OK])
def test_right_outputs_of_a_failed_run_are_no_measurement(outcome: Outcome) -> None:
    verifier = Verifier(WORKLOADS[2])
    failed = dataclasses.replace(
        result_of(right_outputs(verifier)), outcome=outcome, message="It failed."
    )
    assert measure(verifier, failed) == "It failed."


def test_the_slowest_input_set_counts_by_its_metric() -> None:
    one, other = counts(packets=20, critical=8), counts(packets=10, critical=9)
    assert slowest((one, other), QEMU_PACKETS) is one
    assert slowest((one, other), QEMU_CRITICAL) is other
