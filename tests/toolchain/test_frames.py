"""Messages over pipes: whole, cut short, late."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from vrmpy_tune.toolchain.frames import ClosedError, DeadlineError, receive, send

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            assert end in ends


def test_messages_arrive_whole_and_in_order(pipe: Pipe) -> None:
    reader, writer = pipe
    for number in range(3):
        send(writer, {"number": number, "text": "ä\n"})
    assert [receive(reader)["number"] for _ in range(3)] == [0, 1, 2]


def test_a_message_larger_than_the_pipe_arrives_whole(pipe: Pipe) -> None:
    reader, writer = pipe
    message = {"text": "x" * (3 << 20)}
    sender = threading.Thread(target=send, args=(writer, message))
    sender.start()
    assert receive(reader, 20.0) == message
    sender.join()


@pytest.mark.parametrize("sent", [b"", b"\x05", b"\x05\0\0\0", b"\x05\0\0\0{"])
def test_a_pipe_that_ends_within_a_message_is_closed(pipe: Pipe, sent: bytes) -> None:
    reader, writer = pipe
    os.write(writer, sent)
    os.close(writer)
    with pytest.raises(ClosedError):
        receive(reader, 5.0)


@pytest.mark.parametrize("sent", [b"", b"\x05\0\0\0{"])
def test_a_message_that_is_not_complete_in_time_is_late(pipe: Pipe, sent: bytes) -> None:
    reader, writer = pipe
    os.write(writer, sent)
    started = time.monotonic()
    with pytest.raises(DeadlineError):
        receive(reader, 0.2)
    assert 0.1 < time.monotonic() - started < 5


def test_sending_to_nobody_is_told_as_closed(pipe: Pipe) -> None:
    reader, writer = pipe
    os.close(reader)
    with pytest.raises(ClosedError):
        send(writer, {"text": "x"})
