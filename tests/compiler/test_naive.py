"""The unscheduled program, which tuned kernels are compared with, computes the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.device.simulated import qemu
from tests.operators import FEW
from tests.tuned import V68
from vrmpy_tune.compiler.kernel import build_kernel, run_kernel
from vrmpy_tune.compiler.naive import naive_inputs, naive_module, naive_output
from vrmpy_tune.errors import BuildError
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import Clip, parse_workload

pytestmark = pytest.mark.device

WORKLOADS = (
    "dense:m=3,n=5,k=7,lhs=i8,rhs=u8",
    "conv2d:n=2,h=5,w=6,ci=6,co=4,kh=3,kw=2,stride=2x1,pad=1x0x2x1,groups=2,lhs=u8,rhs=i8",
    "conv2d:n=1,h=7,w=7,ci=3,co=2,kh=3,kw=3,stride=1,pad=2,dilation=2,lhs=i8,rhs=i8,layout=nchw",
    "dense:m=3,n=5,k=7,lhs=i8,rhs=u8,bias=1,lzp=-7,rzp=200",
    "dense:m=3,n=5,k=7,lhs=u8,rhs=i8,out=i8,act=clip,residual=1",
    "conv2d:n=2,h=5,w=6,ci=6,co=4,kh=3,kw=2,stride=2x1,pad=1x0x2x1,groups=2,lhs=u8,rhs=i8,out=u8,"
    "bias=1,requant=channel,act=relu,lzp=3,rzp=-1",
    "conv2d:n=1,h=4,w=3,ci=3,co=2,kh=3,kw=3,stride=1,pad=1,lhs=i8,rhs=i8,layout=nchw,out=u8,"
    "bias=1,requant=channel,act=relu,residual=1,lzp=-5",
)


@pytest.fixture(scope="module")
def pool() -> Iterator[CodegenPool]:
    with CodegenPool(1) as opened:
        yield opened


@pytest.mark.parametrize("text", WORKLOADS + FEW)
def test_plain_loops_are_exact_on_every_input_set(text: str, pool: CodegenPool) -> None:
    workload = parse_workload(text)
    verifier = Verifier(workload)
    specs = naive_inputs(workload), naive_output(workload)
    kernel = build_kernel(naive_module(workload), *specs, V68, pool)
    inputs = tuple(one.operands for one in verifier.input_sets)
    measurement = run_kernel(kernel, inputs, verifier, qemu(), V68)
    assert measurement.value > workload.macs / 256
    assert measurement.inputs == ("random", "extremes", "largest")


def test_an_operator_without_plain_loops_is_an_error_and_no_empty_function() -> None:
    class Unheard(Clip):
        """An operator that nobody wrote loops for."""

    with pytest.raises(BuildError, match=r"no plain loops for the operator 'clip'.*naive_oper"):
        naive_module(Unheard((8,)))
