from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.records.samples import failure
from tests.tuned import CONV, DENSE, falsified, records, stale, tuned_store
from vrmpy_tune import reverify
from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.measurement import figure_text
from vrmpy_tune.records import JsonLinesStore, Record, export_json_lines, open_store
from vrmpy_tune.records.record import UNKNOWN_GENERATOR
from vrmpy_tune.restamp import is_stamped, restamp
from vrmpy_tune.reverify import Reverifier, Verdict
from vrmpy_tune.toolchain.codegen import provenance


@pytest.fixture(scope="module")
def again() -> Iterator[Reverifier]:
    with Reverifier("qemu") as opened:
        yield opened


def shown(record: Record) -> str:
    return figure_text(record.value, record.metric)


def old(record: Record, packets: int | None = None) -> Record:
    """Return a record as schema 1 left it, with another figure if asked."""
    changed = replace(record, generator=UNKNOWN_GENERATOR, toolchain={"tvm": "0.26"})
    return changed if packets is None else falsified(changed, packets)


def test_a_record_holds_only_if_its_figure_is_the_same(again: Reverifier) -> None:
    best, worst = records(DENSE)[0], records(DENSE)[-1]
    chosen = [
        best,
        replace(worst, toolchain={**worst.toolchain, "qemu": "10.0.2"}),
        falsified(records(CONV)[0], 7),
        old(records(CONV)[-1], 7),
        stale(best),
        replace(best, identity=replace(best.identity, workload="dense:m=8")),
        replace(best, identity=replace(best.identity, target="hexagon-v75")),
    ]
    found = {finding.record: finding for finding in again.findings(chosen)}
    assert set(found) == set(chosen)
    verdicts = [found[record].verdict for record in chosen]
    assert verdicts == [
        Verdict.HOLDS, Verdict.HOLDS, Verdict.OTHER_FIGURE, Verdict.OTHER_FIGURE,
        Verdict.FAILS, Verdict.FAILS, Verdict.FAILS,
    ]  # fmt: skip
    said = [found[record].message for record in chosen]
    assert said[0] == f"{shown(best)}, as stored; the output is right."
    assert "another one: qemu 10.0.2, here 7" in said[1]
    assert f"{shown(records(CONV)[0])} instead of {shown(chosen[2])} (the code is" in said[2]
    assert "toolchain: lowering" in said[3]
    assert f"packets unknown, here {provenance()['packets']}" in said[3]
    assert "tvm 0.26, here" in said[3]
    assert "no longer replays" in said[4]
    assert "cannot run hexagon-v75" in said[6]
    assert found[best].measured == replace(best, fixed_rule=None)


def test_records_that_differ_in_their_metric_alone_are_run_once(
    again: Reverifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    run = again._device.run
    monkeypatch.setattr(again._device, "run", lambda *given: runs.append(given) or run(*given))
    best = records(DENSE)[0]
    found = list(again.findings([best, best.under("qemu-packets/1")]))
    assert [one.verdict for one in found] == [Verdict.HOLDS] * 2
    assert len(runs) == 1


def test_files_are_stamped_where_they_are_and_an_interruption_costs_little(
    again: Reverifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = records(CONV)[0]
    first, second = tmp_path / "v68" / "a.jsonl", tmp_path / "v68" / "b.jsonl"
    first.parent.mkdir()
    export_json_lines([old(one) for one in records(DENSE)], first, [failure(1)])
    export_json_lines([old(wrong, 7), stale(old(records(CONV)[-1]))], second)
    stored = JsonLinesStore(tmp_path).query()
    assert not any(is_stamped(one, again.toolchain) for one in stored)

    monkeypatch.setattr("vrmpy_tune.restamp.BATCH", 2)
    for finding in restamp(str(tmp_path), stored, again):
        assert finding.verdict is Verdict.HOLDS
        break
    with_one = JsonLinesStore(tmp_path).query()
    due = [one for one in with_one if not is_stamped(one, again.toolchain)]
    assert len(due) == len(stored) - 1

    found = list(restamp(str(tmp_path), due, again))
    assert len(found) == len(due)
    after = {one.id: one for one in JsonLinesStore(tmp_path).query()}
    assert len(after) == len(stored)
    assert JsonLinesStore(first).failures() == [failure(1)]
    left = [one for one in after.values() if not is_stamped(one, again.toolchain)]
    assert [one.verdict for one in found if one.measured is None] == [Verdict.FAILS]
    assert [one.id for one in left] == [one.record.id for one in found if one.measured is None]
    for kept in (*records(DENSE), wrong):
        made = after[kept.id]
        assert replace(made, fixed_rule=kept.fixed_rule) == kept
        assert made.fixed_rule is not None
        assert made.fixed_rule.packets_critical <= made.fixed_rule.packets_total


def test_a_database_is_stamped_where_it_is(again: Reverifier, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    shutil.copy(tuned_store(), path)
    kept = records(DENSE)[0]
    with open_store(path) as store:
        store.add(old(kept, 7))
        (finding,) = restamp(str(path), [old(kept, 7)], again)
    assert finding.verdict is Verdict.OTHER_FIGURE
    with open_store(path, readonly=True) as reader:
        made = reader.get(kept.id)
    assert made is not None
    assert is_stamped(made, again.toolchain)
    assert made.value == kept.value


def test_a_file_with_a_bad_line_is_left_as_it_is(again: Reverifier, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    export_json_lines([old(records(DENSE)[0])], path)
    path.write_text(path.read_text() + "nonsense\n")
    before = path.read_bytes()
    with pytest.raises(RecordFormatError, match=r"a\.jsonl:2: .*Nothing of the file was changed"):
        list(restamp(str(path), JsonLinesStore(path).query(), again))
    assert path.read_bytes() == before


def test_a_fixed_rule_that_does_not_build_leaves_the_record_without_one(
    again: Reverifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise reverify.BuildError("It does not build.")

    monkeypatch.setattr("vrmpy_tune.compiler.fixed_rule.build_kernel", fails)
    (finding,) = again.findings([records(DENSE)[0]], fixed_rules=True)
    assert finding.verdict is Verdict.HOLDS
    assert finding.measured is not None
    assert finding.measured.fixed_rule is None
