from __future__ import annotations

import json

import pytest

from vrmpy_tune.visible import in_one_line, visible


@pytest.mark.parametrize("number", [*range(9), *range(11, 32), *range(127, 160), 0x202E, 0xDCFF])
def test_what_commands_a_terminal_is_spelled_out(number: int) -> None:
    text = f"a{chr(number)}[2Jb"
    assert visible(text) == f"a\\u{number:04x}[2Jb"
    assert json.loads(f'"{visible(text)}"') == text


def test_other_text_stays_and_lines_only_where_there_may_be_several() -> None:
    text = "größe\t8 µs\n漢字 🙂\n"
    assert visible(text) == text
    assert in_one_line(text) == "größe\\u00098 µs\\u000a漢字 🙂\\u000a"
