"""Rows of a damaged SQLite file, read page by page without SQLite.

SQLite gives up at the first page that contradicts another one.  A row, though, needs nothing but
the page that it is in and the pages that its long texts continue on, so that every row whose own
pages are whole can be had.  What comes out is unproven: callers check each row's checksum.

The format is that of https://www.sqlite.org/fileformat2.html; section numbers are of that page.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

Value: TypeAlias = "int | float | str | bytes | None"

MAX_PAYLOAD: Final = 16 << 20
"""Longest row that is read, in bytes; longer ones are the fruit of damage."""

_PAGE_SIZES: Final = frozenset(1 << bits for bits in range(9, 17))
_USUAL_PAGE: Final = 4096
_FILE_HEADER: Final = 100


class _DamagedError(Exception):
    """What is read here is no row."""


def page_size(path: Path) -> int:
    """Return the page size that a database file names, or the usual one if it names none."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(18)[16:18], "big")
    size = 65536 if size == 1 else size  # section 1.3.2
    return size if size in _PAGE_SIZES else _USUAL_PAGE


def rows_of(path: Path) -> Iterator[tuple[Value, ...]]:
    """Yield the columns of each row in the file that looks like one, of whatever table.

    Pages that SQLite has freed are left out: what they hold was deleted.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as stream:
        pages = _Pages(stream, path.stat().st_size, page_size(path))
        log = path.with_name(f"{path.name}-wal")
        if log.is_file():
            pages.take_log(log.read_bytes())
        free = pages.free()
        for number in range(1, pages.count + 1):
            if number not in free:
                yield from _rows_on(pages, number)


class _Pages:
    """The pages of a file by number, from 1, with those of its write-ahead log over them."""

    def __init__(self, stream: BinaryIO, length: int, size: int) -> None:
        self._stream = stream
        self.size = size
        self.count = -(-length // size)
        self._newer: dict[int, bytes] = {}

    def get(self, number: int) -> bytes:
        """Return a page, padded if the file ends within it."""
        if not 1 <= number <= self.count:
            raise _DamagedError
        if number in self._newer:
            return self._newer[number]
        self._stream.seek((number - 1) * self.size)
        return self._stream.read(self.size).ljust(self.size, b"\0")

    def take_log(self, log: bytes) -> None:
        """Lay the committed pages of a write-ahead log over the file's (section 4.1)."""
        salts, step = log[16:24], 24 + self.size
        pending: dict[int, bytes] = {}
        for start in range(32, len(log) - step + 1, step):
            number, committed = struct.unpack_from(">II", log, start)
            if log[start + 8 : start + 16] != salts:
                break
            pending[number] = log[start + 24 : start + step]
            if committed:
                self._newer |= pending
                pending = {}
                self.count = max(self.count, committed)

    def free(self) -> set[int]:
        """Return the pages of the freelist (section 1.5), as far as it makes sense."""
        free: set[int] = set()
        try:
            number = int.from_bytes(self.get(1)[32:36], "big")
            while number and number not in free:
                page = self.get(number)
                following, leaves = struct.unpack_from(">II", page)
                if leaves > self.size // 4 - 2:
                    break
                free |= {number, *struct.unpack_from(f">{leaves}I", page, 8)}
                number = following
        except _DamagedError:
            pass
        return free


def _rows_on(pages: _Pages, number: int) -> Iterator[tuple[Value, ...]]:
    """Yield the rows on a page, taking it for a leaf of a table whatever it says (section 1.6)."""
    page = pages.get(number)
    header = _FILE_HEADER if number == 1 else 0
    cells = min(int.from_bytes(page[header + 3 : header + 5], "big"), pages.size // 4)
    for index in range(cells):
        start = header + 8 + 2 * index
        try:
            cell = int.from_bytes(page[start : start + 2], "big")
            yield _columns(_payload(pages, page, cell))
        except (_DamagedError, IndexError, struct.error):
            continue


def _payload(pages: _Pages, page: bytes, start: int) -> bytes:
    """Return the whole payload of a cell, from the pages it overflows to as well (section 1.6)."""
    length, start = _varint(page, start)
    _, start = _varint(page, start)
    if not 0 < length <= MAX_PAYLOAD:
        raise _DamagedError
    usable = pages.size
    if length <= usable - 35:
        return page[start : start + length]
    least = (usable - 12) * 32 // 255 - 23
    local = least + (length - least) % (usable - 4)
    local = local if local <= usable - 35 else least
    parts = [page[start : start + local]]
    following = int.from_bytes(page[start + local : start + local + 4], "big")
    left = length - local
    while left > 0:
        overflow = pages.get(following)
        following = int.from_bytes(overflow[:4], "big")
        parts.append(overflow[4 : 4 + left])
        left -= usable - 4
    return b"".join(parts)


def _columns(payload: bytes) -> tuple[Value, ...]:
    """Return the values of a row (section 2.1)."""
    end, place = _varint(payload, 0)
    if not place <= end <= len(payload):
        raise _DamagedError
    kinds = []
    while place < end:
        kind, place = _varint(payload, place)
        kinds.append(kind)
    values: list[Value] = []
    place = end
    for kind in kinds:
        value, place = _value(payload, kind, place)
        values.append(value)
    return tuple(values)


def _value(payload: bytes, kind: int, place: int) -> tuple[Value, int]:
    lengths = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}
    if kind in (10, 11):
        raise _DamagedError
    length = lengths[kind] if kind < 12 else (kind - 12) // 2
    raw = payload[place : place + length]
    if len(raw) != length:
        raise _DamagedError
    if kind >= 12:
        value: Value = raw.decode("utf-8", "replace") if kind % 2 else raw
    elif kind == 0:
        value = None
    elif kind == 7:
        value = float(struct.unpack(">d", raw)[0])
    elif kind in (8, 9):
        value = kind - 8
    else:
        value = int.from_bytes(raw, "big", signed=True)
    return value, place + length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return a variable-length integer and the place behind it (section 1.6)."""
    value = 0
    for index in range(9):
        byte = data[place + index]
        if index == 8:
            return value << 8 | byte, place + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + index + 1
    raise _DamagedError
