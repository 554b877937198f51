"""Hazards that scheduling packets must respect."""

from __future__ import annotations

import pytest

from vrmpy_tune.toolchain.packets.dependence import edges
from vrmpy_tune.toolchain.packets.function import Block, Function, UnknownAssemblyError
from vrmpy_tune.toolchain.packets.instruction import Instruction
from vrmpy_tune.toolchain.packets.rotation import (
    extended,
    loop_setup,
    rotate_loops,
    with_count,
)
from vrmpy_tune.toolchain.packets.values import Values


def _block(label: str | None, *texts: str) -> Block:
    return Block(label, [], [Instruction(text) for text in texts])


def test_a_conditional_return_does_not_lead_to_a_block_without_a_label() -> None:
    blocks = [_block(None, "if (p0) jumpr:nt r31"), _block(None, "r0 = #1"), _block(None)]
    assert Function("f", blocks).flow().follow[0] == [1]


def test_a_loop_may_begin_behind_its_end() -> None:
    blocks = [
        _block(None, "loop0(.LBB0_2,r4)", "jump .LBB0_2"),
        Block(".LBB0_1", [], [Instruction("r0 = add(r0,#1)")], (0,)),
        _block(None, "jump .LBB0_3"),
        _block(".LBB0_2", "p0 = cmp.eq(r0,#4)", "if (p0) jump:nt .LBB0_1"),
        _block(None, "jump .LBB0_1"),
        _block(".LBB0_3", "jumpr r31"),
    ]
    flow = Function("f", blocks).flow()
    assert flow.starts == {(1, 0): 3}
    assert set(flow.follow[1]) == {2, 3}


def test_a_loop_that_two_set_ups_reach_is_refused() -> None:
    blocks = [
        _block(None, "loop0(.LBB0_1,r4)", "if (p0) jump:nt .LBB0_1"),
        _block(None, "loop0(.LBB0_2,r4)"),
        _block(".LBB0_1", "r1 = #1"),
        Block(".LBB0_2", [], [Instruction("r0 = add(r0,#1)")], (0,)),
        _block(None, "jumpr r31"),
    ]
    with pytest.raises(UnknownAssemblyError):
        Function("f", blocks).flow()


def test_a_jump_to_an_unknown_place_is_refused() -> None:
    with pytest.raises(UnknownAssemblyError):
        Function("f", [_block(None, "jumpr r0"), _block(None, "r0 = #1")]).flow()


def test_an_absolute_address_is_written_to_its_register() -> None:
    one = Instruction("r1 = memw(r2=##table)")
    assert {"r1", "r2"} <= one.writes


def test_a_count_register_keeps_its_value_for_others() -> None:
    block = _block(None, "r5 = ##4096", "loop0(.LBB0_1,r5)", "r6 = r5")
    setup = loop_setup(block, 0, ".LBB0_1")
    assert setup is not None
    with_count(block, setup, 4094)
    texts = [one.text for one in block.instructions]
    assert texts[1:4] == ["r5 = ##4094", "loop0(.LBB0_1,r5)", "r5 = ##4096"]


def test_an_outer_loop_that_begins_behind_its_end_is_not_rotated() -> None:
    blocks = [
        _block(None, "loop1(.LBB0_2,#4)", "jump .LBB0_2"),
        Block(".LBB0_1", [], [Instruction("r0 = add(r0,#1)")], (1,)),
        _block(None, "jumpr r31"),
        _block(".LBB0_2", "jump .LBB0_1"),
    ]
    function = Function("f", list(blocks))
    rotate_loops(function)
    assert function.blocks == blocks


def test_a_store_comes_before_a_later_iteration_s_load_that_follows_it_in_the_text() -> None:
    body = ["memw(r0+#0) = r2", "r3 = memw(r0+#4)", "r2 = add(r3,#1)", "r0 = add(r0,#-4)"]
    values = Values([Instruction(text) for text in body], frozenset({"r0", "r2"}))
    found = {(one.earlier, one.later, one.distance): one.delay for one in edges(values, loop=True)}
    assert found[0, 1, 1] == 1


def test_a_half_of_a_pair_is_not_written_before_its_old_value_was_read() -> None:
    block = [
        Instruction(text)
        for text in (
            "r1:0 = memd(r5+#0)",
            "r2 = add(r0,#1)",
            "r0 = add(r3,#4)",
            "memd(r6+#0) = r1:0",
        )
    ]
    values = Values(block, frozenset({"r2"}))
    (group,) = (group for group in values.groups if group.is_pair)
    assert not group.is_fixed
    assert any((edge.earlier, edge.later) == (1, 2) for edge in edges(values, loop=False))


@pytest.mark.parametrize("written", ["loop0(.LBB11_4,#3)", "loop0(##.LBB11_4,#3)"])
def test_a_loop_that_llvm_wrote_as_far_is_not_extended_twice(written: str) -> None:
    assert extended(written) == "loop0(##.LBB11_4,#3)"
