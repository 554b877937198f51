"""Every tensorization rule: what it computes on the device, and the instruction it becomes."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pytest

from tests.device.simulated import qemu
from tests.intrin.kernel import Arrays, Kernel
from tests.toolchain.generated import GENERATORS, V68, compiled
from tests.toolchain.packets import packets
from vrmpy_tune.device.protocol import Limits
from vrmpy_tune.intrin.registry import all_rules, rule
from vrmpy_tune.intrin.rules import INT32_MAX, INT32_MIN
from vrmpy_tune.intrin.table import (
    ACCUMULATOR_SCOPES,
    SCOPES,
    TABLE,
    Instruction,
    Scopes,
    instruction,
)
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.target import TARGETS, HexagonTarget
from vrmpy_tune.toolchain.assembly import count_multiplies
from vrmpy_tune.toolchain.codegen import CodeGenerator

INSTRUCTIONS: Final = {
    "vrmpy.u8_u8": r"v\d+\.uw \+= vrmpy\(v\d+\.ub,r\d+\.ub\)",
    "vrmpy.i8_u8": r"v\d+\.w \+= vrmpy\(v\d+\.ub,r\d+\.b\)",
    "vrmpy.splat_u8_u8": r"v\d+\.uw \+= vrmpy\(v\d+\.ub,v\d+\.ub\)",
    "vrmpy.splat_u8_i8": r"v\d+\.w \+= vrmpy\(v\d+\.ub,v\d+\.b\)",
    "vrmpy.splat_i8_u8": r"v\d+\.w \+= vrmpy\(v\d+\.ub,v\d+\.b\)",
    "vrmpy.splat_i8_i8": r"v\d+\.w \+= vrmpy\(v\d+\.b,v\d+\.b\)",
    "vdmpy.splat_i16_i16": r"v\d+\.w \+= vdmpy\(v\d+\.h,v\d+\.h\):sat",
}
"""What the assembler prints for each row (Qualcomm's HVX Programmer's Reference Manual)."""

EACH_ROW = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
SCALAR_ROWS = [row for row in TABLE if not row.splat]
SPLAT_ROWS = [row for row in TABLE if row.splat]


def extremes(dtype: str) -> np.ndarray:
    bounds = np.iinfo(dtype)
    return np.array([bounds.min, bounds.min + 1, 0, 1, bounds.max - 1, bounds.max], dtype)


def input_sets(kernel: Kernel) -> tuple[Arrays, ...]:
    """Return random inputs, mixed extremes, and every pair of equal extremes."""
    generator = np.random.default_rng(1)
    operands = list(zip(kernel.shapes, kernel.types, strict=True))

    def random(shape: tuple[int, ...], dtype: str) -> np.ndarray:
        bounds = np.iinfo(dtype)
        return generator.integers(bounds.min, bounds.max, shape, dtype, endpoint=True)

    sets = [[random(*one) for one in operands]]
    sets.append([generator.choice(extremes(dtype), shape) for shape, dtype in operands])
    for scalar in extremes(kernel.row.scalar_type)[[0, 2, -1]]:
        for vector in extremes(kernel.row.vector_type)[[0, -1]]:
            for start in (INT32_MIN, 0, INT32_MAX):
                sets.append(
                    [np.full(shape, value, dtype) for (shape, dtype), value in
                     zip(operands, (scalar, vector, start), strict=True)]
                )  # fmt: skip
    return tuple((one[0], one[1], one[2]) for one in sets)


@pytest.mark.device
@pytest.mark.parametrize(
    ("name", "scopes"), all_rules(), ids=[instruction(n).rule(scopes) for n, scopes in all_rules()]
)
def test_a_rule_computes_what_its_row_says(name: str, scopes: Scopes) -> None:
    kernel = Kernel(instruction(name), scopes)
    made = compiled(kernel.module())
    assert re.search(INSTRUCTIONS[name], made.assembly)
    sets = input_sets(kernel)
    result = qemu().run(kernel.job(made.object_file), sets, V68, Limits())
    assert result.outcome is Outcome.OK, result.message
    for inputs, (output,) in zip(sets, result.outputs, strict=True):
        np.testing.assert_array_equal(output, kernel.reference(inputs))


def test_every_row_exists_in_every_combination_of_scopes() -> None:
    assert len(all_rules()) == len(TABLE) * len(SCOPES) ** 2 * len(ACCUMULATOR_SCOPES)
    names = {rule(name, scopes) for name, scopes in all_rules()}
    assert len(names) == len(all_rules())
    assert set(INSTRUCTIONS) == {row.name for row in TABLE}


def test_the_inputs_make_the_saturating_row_saturate_both_ways() -> None:
    kernel = Kernel(instruction("vdmpy.splat_i16_i16"), Scopes())
    results = np.concatenate([kernel.reference(inputs).ravel() for inputs in input_sets(kernel)])
    assert results.min() == INT32_MIN
    assert results.max() == INT32_MAX


@pytest.mark.device
def test_the_saturating_row_clips_once_after_both_products_were_added() -> None:
    kernel = Kernel(instruction("vdmpy.splat_i16_i16"), Scopes(), rows=1, words=1)
    made = compiled(kernel.module())
    lowest = [np.full(shape, -(1 << 15), np.int16) for shape in kernel.shapes[:2]]
    start = np.full(kernel.shapes[2], -1, np.int32)
    sets = ((lowest[0], lowest[1], start),)
    result = qemu().run(kernel.job(made.object_file), sets, V68, Limits())
    # The products alone are 2**31, one too many; -1 and they together are not.
    assert set(result.outputs[0][0].ravel().tolist()) == {INT32_MAX}
    sets = ((lowest[0], lowest[1], start - 9),)
    result = qemu().run(kernel.job(made.object_file), sets, V68, Limits())
    assert set(result.outputs[0][0].ravel().tolist()) == {INT32_MAX - 9}


@EACH_ROW
@pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS)
def test_every_code_generator_emits_the_instruction_once_for_each_use(
    row: Instruction, generator: CodeGenerator
) -> None:
    kernel = Kernel(row, Scopes(), rows=8, words=2, unrolled=True)
    made = compiled(kernel.module(), generator)
    uses = len(re.findall(INSTRUCTIONS[row.name], made.assembly))
    assert uses == count_multiplies(made.assembly) == 16
    assert made.assembly.count("AllocWorkspace") == 0


@EACH_ROW
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_architecture_from_the_first_on_assembles_the_instruction(
    row: Instruction, target: HexagonTarget
) -> None:
    assert row.first_arch <= target.version
    made = compiled(Kernel(row, Scopes()).module(), target=target)
    assert re.search(INSTRUCTIONS[row.name], made.assembly)


def per_packet(row: Instruction, target: HexagonTarget = V68) -> list[int]:
    """Count the row's instruction in each packet of an unrolled loop that has any."""
    kernel = Kernel(row, Scopes(), rows=8, words=16, unrolled=True)
    assembly = compiled(kernel.module(), target=target).assembly
    counts = [packet.count(INSTRUCTIONS[row.name]) for packet in packets(assembly)]
    assert sum(counts) == count_multiplies(assembly)
    return [count for count in counts if count]


@pytest.mark.parametrize("row", SCALAR_ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_scalar_forms_issue_two_a_packet(row: Instruction, target: HexagonTarget) -> None:
    counts = per_packet(row, target)
    print(f"\n{row.name} on {target.name}: {sum(counts)} in {len(counts)} packets")
    assert max(counts) == 2
    assert counts.count(2) > counts.count(1)


@pytest.mark.parametrize("row", SPLAT_ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_splat_forms_issue_as_many_a_packet_as_the_target_says(
    row: Instruction, target: HexagonTarget
) -> None:
    counts = per_packet(row, target)
    print(f"\n{row.name} on {target.name}: {sum(counts)} in {len(counts)} packets")
    # vdmpy takes both multipliers on every architecture.
    assert max(counts) == (1 if row.mnemonic == "vdmpy" else target.vector_pair_rate)
