"""The memory plan: tensors that live at the same time never share a byte."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from tests.model.networks import Builder, residual_network
from vrmpy_tune.model.plan import ALIGNMENT, Lifetime, lifetimes, plan_memory
from vrmpy_tune.suites.quantized import convolution

SIZES = st.one_of(st.sampled_from([1, 3, 7, 31, 32, 33, 127, 128, 129]), st.integers(1, 5000))


@st.composite
def tensors(draw: st.DrawFn) -> list[Lifetime]:
    found = []
    for number in range(draw(st.integers(0, 25))):
        first = draw(st.integers(0, 30))
        last = first + draw(st.integers(0, 6))
        found.append(Lifetime(f"t{number}", draw(SIZES), first, last))
    return found


def rounded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


@given(tensors())
def test_tensors_that_live_at_the_same_time_do_not_overlap(found: list[Lifetime]) -> None:
    plan = plan_memory(found)
    for one, other in combinations(found, 2):
        if one.first <= other.last and other.first <= one.last:
            begin, end = plan.offsets[one.name], plan.offsets[one.name] + one.size
            assert end <= plan.offsets[other.name] or (
                plan.offsets[other.name] + other.size <= begin
            )


@given(tensors())
def test_every_tensor_is_aligned_and_inside_the_arena(found: list[Lifetime]) -> None:
    plan = plan_memory(found)
    assert set(plan.offsets) == {one.name for one in found}
    for one in found:
        assert plan.offsets[one.name] % ALIGNMENT == 0
        assert 0 <= plan.offsets[one.name] <= plan.arena_bytes - one.size


@given(tensors())
def test_the_arena_holds_no_more_than_all_and_no_less_than_what_lives_at_once(
    found: list[Lifetime],
) -> None:
    plan = plan_memory(found)
    at_once = [
        sum(rounded(one.size) for one in found if one.first <= moment <= one.last)
        for moment in range(40)
    ]
    assert max(at_once, default=0) <= plan.arena_bytes <= sum(rounded(one.size) for one in found)


@given(tensors(), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_the_tensors(
    found: list[Lifetime], random: st.DataObject
) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_memory(shuffled) == plan_memory(found)


def test_a_chain_needs_two_tensors_at_once() -> None:
    chain = [Lifetime(f"t{number}", 1000, number, number + 1) for number in range(10)]
    assert plan_memory(chain).arena_bytes == 2 * rounded(1000)


def test_a_residual_lives_until_it_is_added_and_outputs_are_not_planned() -> None:
    found = {one.name: one for one in lifetimes(residual_network(size=8, channels=32))}
    assert sorted(found) == ["layer0", "layer1", "layer2", "layer3"]  # not the output, layer4
    assert (found["layer0"].size, found["layer0"].first, found["layer0"].last) == (2048, 0, 1)


def test_a_tensor_that_nobody_reads_still_has_a_place() -> None:
    builder = Builder((1, 4, 4, 32))
    used = builder.add(convolution(4, (32, 32), act="relu"), "input")
    builder.add(convolution(4, (32, 32), act="relu"), "input", name="unread")
    found = {one.name: one for one in lifetimes(builder.network(used))}
    assert (found["unread"].first, found["unread"].last) == (1, 1)
