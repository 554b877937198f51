"""How a tuning run is shown: live on a terminal, else in plain lines; JSON lines on request."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, TextIO

from vrmpy_tune.cli.streams import say
from vrmpy_tune.errors import UsageError
from vrmpy_tune.tune.events import (
    CandidateMeasured,
    Interrupted,
    RecordsTransferred,
    RunFinished,
    RunStarted,
    SearchEnded,
    Warned,
)
from vrmpy_tune.tune.progress import Progress
from vrmpy_tune.visible import in_one_line, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, RenderableType

    from vrmpy_tune.tune.events import Event
    from vrmpy_tune.tune.progress import TaskProgress

PLAIN_INTERVAL_S: Final = 5.0
"""Seconds between two plain lines, unless a better candidate is found in between."""

_FRAMES_PER_SECOND: Final = 4
_BAR_WIDTH: Final = 16


class Display(Protocol):
    """Something that takes a run's events."""

    def __call__(self, event: Event) -> None:
        """Show one event."""
        ...


@contextmanager
def displays(
    events: str | None, *, stdout_is_free: bool, console: Console | None = None
) -> Iterator[Display]:
    """Yield the function that shows events in every way that was asked for.

    Parameters
    ----------
    events:
        File for JSON lines, ``"-"`` for stdout, or ``None`` for none.
    stdout_is_free:
        Whether stdout may carry JSON lines, since no document goes there.
    console:
        Where to show progress; stderr by default.

    Raises
    ------
    UsageError
        If JSON lines and a document would share stdout, or the file cannot be written.
    """
    from rich.console import Console

    if events == "-" and not stdout_is_free:
        raise UsageError("--json and --events - both want stdout; write the events to a file.")
    shown = console or Console(stderr=True)
    with _open_lines(events) as lines, _progress(shown) as progress:
        if lines is None:
            yield progress
        else:
            written = JsonLinesDisplay(lines)

            def both(event: Event) -> None:
                written(event)
                progress(event)

            yield both


class JsonLinesDisplay:
    """Writes each event as a line of JSON, with the seconds since the start as ``t_s``.

    When the file can no longer be written, it says so once: the run matters more than its log.
    """

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._broken = False

    def __call__(self, event: Event) -> None:
        """Write one event, complete at once for whoever follows the file."""
        if self._broken:
            return
        line: dict[str, Any] = {"t_s": round(self._clock() - self._started, 3), **event.as_json()}
        try:
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
        except OSError as error:
            self._broken = True
            say(f"Warning: no more events are written ({error.strerror}); the run goes on.")


class PlainDisplay:
    """Prints a line for each improvement, and every few seconds otherwise."""

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._progress = Progress(clock)
        self._printed = clock()

    def __call__(self, event: Event) -> None:
        """Print what is new, if it is time."""
        better = self._progress.observe(event)
        line = notice(event)
        if line:
            self._print(line)
        elif isinstance(event, CandidateMeasured) and (
            better or self._clock() - self._printed >= PLAIN_INTERVAL_S
        ):
            self._print(self._candidate_line(self._progress.tasks[event.workload]))

    def _candidate_line(self, task: TaskProgress) -> str:
        parts = [f"{task.workload} {task.done}/{task.trials}: {task.best_text}"]
        parts += [task.failures_text] if task.failures else []
        parts.append(rate_text(self._progress))
        return "; ".join(parts)

    def _print(self, line: str) -> None:
        self._printed = self._clock()
        print(line, file=self._stream, flush=True)


class LiveDisplay:
    """Lines that are redrawn in place: two for each workload, then the rate and the time left."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.live import Live

        self._console = console
        self._progress = Progress(clock)
        # Rich draws from a thread of its own.
        self._lock = RLock()
        self.live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=_FRAMES_PER_SECOND,
        )

    def __call__(self, event: Event) -> None:
        """Take an event in; it is seen when the table is next drawn."""
        from rich.text import Text

        with self._lock:
            self._progress.observe(event)
        line = None if isinstance(event, RunFinished) else notice(event)
        if line:
            # Never broken into lines: it may be a command to copy.
            self._console.print(Text(visible(line)), soft_wrap=True)

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        with self._lock:
            rows: list[RenderableType] = []
            for task in self._progress.tasks.values():
                rows += [Text(in_one_line(task.workload), style="bold"), _task_row(task)]
            return Group(*rows, Text(rate_text(self._progress), style="dim"))


def _task_row(task: TaskProgress) -> RenderableType:
    """Return what stands below a workload; its text alone may fill a line of a terminal."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 2, 0, 0))
    for width in (2, _BAR_WIDTH, None, None, None):
        row.add_column(width=width, overflow="fold")
    row.add_row(
        "",
        ProgressBar(total=max(task.trials, 1), completed=task.done, width=_BAR_WIDTH),
        Text(f"{task.done}/{task.trials}"),
        Text(in_one_line(task.best_text)),
        Text(in_one_line(task.failures_text), style="red"),
    )
    return row


def notice(event: Event) -> str | None:
    """Return the line that an event deserves in every display, or ``None``."""
    line: str | None = None
    match event:
        case RunStarted():
            count = len(event.workloads)
            limit = f", at most {duration_text(event.time_s)}" if event.time_s is not None else ""
            trials = f"{event.trials} trials each"
            if event.shares:
                trials = f"{min(event.shares)} to {max(event.shares)} trials each"
            line = (
                f"Tuning {count} workload{'s' * (count > 1)} for {event.target} by {event.metric}, "
                f"{trials}{limit}, seed {event.seed}"
            )
        case RecordsTransferred():
            line = (
                f"{event.workload}: {event.seeds} seeds for {event.space} from records of "
                f"{len(event.records)} similar workloads"
            )
        case SearchEnded():
            line = f"{event.workload}: {event.space} ends after {event.sent}, {event.reason}"
        case Warned():
            line = f"Warning: {event.message}"
        case RunFinished():
            line = f"Finished {event.workload}"
        case Interrupted():
            line = (
                f"Interrupted. {event.stored} outcomes are stored; "
                f"resume with: {event.resume_command}"
            )
    return line


def rate_text(progress: Progress) -> str:
    """Return the rate and the time left in words."""
    left = progress.seconds_left
    text = f"{progress.candidates_per_minute:.0f} candidates/min"
    return text if left is None else f"{text}, {duration_text(left)} left"


def duration_text(seconds: float) -> str:
    """Return a duration as minutes and seconds, for example ``"2:05"``, or ``"1:02:05"``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def _progress(console: Console) -> Iterator[Display]:
    if not console.is_terminal:
        yield PlainDisplay(console.file)
        return
    display = LiveDisplay(console)
    with display.live:
        yield display


@contextmanager
def _open_lines(events: str | None) -> Iterator[TextIO | None]:
    if events is None:
        yield None
    elif events == "-":
        yield sys.stdout
    else:
        with _create(Path(events)) as file:
            yield file


def _create(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--events {path}: {error.strerror}.") from error
