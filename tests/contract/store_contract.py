"""What every record store must do; subclass and supply the fixture, and pytest runs the suite."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import pytest

from tests.records.samples import CONV, DENSE, SPACE, V68, failure, imported, record
from vrmpy_tune.errors import UsageError
from vrmpy_tune.measurement import QEMU_CRITICAL, QEMU_PACKETS
from vrmpy_tune.records import Failure, FinishedRun, Record, RecordReader, Store, StoreView

ReaderOf = Callable[[Iterable[Record], Iterable[Failure]], RecordReader]


class ReaderContract:
    """For everything that holds records.  Needs a fixture ``reader_of(records, failures)``."""

    def test_an_empty_store_answers_every_question(self, reader_of: ReaderOf) -> None:
        reader = reader_of([], [])
        assert reader.count() == 0
        assert reader.workloads() == []
        assert reader.query() == []
        assert reader.failures() == []
        assert reader.imported() == []
        assert reader.best(DENSE, V68, QEMU_PACKETS) is None
        assert reader.find(record().identity) is None
        assert reader.get("0" * 64) is None
        assert reader.finished_run("0" * 64) is None
        assert reader.finished_runs() == []

    def test_what_comes_out_equals_what_went_in(self, reader_of: ReaderOf) -> None:
        kept, failed = record(1), failure(2)
        reader = reader_of([kept], [failed])
        assert reader.query() == [kept]
        assert reader.failures() == [failed]
        assert reader.get(kept.id) == kept
        assert reader.get_failure(failed.id) == failed

    def test_a_record_is_found_by_the_start_of_its_id(self, reader_of: ReaderOf) -> None:
        kept = record()
        assert reader_of([kept], []).get(kept.short_id) == kept

    @pytest.mark.parametrize("text", ["", "abc", "%", "______", "xyzxyz", "a" * 65, "'; --"])
    def test_what_is_no_id_is_refused(self, reader_of: ReaderOf, text: str) -> None:
        with pytest.raises(UsageError, match="no record id"):
            reader_of([record()], []).get(text)

    def test_a_candidate_is_found_as_record_before_failure(self, reader_of: ReaderOf) -> None:
        kept, failed = record(1), failure(2)
        reader = reader_of([kept], [failure(1), failed])
        assert reader.find(kept.identity) == kept
        assert reader.find(failed.identity) == failed

    def test_the_best_has_the_lowest_figure(self, reader_of: ReaderOf) -> None:
        records = [record(i, total=total) for i, total in enumerate([900, 100, 500])]
        assert reader_of(records, []).best(DENSE, V68, QEMU_PACKETS) == records[1]

    def test_of_equal_figures_the_lowest_id_is_best(self, reader_of: ReaderOf) -> None:
        records = [record(i, total=100) for i in range(8)]
        best = reader_of(records, []).best(DENSE, V68, QEMU_PACKETS)
        assert best == min(records, key=lambda r: r.id)

    def test_of_equal_figures_fewer_packets_in_all_are_better(self, reader_of: ReaderOf) -> None:
        records = [
            record(i, metric=QEMU_CRITICAL, total=total, critical=100)
            for i, total in enumerate([400, 300, 350, 300])
        ]
        reader = reader_of(records, [])
        ranked = [records[1], records[3], records[2], records[0]]
        if records[3].id < records[1].id:
            ranked[:2] = reversed(ranked[:2])
        assert reader.query(DENSE, V68, QEMU_CRITICAL) == ranked
        assert reader.best(DENSE, V68, QEMU_CRITICAL) == ranked[0]

    def test_metrics_and_targets_are_never_ranked_together(self, reader_of: ReaderOf) -> None:
        total = record(1, total=1000, critical=10)
        critical = record(1, metric=QEMU_CRITICAL, total=500, critical=400)
        elsewhere = record(1, target="hexagon-v73", total=1)
        reader = reader_of([total, critical, elsewhere], [])
        assert reader.best(DENSE, V68, QEMU_PACKETS) == total
        assert reader.best(DENSE, V68, QEMU_CRITICAL) == critical

    def test_a_query_selects_sorts_and_limits(self, reader_of: ReaderOf) -> None:
        records = [record(i, total=1000 - i) for i in range(4)]
        records += [record(9, CONV), record(9, space="dense.pair/2", total=5000)]
        reader = reader_of(records, [])
        assert reader.query() == sorted(records, key=lambda r: r.sort_key)
        assert reader.query(workload=CONV) == [records[4]]
        assert reader.query(space="dense.pair/2") == [records[5]]
        assert reader.query(DENSE, V68, QEMU_PACKETS, SPACE, limit=2) == [records[3], records[2]]
        assert reader.query(target="hexagon-v66") == []
        assert reader.workloads() == [CONV, DENSE]
        assert reader.count() == 6

    def test_failures_are_selected_by_workload(self, reader_of: ReaderOf) -> None:
        failed = [failure(1), failure(2, CONV)]
        reader = reader_of([], failed)
        assert reader.failures(CONV) == [failed[1]]
        assert reader.failures() == sorted(failed, key=lambda f: f.id)

    def test_a_reader_is_a_context_manager_that_may_be_closed_twice(
        self, reader_of: ReaderOf
    ) -> None:
        with reader_of([record()], []) as reader:
            assert isinstance(reader, RecordReader)
        reader.close()


class StoreContract(ReaderContract):
    """For everything that can be written.  Needs a fixture ``new_store()``: an empty store."""

    @pytest.fixture
    def store(self, new_store: Callable[[], Store]) -> Store:
        return new_store()

    @pytest.fixture
    def reader_of(self, store: Store) -> ReaderOf:
        def fill(records: Iterable[Record], failures: Iterable[Failure]) -> RecordReader:
            store.add_many(records)
            for failed in failures:
                store.add_failure(failed)
            return store

        return fill

    def test_it_is_a_store(self, store: Store) -> None:
        assert isinstance(store, Store)

    def test_adding_twice_keeps_one_and_says_so(self, store: Store) -> None:
        assert store.add(record())
        assert not store.add(record())
        assert store.add_failure(failure(2))
        assert not store.add_failure(failure(2))
        assert store.count() == len(store.failures()) == 1

    def test_a_later_measurement_of_the_same_candidate_replaces_the_earlier(
        self, store: Store
    ) -> None:
        store.add(record(total=1000, toolchain={"zig": "1"}))
        again = record(total=900, toolchain={"zig": "2"})
        assert not store.add(again)
        assert store.query() == [again]

    def test_many_are_added_together_and_counted(self, store: Store) -> None:
        store.add(record(0, total=7))
        assert store.add_many((record(i) for i in range(5)), replace=False) == 4
        assert store.best(DENSE, V68, QEMU_PACKETS) == record(0, total=7)

    def test_the_largest_figures_survive(self, store: Store) -> None:
        huge = record(total=(1 << 61) - 1)
        store.add(huge)
        assert store.query() == [huge]

    def test_merging_adds_what_lacks_and_overwrites_nothing(
        self, store: Store, new_store: Callable[[], Store]
    ) -> None:
        other = new_store()
        store.add(record(1, total=50))
        other.add_many([record(1, total=60), record(2)])
        other.add_failure(failure(3))
        other.add_imported([imported(2), imported(4)])
        other.finish_run(FinishedRun("0" * 64, None, {}))
        assert store.merge_from(other) == 1
        assert store.merge_from(other) == 0
        assert [r.value for r in store.query()] == [50, 1000]
        assert store.failures() == [failure(3)]
        assert store.imported() == [imported(4)]
        assert store.finished_runs() == [FinishedRun("0" * 64, None, {})]

    def test_merging_either_way_yields_the_same_identities(
        self, new_store: Callable[[], Store]
    ) -> None:
        parts = ([record(i) for i in range(3)], [record(i) for i in range(2, 6)])
        ids = []
        for first, second in (parts, parts[::-1]):
            target, source = new_store(), new_store()
            target.add_many(first)
            source.add_many(second)
            target.merge_from(source)
            ids.append([r.id for r in target.query()])
        assert ids[0] == ids[1]

    def test_pruning_keeps_the_best_of_every_group(self, store: Store) -> None:
        for i in range(5):
            store.add(record(i, total=100 + i))
            store.add(record(i, metric=QEMU_CRITICAL, total=100 + i))
            store.add(record(i, CONV, total=100 + i))
        assert store.prune(2) == 9
        assert [r.value for r in store.query(DENSE, V68, QEMU_PACKETS)] == [100, 101]
        assert [r.value for r in store.query(CONV)] == [100, 101]
        assert store.prune(2) == 0

    def test_pruning_keeps_fewer_packets_of_equal_figures(self, store: Store) -> None:
        records = [record(i, metric=QEMU_CRITICAL, total=400 - i, critical=100) for i in range(3)]
        store.add_many(records)
        assert store.prune(1) == 2
        assert store.query() == [records[2]]

    def test_pruning_all_is_refused(self, store: Store) -> None:
        store.add(record())
        with pytest.raises(UsageError, match="at least 1"):
            store.prune(0)
        assert store.count() == 1

    def test_a_finished_run_answers_again_and_a_later_one_replaces_it(self, store: Store) -> None:
        key = FinishedRun.key_of(
            workload=DENSE,
            target=V68,
            metric=QEMU_PACKETS,
            spaces=[SPACE],
            seed=0,
            trials=128,
            options={"effort": "quick"},
        )
        store.finish_run(FinishedRun(key, None, {"trials": 1}))
        run = FinishedRun(key, record().id, {"trials": 128, "best": [1, None, 0.5]})
        store.finish_run(run)
        assert store.finished_run(key) == run
        assert store.finished_run("f" * 64) is None

    def test_an_imported_trace_is_settled_by_its_measurement(self, store: Store) -> None:
        assert store.add_imported([imported(1), imported(2), imported(2)]) == 2
        assert store.count() == 0
        assert store.best(DENSE, V68, QEMU_PACKETS) is None
        store.add(record(1))
        assert store.imported() == [imported(2)]
        assert store.add_imported([imported(1)]) == 0
        assert store.imported(CONV) == []

    def test_threads_share_one_store(self, store: Store) -> None:
        errors: list[BaseException] = []

        def write(worker: int) -> None:
            try:
                for i in range(10):
                    store.add(record(100 * worker + i))
                    store.best(DENSE, V68, QEMU_PACKETS)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert store.count() == 80

    def test_a_view_prefers_the_better_record_then_the_earlier_store(
        self, new_store: Callable[[], Store]
    ) -> None:
        first, second = new_store(), new_store()
        first.add_many([record(1, total=50), record(2, total=40)])
        second.add_many([record(1, total=60), record(3, total=30)])
        view = StoreView([first, second])
        assert view.best(DENSE, V68, QEMU_PACKETS) == record(3, total=30)
        assert view.get(record(1).id) == record(1, total=50)
        assert [r.value for r in view.query()] == [30, 40, 50]
        assert view.count() == 3
