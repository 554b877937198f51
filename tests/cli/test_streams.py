"""What files say is shown and not obeyed; output that nobody reads ends a command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tests.cli.conftest import Command
from vrmpy_tune.cli import application
from vrmpy_tune.errors import DeviceError

COMMAND = [sys.executable, "-c", "from vrmpy_tune.cli import main; main()"]
HOSTILE = "x\x1b]0;title\x07\x9b2J\u202eend"


def test_names_of_files_reach_the_terminal_spelled_out(command: Command, tmp_path: Path) -> None:
    path = tmp_path / f"{HOSTILE}.onnx"
    path.write_bytes(b"\0\0\0\0\0\0\0\0\0")
    for arguments in (("explain", path), ("explain", tmp_path / f"{HOSTILE}-2.onnx")):
        ended = command(*arguments)
        assert ended.code != 0
        assert "x\\u001b]0;title\\u0007\\u009b2J\\u202eend" in ended.stderr
        assert not any(one in ended.stderr + ended.stdout for one in "\x1b\x07\x9b\u202e")


def test_a_name_that_is_no_text_is_a_sentence(command: Command) -> None:
    ended = command("explain", os.fsdecode(b"\xff.onnx"))
    assert (ended.code, ended.stderr) == (2, "vrmpy-tune: There is no model \\udcff.onnx.\n")


@pytest.mark.parametrize("arguments", [("--help",), ("spaces",), ("spaces", "--json")])
def test_a_closed_pipe_is_141_and_no_traceback(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (application.CLOSED_PIPE, "")


def test_a_pipe_that_somebody_else_closed_is_an_error(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = typer.Typer(pretty_exceptions_enable=False, cls=application.app.info.cls)

    @app.command()
    def broken() -> None:
        raise BrokenPipeError(32, "Broken pipe", "agent")

    @app.command()
    def other() -> None:
        raise DeviceError("unused")

    monkeypatch.setattr(application, "app", app)
    ended = command("broken")
    assert (ended.code, ended.stderr) == (74, "vrmpy-tune: agent: Broken pipe.\n")


def test_an_unexpected_end_of_a_file_is_a_defect_and_not_aborted(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = typer.Typer(pretty_exceptions_enable=False, cls=application.app.info.cls)

    @app.command()
    def broken() -> None:
        raise EOFError("No data left in file")

    @app.command()
    def other() -> None:
        raise DeviceError("unused")

    monkeypatch.setattr(application, "app", app)
    ended = command("broken")
    assert ended.code == application.DEFECT
    assert "No data left in file" in ended.stderr
    assert "Aborted" not in ended.stderr
