"""FAULTS.md, the store's rows: 1 killed, 2 damaged, 3 many writers, 15 hostile, 17 skewed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from tests.postgres import PostgresServer
from tests.records.samples import (
    CONV,
    DENSE,
    SPACE,
    TOOLCHAIN,
    V68,
    failure,
    imported,
    measurement,
    record,
)
from vrmpy_tune.cli.application import run as command
from vrmpy_tune.errors import RecordFormatError, StoreError
from vrmpy_tune.measurement import QEMU_CRITICAL, QEMU_PACKETS
from vrmpy_tune.records import (
    Failure,
    FinishedRun,
    JsonLinesStore,
    Record,
    SqlStore,
    import_json_lines,
    open_store,
)
from vrmpy_tune.records.jsonlines import LineProblem, encode_line, read_json_lines
from vrmpy_tune.records.resolution import Resolution, Status
from vrmpy_tune.records.resolver import Resolver
from vrmpy_tune.records.sql_rows import checksum
from vrmpy_tune.target import TARGETS
from vrmpy_tune.workload import parse_workload

pytestmark = pytest.mark.fault

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY / "tests" / "records" / "data"
SECONDS = 5.0
"""Within which FAULTS.md wants a damaged store reported."""
FUZZ_SECONDS = float(os.environ.get("VRMPY_FUZZ_SECONDS", "10"))

# Row 1


def _write_until_killed(path: Path, first: int, reported: int) -> None:
    """Add records for ever, and report each id once `add` has returned."""
    store = SqlStore(f"sqlite:///{path}")
    for choice in range(first, first + 100_000):
        added = record(choice)
        store.add(added)
        os.write(reported, added.id.encode())


def test_every_record_reported_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    chance = random.Random(0)
    total = 0
    for run in range(50):
        # Every fifth run starts a new store, so that kills also fall into its creation.
        path = tmp_path / f"{run // 5}.db"
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(reader)
                _write_until_killed(path, 1_000_000 * run, writer)
            finally:
                os._exit(1)
        os.close(writer)
        time.sleep(chance.uniform(0.0, 0.12))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        with os.fdopen(reader, "rb") as pipe:
            text = pipe.read().decode()
        ids = [text[i : i + 64] for i in range(0, len(text) // 64 * 64, 64)]
        with SqlStore(f"sqlite:///{path}") as store:
            kept = {kept.id for kept in store.query()}
        missing = [i for i in ids if i not in kept]
        assert not missing
        total += len(ids)
    assert total > 50
    print(f"\nrow 1: 50 kills, {total} records reported, 0 missing")


# Row 2


def _run(script: str, *arguments: object, prefix: tuple[str, ...] = ()) -> tuple[int, str, float]:
    """Run a script as a command would: print an error's message and exit with its code."""
    body = "\n".join(f"    {line}" for line in script.splitlines())
    program = f"""
import resource, signal, sys
from tests.records.samples import record
from vrmpy_tune.errors import VrmpyTuneError
from vrmpy_tune.records import open_store
try:
{body}
except VrmpyTuneError as error:
    print(error)
    sys.exit(error.exit_code)
"""
    start = time.monotonic()
    done = subprocess.run(
        [*prefix, sys.executable, "-c", program, *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, time.monotonic() - start


_FILL = """
store = open_store(sys.argv[1])
for choice in range(100_000):
    store.add(record(choice))
"""


def _assert_refused(code: int, said: str, seconds: float, path: Path) -> None:
    assert code == StoreError.exit_code, said
    assert str(path) in said
    assert "Traceback" not in said
    assert seconds < SECONDS


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    path = tmp_path / "filled.db"
    with SqlStore(f"sqlite:///{path}") as store:
        store.add_many(record(choice) for choice in range(200))
    return path


def test_a_truncated_store_is_refused_and_named(filled: Path) -> None:
    size = filled.stat().st_size
    slowest = 0.0
    lengths = [50, 4096, *(size * tenth // 10 for tenth in range(1, 10)), size - 1]
    for length in lengths:
        cut = filled.with_name(f"cut-{length}.db")
        cut.write_bytes(filled.read_bytes()[:length])
        start = time.monotonic()
        with pytest.raises(StoreError, match=str(cut)):
            SqlStore(f"sqlite:///{cut}").query()
        slowest = max(slowest, time.monotonic() - start)
        assert cut.stat().st_size == length, "the evidence must stay as it was"
    assert slowest < SECONDS
    print(f"\nrow 2: {len(lengths)} truncations refused, the slowest in {slowest:.3f} s")


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("shopping list\n" * 100)
    foreign = tmp_path / "foreign.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.commit()
    connection.close()
    for path in (text, foreign):
        before = path.read_bytes()
        with pytest.raises(StoreError, match=f"{path} is .*not a record store"):
            open_store(path)
        assert path.read_bytes() == before


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
def test_a_full_file_system_is_named_and_what_was_stored_stays(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    check = "; ".join(
        (
            "import sqlite3, sys",
            "c = sqlite3.connect(sys.argv[1])",
            "print('kept', c.execute('SELECT count(*) FROM vrmpy_records').fetchone()[0],"
            " c.execute('PRAGMA integrity_check').fetchone()[0])",
        )
    )
    # The mount lives in a namespace of its own, and dies with the shell.
    shell = (
        f'mount -t tmpfs -o size=600k none {mount} || exit 77; shift; "$@"; code=$?; '
        f'{sys.executable} -c "{check}" {mount}/a.db; exit $code'
    )
    prefix = ("unshare", "--mount", *root, "sh", "-c", shell, "sh", "run")
    code, said, seconds = _run(_FILL, mount / "a.db", prefix=prefix)
    if code == 77 or "unshare failed" in said:
        pytest.skip(f"no mounts here: {said}")
    _assert_refused(code, said, seconds, mount / "a.db")
    assert "full" in said
    kept = int(said.split("kept ")[1].split()[0])
    assert kept > 0
    assert said.rstrip().endswith("ok")
    print(f"\nrow 2: full disk reported in {seconds:.1f} s, {kept} records kept, integrity ok")


def test_a_write_that_the_system_refuses_keeps_what_was_stored(filled: Path) -> None:
    script = f"""
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({filled.stat().st_size + 20_000},) * 2)
store = open_store(sys.argv[1])
for choice in range(1000, 100_000):
    store.add(record(choice))
"""
    code, said, seconds = _run(script, filled)
    _assert_refused(code, said, seconds, filled)
    with SqlStore(f"sqlite:///{filled}") as store:
        assert store.count() >= 200
        assert len(store.query()) == store.count()


@pytest.mark.parametrize("existing", [True, False])
def test_a_read_only_directory_is_named(filled: Path, existing: bool) -> None:
    path = filled if existing else filled.with_name("new.db")
    # Root may write anywhere unless it gives up the right to.
    prefix = (
        ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    )
    if prefix and not shutil.which("setpriv"):
        pytest.skip("needs setpriv when run by root")
    filled.chmod(0o444)
    filled.parent.chmod(0o555)
    try:
        outcome = _run("open_store(sys.argv[1]).add(record(9999))", path, prefix=prefix)
        _assert_refused(*outcome, path)
        if existing:
            script = "print('read', open_store(sys.argv[1], readonly=True).count())"
            code, said, _ = _run(script, path, prefix=prefix)
            assert code == 0, said
            assert "read 200" in said
    finally:
        filled.parent.chmod(0o755)
    print(f"\nrow 2: read-only directory reported in {outcome[2]:.1f} s")


def test_a_store_locked_by_another_process_is_reported_in_time(filled: Path) -> None:
    locker = sqlite3.connect(filled, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    with SqlStore(f"sqlite:///{filled}") as store:
        start = time.monotonic()
        with pytest.raises(StoreError, match=r"filled\.db is locked"):
            store.add(record(9999))
        seconds = time.monotonic() - start
        assert store.count() == 200
        locker.execute("ROLLBACK")
        assert store.add(record(9999))
    locker.close()
    assert seconds < SECONDS
    print(f"\nrow 2: lock reported in {seconds:.1f} s")


def test_a_damaged_row_costs_no_other(filled: Path, caplog: pytest.LogCaptureFixture) -> None:
    connection = sqlite3.connect(filled)
    best = connection.execute("SELECT id FROM vrmpy_records ORDER BY value, id").fetchone()[0]
    damage = "UPDATE vrmpy_records SET body = replace(body, '1000', '10') WHERE id = ?"
    connection.execute(damage, (best,))
    connection.commit()
    connection.close()
    with SqlStore(f"sqlite:///{filled}") as store:
        assert len(store.query()) == 199
        found = store.best(DENSE, V68, QEMU_PACKETS)
        assert found is not None
        assert found.value == 1000
    assert best[:16] in caplog.text


@pytest.mark.parametrize(
    ("column", "altered"),
    [
        ("value", 1),
        ("packets_total", 1),
        ("workload", CONV),
        ("target", "hexagon-v73"),
        ("metric", QEMU_CRITICAL),
        ("space", "dense.pair/9"),
        ("toolchain", "0" * 16),
        ("checksum", "0" * 64),
    ],
)
@pytest.mark.parametrize("sealed", [False, True])
def test_a_row_with_an_altered_column_is_skipped_by_its_checksum_and_by_its_body(
    filled: Path, column: str, altered: object, sealed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if sealed and column in ("checksum", "toolchain"):
        return
    connection = sqlite3.connect(filled)
    connection.row_factory = sqlite3.Row
    row = dict(connection.execute("SELECT * FROM vrmpy_records ORDER BY id DESC").fetchone())
    row[column] = altered
    if sealed:  # by somebody who knows how
        row["checksum"] = checksum(row)
    change = f"UPDATE vrmpy_records SET {column} = ?, checksum = ? WHERE id = ?"
    connection.execute(change, (altered, row["checksum"], row["id"]))
    connection.commit()
    connection.close()
    merged = filled.with_name("merged.db")
    with SqlStore(f"sqlite:///{filled}") as store, SqlStore(f"sqlite:///{merged}") as other:
        assert len(store.query()) == 199
        found = store.best(DENSE, V68, QEMU_PACKETS)
        assert found is not None
        assert (found.value, found.workload) == (1000, DENSE)
        assert other.merge_from(store) == 199
    assert row["id"][:16] in caplog.text


# Row 3


def _write_200(url: str, worker: int) -> None:
    with SqlStore(url) as store:
        for choice in range(200):
            store.add(record(1000 * worker + choice, f"dense:m={worker + 1},n=64,k=64"))


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_schema("shared")


def test_ten_processes_write_200_records_each_and_all_are_right(shared_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    start = time.monotonic()
    writers = [
        context.Process(target=_write_200, args=(shared_url, worker)) for worker in range(10)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    seconds = time.monotonic() - start
    assert [writer.exitcode for writer in writers] == [0] * 10
    with SqlStore(shared_url) as store:
        found = store.query()
    assert len({kept.id for kept in found}) == 2000
    for kept in found:
        choice = json.loads(kept.trace)[1][0][1][0]
        assert kept.workload == f"dense:m={choice // 1000 + 1},n=64,k=64"
    kind, right = shared_url.partition(":")[0], len(found)
    print(
        f"\nrow 3: {kind}, 10 processes, {right} distinct records, 0 misattached, {seconds:.1f} s"
    )


# Row 15


def _hostile() -> dict[str, bytes]:
    good = json.loads(encode_line(record()))
    failed = json.loads(encode_line(failure()))

    def line(**changes: object) -> bytes:
        return json.dumps(good | changes).encode()

    return {
        "path traversal in the artifact": line(artifact="../../etc/passwd"),
        "path traversal in the target": line(target="../../hexagon-v68"),
        "path traversal in the workload": line(workload="dense:m=../../x"),
        "code in the workload": line(workload="__import__('os').system('true')"),
        "code in the space": line(space="eval(open('x').read())"),
        "markup in the device": line(device="\x1b]0;owned\x07"),
        "a pickle": b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x8c\x06system.",
        "an integer of 5,000 digits": line(packets_total=1).replace(b": 1,", b": " + b"9" * 5000),
        "an integer beyond 64 bits": line(packets_total=1 << 63),
        "a float beyond the range": line().replace(b"1000", b"1e999"),
        "a float for an integer": line(packets_total=1.5),
        "no packets": line(packets_total=0),
        "negative packets": line(packets_critical=-5),
        "a truth value for an integer": line(packets_total=True),
        "not a number": line(packets_total=float("nan")),
        "deep lists": b"[" * 100_000 + b"]" * 100_000,
        "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "a deep trace": line(trace=1).replace(b": 1}", b": " + b"[" * 90 + b"]" * 90 + b"}"),
        "a trace that is not one": line(trace={"exec": "rm"}),
        "too many contexts": line(context_packets=[1] * 100),
        "a long line": line(device="x" * (5 << 20)),
        "a field twice": line()[:-1] + b', "device": "other"}',
        "an unknown field": line(__class__="os.system"),
        "a missing field": json.dumps({k: v for k, v in good.items() if k != "seed"}).encode(),
        "an altered trace": line(trace=[[], [[0, [8, 8]]]]),
        "an unknown metric": line(metric="qemu-packets/2"),
        "NUL": line(device="a\x00b"),
        "an unpaired surrogate": line(structural_hash="\ud800"),
        "another encoding": json.dumps(good).encode("utf-16"),
        "no object": b'"record"',
        "an unremembered failure": json.dumps(failed | {"outcome": "device-lost"}).encode(),
        "escapes in a message": json.dumps(failed | {"message": "\x1b[2J"}).encode(),
    }


@pytest.mark.parametrize("name", _hostile())
def test_a_hostile_line_is_reported_and_the_rest_imported(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.jsonl"
    first, last = encode_line(record(1)).encode(), encode_line(record(2)).encode()
    path.write_bytes(b"\n".join((first, _hostile()[name].replace(b"\n", b""), last)))
    with SqlStore(f"sqlite:///{tmp_path / 'a.db'}") as store:
        start = time.monotonic()
        report = import_json_lines(store, path)
        assert time.monotonic() - start < SECONDS
        assert (report.added, report.bad_lines) == (2, 1)
        assert str(report.problems[0]).startswith(f"{path}:2: ")
        assert len(str(report.problems[0])) < 500
        assert str(report.problems[0]).isprintable()
        with pytest.raises(RecordFormatError, match="Nothing was imported"):
            import_json_lines(store, path, strict=True)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=20,
)
_items: st.SearchStrategy[Record | Failure] = st.sampled_from(
    [record(1), record(2, total=5), failure(1)]
)


@st.composite
def _altered_fields(draw: st.DrawFn) -> bytes:
    fields = json.loads(encode_line(draw(_items)))
    for _ in range(draw(st.integers(1, 3))):
        fields[draw(st.sampled_from(sorted(fields)) | st.text(max_size=9))] = draw(_json)
    return json.dumps(fields).encode("utf-8", "surrogatepass")


@st.composite
def _altered_bytes(draw: st.DrawFn) -> bytes:
    text = bytearray(encode_line(draw(_items)).encode())
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        text[start : start + draw(st.integers(0, 30))] = draw(st.binary(max_size=30))
    return bytes(text)


_lines = st.lists(_altered_fields() | _altered_bytes() | st.binary(max_size=200), max_size=4)


@pytest.mark.timeout(FUZZ_SECONDS + 120)
def test_no_bytes_crash_the_reader_or_yield_an_unsound_record(tmp_path: Path) -> None:
    path = tmp_path / "fuzz.jsonl"
    tried = accepted = refused = 0

    def check(lines: list[bytes]) -> None:
        nonlocal tried, accepted, refused
        path.write_bytes(b"\n".join(lines))
        tried += 1
        for item in read_json_lines(path):
            if isinstance(item, LineProblem):
                refused += 1
                assert str(item.reason).isprintable()
            else:
                accepted += 1
                assert isinstance(item, (Record, Failure))
                assert type(item).from_json(json.loads(encode_line(item))) == item

    deadline = time.monotonic() + FUZZ_SECONDS
    for number in range(1_000_000):
        run = settings(
            max_examples=200,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )(given(_lines)(check))
        seed(number)(run)()
        if time.monotonic() > deadline:
            break
    print(
        f"\nrow 15: {FUZZ_SECONDS:.0f} s, {tried} files, {refused} lines refused, "
        f"{accepted} accepted, 0 crashes"
    )


def test_what_is_no_record_file_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_bytes(b"\x00\xff" * 100)
    for path in (pipe, nothing, tmp_path / "missing.jsonl", Path("/dev/zero")):
        with pytest.raises(RecordFormatError, match=str(path)):
            JsonLinesStore(path)


# Row 17


@pytest.fixture
def version_0(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "v0.db"
    shutil.copy(DATA / "v0.db", path)
    yield path


def test_a_store_of_version_0_migrates(version_0: Path) -> None:
    with SqlStore(f"sqlite:///{version_0}") as store:
        migrated = store.query()
    with SqlStore(f"sqlite:///{version_0}", readonly=True) as store:
        assert store.query() == migrated
    assert len(migrated) == 3
    assert all(r.counts.packets_critical == r.counts.packets_total for r in migrated)
    assert migrated == JsonLinesStore(DATA / "v0.jsonl").query()
    print(f"\nrow 17: {len(migrated)} records of schema 0 migrated, database and JSON Lines")


@pytest.fixture(params=["sqlite", "postgresql"])
def version_1(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of the frozen store of version 1; a copy of its rows, on PostgreSQL."""
    path = tmp_path / "v1.db"
    shutil.copy(DATA / "v1.db", path)
    if request.param == "sqlite":
        return f"sqlite:///{path}"
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_schema("version_1")
    with closing(sqlite3.connect(path)) as source:
        made = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC"
        tables = [row[0] for row in source.execute(made)]
        engine = create_engine(url)
        with engine.begin() as target:
            for statement in tables:
                target.exec_driver_sql(statement)
            for name in ("schema", "records", "failures", "imported", "finished_runs"):
                rows = source.execute(f"SELECT * FROM vrmpy_{name}").fetchall()
                marks = ", ".join(["%s"] * len(rows[0]))
                target.exec_driver_sql(f"INSERT INTO vrmpy_{name} VALUES ({marks})", rows)
        engine.dispose()
    return url


def test_a_store_of_version_1_migrates(version_1: str) -> None:
    with pytest.raises(StoreError, match="old schema 1"):
        SqlStore(version_1, readonly=True)
    assert command(["records", "upgrade", "--records", version_1]) == 0
    with SqlStore(version_1) as store:
        migrated = store.query()
    with SqlStore(version_1, readonly=True) as store:
        assert store.query() == migrated
        assert [one.value for one in migrated] == [1000, 600, 300, 800, 900]
        # Their ids in the frozen store: traces of samples have changed since.
        assert [one.id[:16] for one in store.failures()] == ["0c79ed5703d4f7fd"]
        assert [one.id[:16] for one in store.imported()] == ["7595aa902fb16030"]
        assert store.imported()[0].claimed == imported(7).claimed
        assert store.finished_runs() == [FinishedRun("0" * 64, migrated[3].id, {"trials": 1})]
    with SqlStore(version_1) as store:
        assert not store.add(migrated[0])
        assert store.prune(1) == 1
        assert len(store.query()) == 4


def test_damaged_rows_of_version_1_cost_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "v1.db"
    shutil.copy(DATA / "v1.db", path)
    with closing(sqlite3.connect(path)) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM vrmpy_records ORDER BY id")]
        change = "UPDATE vrmpy_records SET {} WHERE id = ?"
        connection.execute(change.format("body = replace(body, 'zig', 'zag')"), (ids[0],))
        connection.execute(change.format("value = 1"), (ids[1],))
        connection.commit()
    with SqlStore(f"sqlite:///{path}") as store:
        assert store.count() == 5
        assert sorted(one.id for one in store.query()) == ids[2:]
    assert ids[0][:16] in caplog.text
    assert ids[1][:16] in caplog.text


def test_records_of_schema_1_say_that_their_generator_is_unknown(version_1: str) -> None:
    lines = JsonLinesStore(DATA / "v1.jsonl")
    with SqlStore(version_1) as store:
        stored = [*store.query(), *lines.query()]
    assert len(stored) == 9
    assert {(one.generator, one.fixed_rule) for one in stored} == {("unknown", None)}
    assert all(one.to_json()["schema"] == 2 for one in stored)
    assert len(lines.failures()) == 2


def test_a_line_of_schema_1_with_a_field_of_schema_2_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text(json.dumps(record().to_json() | {"schema": 1}))
    with pytest.raises(RecordFormatError, match="unknown field 'fixed_rule'"):
        JsonLinesStore(path)


def test_a_version_0_store_that_cannot_be_migrated_stays_as_it_was(version_0: Path) -> None:
    connection = sqlite3.connect(version_0)
    connection.execute("INSERT INTO vrmpy_records VALUES ('nonsense')")
    connection.commit()
    before = connection.execute("SELECT * FROM vrmpy_records").fetchall()
    with pytest.raises(StoreError, match="cannot be migrated"):
        SqlStore(f"sqlite:///{version_0}")
    assert connection.execute("SELECT * FROM vrmpy_records").fetchall() == before
    connection.close()


def test_an_old_store_is_not_migrated_by_a_reader(version_0: Path) -> None:
    before = version_0.read_bytes()
    with pytest.raises(StoreError, match="old schema 0"):
        SqlStore(f"sqlite:///{version_0}", readonly=True)
    assert version_0.read_bytes() == before


def test_a_newer_store_and_a_newer_line_are_refused_with_the_remedy(
    filled: Path, tmp_path: Path
) -> None:
    connection = sqlite3.connect(filled)
    connection.execute("UPDATE vrmpy_schema SET version = 3")
    connection.commit()
    connection.close()
    with pytest.raises(RecordFormatError, match=r"filled\.db has schema 3.*pip install -U"):
        SqlStore(f"sqlite:///{filled}")
    lines = tmp_path / "newer.jsonl"
    lines.write_text(json.dumps(record().to_json() | {"schema": 3, "novelty": 1}))
    with pytest.raises(RecordFormatError, match=r"schema 3.*pip install -U"):
        JsonLinesStore(lines)


def test_skewed_records_are_reported_as_other_toolchain_stale_or_missing(tmp_path: Path) -> None:
    newer = TOOLCHAIN | {"tvm": "0.28.0"}
    with SqlStore(f"sqlite:///{tmp_path / 'a.db'}") as store:
        stored = record(1, space="dense.scalar/3")
        store.add(stored)
        dense = parse_workload(DENSE)

        def resolve(toolchain: dict[str, str], *, exact: bool = False) -> Resolution:
            return Resolver(
                store, TARGETS[V68], toolchain=toolchain, exact=exact, replay=lambda _, trace: trace
            ).resolve(dense)

        other_tvm = resolve(newer)
        assert other_tvm.status is Status.OTHER_TOOLCHAIN
        assert "tvm 0.27.0, here 0.28.0" in other_tvm.reason
        assert resolve(newer, exact=True).status is Status.MISSING
        stale = Resolver(store, TARGETS[V68]).resolve(dense)  # whose trace is none
        assert stale.status is Status.STALE
        assert stale.stale == (stored,)
        assert "no longer replay" in stale.reason
        other_space = Record.from_measurement(
            measurement(),
            space=SPACE.replace("/1", "/2"),
            trace=record(1).trace,
            seed=0,
            generator="packets",
            toolchain=TOOLCHAIN,
            structural_hash="1234",
        )
        assert store.find(other_space.identity) is None
