"""MetaSchedule's own defaults: what TVM's rules make, and that it is found out once."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import TINY
from tests.tuned import CONV, DENSE, V68
from vrmpy_tune.bench import bench_suite
from vrmpy_tune.bench.metaschedule import DefaultResult, metaschedule_default
from vrmpy_tune.bench.row import METASCHEDULE
from vrmpy_tune.bench.tvm_rules import why_not
from vrmpy_tune.device.open import open_device
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import parse_workload


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DENSE.replace("u8", "i8"), "TVM has no vrmpy for i8 x i8."),
        (f"{DENSE},lzp=3", "zero points of activations in the bias"),
        (f"{DENSE},bias=1,rzp=3", "weights have none"),
        (CONV + ",groups=4", "plain NHWC"),
        (CONV + ",layout=nchw", "plain NHWC"),
    ],
)
def test_what_tvms_rules_cannot_do_is_said(text: str, reason: str) -> None:
    fields = dict.fromkeys(text.partition(":")[2].split(","))
    said = why_not(parse_workload(f"{text.partition(':')[0]}:{','.join(fields)}"))
    assert said is not None
    assert reason in said
    assert why_not(parse_workload(DENSE)) is None


@pytest.mark.device
@pytest.mark.parametrize(
    "text",
    [
        "conv2d:n=1,h=7,w=9,ci=16,co=32,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8,lzp=114,out=u8,"
        "bias=1,requant=channel,act=clip",
        "conv2d:n=1,h=7,w=7,ci=8,co=64,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=i8,out=u8,bias=1,"
        "requant=tensor,act=relu,residual=1",
        "dense:m=3,n=32,k=64,lhs=u8,rhs=i8,bias=1,lzp=7",
        "max_pool2d:n=1,h=7,w=7,c=32,kh=3,kw=3,stride=2,pad=1,dtype=u8",
    ],
)
def test_the_program_of_tvms_rules_computes_the_workload(text: str) -> None:
    workload = parse_workload(text)
    with open_device("qemu") as device, CodegenPool(1) as pool:
        found = metaschedule_default(
            workload, V68, pool=pool, device=device, verifier=Verifier(workload),
            metric="qemu-packets/1", tvm_lock=threading.Lock(), candidates=3,
        )  # fmt: skip
    assert found.sampled == 3
    assert "wrong-result" not in found.outcomes
    assert found.outcomes["ok"] >= 1
    assert found.packets_total is not None
    assert found.packets_total > workload.packet_bound


def test_a_result_survives_the_store() -> None:
    result = DefaultResult(24, {"ok": 3, "build-error": 21}, 100, 50)
    assert DefaultResult.from_json(result.as_json()) == result


@pytest.mark.device
def test_candidates_of_tvms_rules_are_counted_verified_and_kept(tmp_path: Path) -> None:
    def run(*, find_out: bool) -> list[dict[str, Any]]:
        report = bench_suite(
            replace(TINY, members=TINY.members[:1]),
            target=V68,
            metric="qemu-packets/1",
            records=[str(tmp_path / "kept.db")],
            systems=(METASCHEDULE,),
            find_out=find_out,
            candidates=6,
        )
        return [row for row in report.as_json()["rows"] if row["system"] == METASCHEDULE]

    found = run(find_out=True)
    for row in found:
        assert row["candidates"]["sampled"] == sum(row["candidates"]["outcomes"].values()) == 6
        assert (row["packets_total"] is None) == ("ok" not in row["candidates"]["outcomes"])
        assert row["verified"] is (True if row["packets_total"] else None)
        assert row["cached"] is False
    assert any(row["verified"] for row in found)
    assert run(find_out=False) == [{**row, "cached": True} for row in found]
