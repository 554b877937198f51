from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.fakes import CONV, DENSE, TUNED, measured, started
from vrmpy_tune.cli.displays import (
    JsonLinesDisplay,
    LiveDisplay,
    PlainDisplay,
    displays,
    duration_text,
)
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.tune.events import (
    BatchSearched,
    Event,
    Interrupted,
    RecordsTransferred,
    RunFinished,
    SearchEnded,
    TaskStarted,
    Warned,
)
from vrmpy_tune.tune.progress import Progress


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def every_event() -> list[Event]:
    return [
        started(),
        TaskStarted(DENSE, ("dense.scalar/3",)),
        BatchSearched(DENSE, 0.5, 2),
        measured(1, value=400_000, best=400_000),
        measured(2, Outcome.BUILD_ERROR, best=400_000),
        Warned("The cost model failed."),
        RecordsTransferred(DENSE, "dense.scalar/3", 2, 0, ((CONV, ("ab", "cd")),)),
        SearchEnded(DENSE, "dense.scalar/3", 2, 4, "no gain in 1"),
        RunFinished(DENSE, TUNED),
        Interrupted("vrmpy-tune tune ...", 2),
    ]


def test_every_event_is_plain_json_that_names_its_kind() -> None:
    documents = [json.loads(json.dumps(event.as_json())) for event in every_event()]
    assert [document["event"] for document in documents] == [
        "run-started",
        "task-started",
        "batch-searched",
        "candidate-measured",
        "candidate-measured",
        "warned",
        "records-transferred",
        "search-ended",
        "run-finished",
        "interrupted",
    ]
    assert documents[4]["outcome"] == "build-error"
    assert documents[0]["workloads"] == [DENSE]


def test_json_lines_are_one_event_a_line_and_complete_at_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    quiet = Console(file=io.StringIO())
    with displays(str(path), stdout_is_free=False, console=quiet) as show:
        for count, event in enumerate(every_event(), start=1):
            show(event)
            assert len(path.read_text().splitlines()) == count
    assert all("t_s" in json.loads(line) for line in path.read_text().splitlines())


def test_json_lines_on_stdout_leave_the_progress_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with displays("-", stdout_is_free=True) as show:
        for event in every_event():
            show(event)
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[0])["event"] == "run-started"
    assert "400,000 packets" in err


def test_a_run_goes_on_when_its_events_can_no_longer_be_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    show = JsonLinesDisplay(Full())
    for event in every_event():
        show(event)
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_plain_progress_prints_improvements_at_once_and_the_rest_every_five_seconds() -> None:
    clock, stream = Clock(), io.StringIO()
    show = PlainDisplay(stream, clock)
    show(started(trials=10))
    clock.now += 1
    show(measured(1, value=400_000, best=400_000))
    show(measured(2, value=500_000, best=400_000))
    show(measured(3, Outcome.CUT, best=400_000))
    assert len(stream.getvalue().splitlines()) == 2
    clock.now += 5
    show(measured(4, Outcome.CRASH, best=400_000))
    first, *_, last = stream.getvalue().splitlines()
    assert first.startswith("Tuning 1 workload for hexagon-v68 by qemu-packets/1, 10 trials each")
    assert last == (
        f"{DENSE} 4/10: 400,000 packets, 188.7 MACs/packet, 73.7% of the ceiling; "
        "1 cut, 1 crash; 40 candidates/min, 0:09 left"
    )


def test_plain_progress_always_prints_warnings_and_the_command_that_resumes() -> None:
    stream = io.StringIO()
    show = PlainDisplay(stream, Clock())
    for event in (started(), *every_event()[5:]):
        show(event)
    assert "Warning: The cost model failed." in stream.getvalue()
    assert "2 seeds for dense.scalar/3 from records of 1 similar" in stream.getvalue()
    assert "dense.scalar/3 ends after 2, no gain in 1" in stream.getvalue()
    assert "resume with: vrmpy-tune tune ..." in stream.getvalue()


def test_a_workload_of_two_spaces_counts_both_and_keeps_the_better_best() -> None:
    progress = Progress(Clock())
    progress.observe(started(CONV, trials=4))
    assert progress.observe(measured(1, value=300, best=300, workload=CONV)) is not None
    assert progress.observe(measured(1, value=500, best=500, workload=CONV)) is None
    assert progress.observe(measured(2, value=200, best=200, workload=CONV)) is not None
    task = progress.tasks[CONV]
    assert (task.done, task.trials, task.best) == (3, 4, 200)


def test_recalled_candidates_do_not_count_in_the_rate() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.observe(started(trials=4))
    clock.now += 60
    progress.observe(measured(1, value=1, best=1, cached=True))
    progress.observe(measured(2, value=1, best=1))
    assert progress.candidates_per_minute == 1.0
    assert progress.seconds_left == 120.0


def test_the_time_left_never_exceeds_the_time_limit() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.observe(started(trials=1000, time_s=90.0))
    clock.now += 60
    assert progress.seconds_left == 30.0
    progress.observe(measured(1, value=1, best=1))
    assert progress.seconds_left == 30.0
    clock.now += 60
    assert progress.seconds_left == 0.0


def test_the_live_display_shows_each_workload_its_best_and_its_failures() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=200)
    show = LiveDisplay(console, Clock())
    with show.live:
        show(started(DENSE, CONV))
        for event in every_event()[1:]:
            show(event)
    shown = stream.getvalue()
    for words in (DENSE, CONV, "400,000 packets", "MACs/packet", "1 build-error", "resume with"):
        assert words in shown


def test_what_a_workload_says_is_never_read_as_markup() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=200, color_system=None)
    with displays(None, stdout_is_free=True, console=console) as show:
        show(started("[bold]odd[/nonsense]"))
    assert "[bold]odd[/nonsense]" in stream.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (125.4, "2:05"), (3725, "1:02:05")])
def test_durations_are_written_as_clocks_do(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
