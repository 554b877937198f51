"""What the packet scheduler holds possible, LLVM's assembler accepts."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Final

import pytest

from tests.toolchain.generated import V68
from vrmpy_tune.toolchain.packets.instruction import Instruction
from vrmpy_tune.toolchain.packets.resources import MAX_WORDS, joins, unit_of
from vrmpy_tune.toolchain.zig import assemble

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.toolchain.packets.resources import Unit

FORMS: Final = (
    "r{d} = add(r20,r21)",
    "r{d} = add(r20,##100000)",
    "r{d} = #1",
    "r{e}:{d} = combine(r20,r21)",
    "r{d} = mpyi(r20,r21)",
    "r{d} = asl(r20,#3)",
    "r{d} = memw(r22+#0)",
    "r{e}:{d} = memd(r22+#8)",
    "memw(r23+#0) = r20",
    "p{p} = cmp.eq(r20,#0)",
    "v{d} = vmem(r22+#0)",
    "v{d} = vmemu(r22+#0)",
    "vmem(r23+#0) = v20",
    "vmemu(r23+#0) = v20",
    "v{d}.uw += vrmpy(v20.ub,r20.ub)",
    "v{d}.uw = vrmpy(v20.ub,r20.ub)",
    "v{d}.uw += vrmpy(v20.ub,v21.ub)",
    "v{d}.w = vmpye(v20.w,v21.uh)",
    "v{d} = vxor(v20,v21)",
    "v{d}.w = vadd(v20.w,v21.w)",
    "v{e}:{d} = vcombine(v20,v21)",
    "v{e}:{d}.h = vadd(v20.ub,v21.ub)",
    "v{d} = valign(v20,v21,r0)",
    "v{d}.h = vasr(v20.w,v21.w,r0):rnd:sat",
    "v{d}.ub = vpack(v20.h,v21.h):sat",
    "v{e}:{d} = vshuff(v20,v21,r0)",
    "v{d} = vsplat(r20)",
    "v{d} = vand(q0,r20)",
    "v{d} = vmux(q0,v20,v21)",
    "q{p} = vcmp.gt(v20.w,v21.w)",
    "v{d}.ub = vmax(v20.ub,v21.ub)",
    "v{d}.b = vpacke(v20.h,v21.h)",
    "v{d}.b = vshuffe(v20.b,v21.b)",
    "v{d} = vlalign(v20,v21,#1)",
    "v{d}.w += vmpyo(v20.w,v21.h):<<1:rnd:sat:shift",
)
"""One of each kind of resources; numbers of results are filled in by place in the packet."""

QUADRUPLES: Final = 400


def _written(forms: tuple[str, ...]) -> list[str]:
    return [
        form.format(d=2 * place + 2, e=2 * place + 3, p=place) for place, form in enumerate(forms)
    ]


def _fits(texts: list[str]) -> bool:
    packet: tuple[Unit, ...] | None = ()
    for text in texts:
        assert packet is not None
        packet = joins(packet, unit_of(text)) if len(packet) < MAX_WORDS else None
        if packet is None:
            return False
    return True


def _candidates() -> list[list[str]]:
    chosen: list[tuple[str, ...]] = [
        *itertools.combinations_with_replacement(FORMS, 2),
        *itertools.combinations_with_replacement(FORMS, 3),
    ]
    drawn = random.Random(1)
    chosen += [tuple(drawn.choices(FORMS, k=4)) for _ in range(QUADRUPLES)]
    return [_written(forms) for forms in chosen]


def test_packets_that_should_fit_assemble(tmp_path: Path) -> None:
    fitting = [texts for texts in _candidates() if _fits(texts)]
    assert len(fitting) > 500
    lines = [".text"]
    for texts in fitting:
        lines += ["{", *texts, "}"]
    assemble("\n".join(lines) + "\n", V68, tmp_path)


def test_two_multiplies_a_load_and_a_store_share_a_packet() -> None:
    assert _fits(_written((FORMS[14], FORMS[14], "v{d} = vmem(r22+#0)", "vmem(r23+#0) = v20")))


@pytest.mark.parametrize(
    "forms",
    [
        (FORMS[14],) * 3,  # two multiply pipes
        (FORMS[16], FORMS[14]),  # one multiplication of vectors takes both
        ("v{d} = vmem(r22+#0)",) * 2,  # one vector load
        ("vmem(r23+#0) = v20",) * 2,  # one vector store
        ("r{d} = add(r20,##100000)",) * 3,  # six words
        ("v{d} = vmemu(r22+#0)", "r{d} = memw(r22+#0)"),  # both memory slots
    ],
)
def test_what_resources_forbid_does_not_fit(forms: tuple[str, ...]) -> None:
    assert not _fits(_written(forms))


@pytest.mark.parametrize(
    ("text", "reads", "writes"),
    [
        ("r1 = memw(r2++#4)", {"r2"}, {"r1", "r2"}),
        ("memd(r2+#8) = r5:4", {"r2", "r4", "r5"}, set()),
        ("v3.uw += vrmpy(v4.ub,r5.ub)", {"v3", "v4", "r5"}, {"v3"}),
        ("v3.uw = vrmpy(v4.ub,r5.ub)", {"v4", "r5"}, {"v3"}),
        ("v3 = vxor(v3,v3)", set(), {"v3"}),
        ("if (!p0) r1 = add(r2,#1)", {"p0", "r1", "r2"}, {"r1"}),
        ("r0 = insert(r1,#8,#8)", {"r0", "r1"}, {"r0"}),
        ("r0 = or(r3,and(r0,##32768))", {"r0", "r3"}, {"r0"}),
        ("vshuff(v1,v0,r2)", {"v0", "v1", "r2"}, {"v0", "v1"}),
        ("loop0(.LBB0_1,r5)", {"r5"}, {"lc0", "sa0"}),
    ],
)
def test_an_instruction_names_what_it_reads_and_writes(
    text: str, reads: set[str], writes: set[str]
) -> None:
    one = Instruction(text)
    assert one.reads == reads
    assert one.writes == writes
