"""Copies of pixels that are no whole vectors, in every code generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.device.simulated import qemu
from tests.toolchain.generated import GENERATORS, V68, compiled
from vrmpy_tune.compiler.choice import fixed_schedule
from vrmpy_tune.device.protocol import Job, Limits
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from vrmpy_tune.toolchain.codegen import CodeGenerator

WORKLOAD = parse_workload(
    "depthwise_conv2d:n=1,h=2,w=65,c=129,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=u8,out=u8,"
    "requant=channel,act=relu,residual=1,lzp=129,rzp=129"
)


@pytest.mark.device
@pytest.mark.parametrize("generator", [GENERATORS[name] for name in ("zig", "packets")])
def test_no_pixel_overwrites_the_next(generator: CodeGenerator) -> None:
    """LLVM's software pipeliner moves stores past those of the next iteration."""
    space, schedule = fixed_schedule(WORKLOAD, V68)
    made = compiled(schedule.mod, generator)
    verifier = Verifier(WORKLOAD, ("random",))
    job = Job(made.object_file, "main", space.inputs(WORKLOAD), (space.output(WORKLOAD),))
    result = qemu().run(job, verifier.arguments(space), V68, Limits())
    assert verifier.difference(result) is None
