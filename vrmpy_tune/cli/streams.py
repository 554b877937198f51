"""Which stream gets what: documents and results on stdout, progress and messages on stderr."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
