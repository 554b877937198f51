"""Which stream gets what: documents and results on stdout, progress and messages on stderr."""

from __future__ import annotations

import json
import os
import select
import sys
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO, cast

from vrmpy_tune.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Visible:
    """A text stream that spells control characters out: files must not command a terminal.

    What draws on the terminal itself, such as rich, writes to the stream behind it.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        self.rich_proxied_file.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


@contextmanager
def visible_streams() -> Iterator[None]:
    """Have whatever is printed spell control characters out."""
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", _Visible(one)) for one in kept)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = kept


def command_terminal(text: str) -> None:
    """Write to stdout what a terminal is to obey."""
    stream = getattr(sys.stdout, "rich_proxied_file", sys.stdout)
    stream.write(text)
    stream.flush()


def is_closed(descriptor: int) -> bool:
    """Whether nobody reads a pipe any more that a descriptor writes to."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def leave_closed(descriptor: int) -> None:
    """Send what is still to be written to a closed pipe nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def one_document(as_json: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Keep stdout for one JSON document, and yield the function that prints it.

    Whatever else is printed meanwhile, by compiled libraries and child processes too, goes to
    stderr.  Without ``as_json`` nothing is diverted, and the function is not to be called.
    """
    if not as_json:
        yield _refuse
        return
    stdout = sys.stdout
    stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        documents: list[str] = []
        with redirect_stdout(sys.stderr):
            yield lambda document: documents.append(json.dumps(document, indent=2))
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    for document in documents:
        print(document, file=stdout, flush=True)


def _refuse(_document: dict[str, Any]) -> None:
    raise AssertionError("a document was printed without --json")
