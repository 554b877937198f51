"""MetaSchedule's own defaults: what TVM's rules make, and that it is found out once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import TINY
from tests.tuned import CONV, DENSE, V68
from vrmpy_tune.bench import bench_suite
from vrmpy_tune.bench.metaschedule import DefaultResult
from vrmpy_tune.bench.row import METASCHEDULE
from vrmpy_tune.bench.tvm_rules import why_not
from vrmpy_tune.workload import parse_workload


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DENSE.replace("u8", "i8"), "TVM has no vrmpy for i8 x i8."),
        (f"{DENSE},out=u8", "end at int32 sums"),
        (f"{DENSE},lzp=3", "no bias, zero points"),
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


def test_a_result_survives_the_store() -> None:
    result = DefaultResult(24, {"ok": 3, "build-error": 21}, 100, 50)
    assert DefaultResult.from_json(result.as_json()) == result


@pytest.mark.device
def test_candidates_of_tvms_rules_are_counted_verified_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vrmpy_tune.bench.metaschedule.CANDIDATES", 6)

    def run(*, find_out: bool) -> list[dict[str, Any]]:
        report = bench_suite(
            replace(TINY, members=TINY.members[:1]),
            target=V68,
            metric="qemu-packets/1",
            records=[str(tmp_path / "kept.db")],
            systems=(METASCHEDULE,),
            find_out=find_out,
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
