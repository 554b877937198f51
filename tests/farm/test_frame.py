"""The handshake and the tags of frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm import frame
from vrmpy_tune.farm.channel import parse_address
from vrmpy_tune.farm.frame import HEADER, Kind, RefusedError
from vrmpy_tune.farm.secret import FarmKey

KEY = FarmKey(b"0123456789abcdef")
OTHER = FarmKey(b"fedcba9876543210")


def pair() -> tuple[frame.Seal, frame.Seal]:
    """The two ends of one direction."""
    hello = frame.new_hello()
    reply = frame.reply_to(KEY, hello)
    return frame.seals(KEY, hello, reply)[0], frame.seals(KEY, hello, reply)[0]


def parts(packed: bytes) -> tuple[bytes, bytes, bytes]:
    end = len(packed) - frame.FRAME_TAG_BYTES
    return packed[: HEADER.size], packed[HEADER.size : end], packed[end:]


def test_both_sides_prove_that_they_know_the_key() -> None:
    hello = frame.new_hello()
    reply = frame.reply_to(KEY, hello)
    frame.check_proof(KEY, hello, reply, frame.confirm(KEY, hello, reply))
    with pytest.raises(RefusedError):
        frame.confirm(OTHER, hello, reply)
    with pytest.raises(RefusedError):
        frame.check_proof(
            KEY, hello, reply, frame.confirm(OTHER, hello, frame.reply_to(OTHER, hello))
        )


def test_a_proof_does_not_serve_twice() -> None:
    hello = frame.new_hello()
    proof = frame.confirm(KEY, hello, first := frame.reply_to(KEY, hello))
    frame.check_proof(KEY, hello, first, proof)
    with pytest.raises(RefusedError):
        frame.check_proof(KEY, hello, frame.reply_to(KEY, hello), proof)


def test_the_servers_tag_is_no_proof_of_the_client() -> None:
    hello = frame.new_hello()
    reply = frame.reply_to(KEY, hello)
    with pytest.raises(RefusedError):
        frame.check_proof(KEY, hello, reply, reply[frame.HELLO_BYTES :])


@given(st.binary(max_size=300), st.sampled_from(Kind))
def test_what_is_packed_is_unpacked(content: bytes, kind: Kind) -> None:
    ours, theirs = pair()
    header, got, tag = parts(ours.pack(kind, content))
    assert frame.content_length(header) == len(content)
    assert theirs.unpack(header, got, tag) is kind
    assert got == content


@given(st.binary(min_size=1, max_size=64), st.data())
def test_a_frame_with_any_bit_changed_is_refused(content: bytes, data: st.DataObject) -> None:
    ours, theirs = pair()
    packed = bytearray(ours.pack(Kind.DATA, content))
    bit = data.draw(st.integers(0, 8 * len(packed) - 1))
    packed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RefusedError):
        theirs.unpack(*parts(bytes(packed)))


def test_frames_in_another_order_or_of_the_other_direction_are_refused() -> None:
    ours, theirs = pair()
    ours.pack(Kind.DATA, b"first")
    with pytest.raises(RefusedError):
        theirs.unpack(*parts(ours.pack(Kind.DATA, b"second")))
    hello = frame.new_hello()
    client, server = frame.seals(KEY, hello, frame.reply_to(KEY, hello))
    with pytest.raises(RefusedError):
        server.unpack(*parts(client.pack(Kind.DATA, b"reflected")))


@pytest.mark.parametrize("content", [b"", b"[]", b"nonsense", b"[" * 100_000, b"\xff"])
def test_json_that_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(RefusedError):
        frame.from_json(content)


@pytest.mark.parametrize("secret", [b"", b"short", b"fifteen bytes.."])
def test_a_short_key_is_refused(secret: bytes) -> None:
    with pytest.raises(FarmError, match="at least 16"):
        FarmKey(secret)


def test_a_key_does_not_print_itself() -> None:
    assert "0123" not in f"{KEY} {KEY!r}"


def test_tags_are_of_one_purpose_and_of_parts_with_their_lengths() -> None:
    assert KEY.tag("a", b"bc") != KEY.tag("ab", b"c")
    assert KEY.tag("a", b"b", b"c") != KEY.tag("a", b"bc")
    assert KEY.accepts(KEY.tag("a", b"b"), "a", b"b")
    assert not KEY.accepts(OTHER.tag("a", b"b"), "a", b"b")


def test_addresses() -> None:
    assert parse_address("host:9190") == ("host", 9190)
    assert parse_address("[::1]:9190") == ("::1", 9190)
    for text in ("", "host", "host:", ":9190", "host:0", "host:65536", "host:-1", "host:9x"):
        with pytest.raises(FarmError, match="no address"):
            parse_address(text)
