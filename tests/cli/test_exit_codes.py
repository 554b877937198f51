from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import Command
from tests.cli.fakes import CONV, DENSE, fake_tune
from vrmpy_tune import errors
from vrmpy_tune.tune.events import Event, Interrupted
from vrmpy_tune.tune.study import Curve

if TYPE_CHECKING:
    from vrmpy_tune.workload import Workload

Replace = Callable[..., None]

IMPOSSIBLE = (
    "conv2d:n=1,h=2,w=2,ci=8,co=8,kh=5,kw=5,stride=1,pad=0,lhs=u8,rhs=u8",
    "dense:m=0,n=8,k=8,lhs=u8,rhs=u8",
    "dense:m=-1,n=8,k=8,lhs=u8,rhs=u8",
    "dense:m=1.5,n=8,k=8,lhs=u8,rhs=u8",
    "dense:m=8,n=8,k=8,lhs=u8,rhs=u8,colour=red",
    "dense:m=8,n=8,k=1000000000,lhs=u8,rhs=u8",
    "dense:m=8,n=8,k=8,lhs=f32,rhs=u8",
    "softmax:m=8",
    "",
    "dense:" + "m=1," * 1000,
)


@pytest.mark.parametrize("verb", [("tune",), ("compile", "-o", "out"), ("explain",)])
@pytest.mark.parametrize("workload", IMPOSSIBLE)
def test_an_impossible_workload_is_a_sentence_and_exit_code_2(
    command: Command, verb: tuple[str, ...], workload: str
) -> None:
    ended = command(verb[0], workload, *verb[1:])
    assert ended.code == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("vrmpy-tune: ")
    assert ended.stderr.endswith(".\n")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("tune", DENSE, "--target", "hexagon-v99"),
        ("tune", DENSE, "--metric", "seconds"),
        ("tune", DENSE, "--effort", "heroic"),
        ("tune", DENSE, "--time", "soon"),
        ("tune", DENSE, "--time", "0s"),
        ("tune", DENSE, "--time", "9" * 308),
        ("tune", DENSE, "--time", "9000h"),
        ("tune", DENSE, "--device", "rpc://a:1/k", "--wait", "9" * 308),
        ("tune", DENSE, "--device", "rpc://a:1/k?wait=1e308"),
        ("tune", DENSE, "--device", f"rpc://a:1/k?slots={'9' * 30}"),
        ("tune", DENSE, "--trials", "0"),
        ("tune", DENSE, "--trials", "9" * 30),
        ("tune", DENSE, "--seed", "9" * 30),
        ("tune", DENSE, "--seed", "9" * 5000),
        ("tune", "resnet.onnx", "--top-tasks", "9" * 30),
        ("tune", DENSE, "--device", "command: 'x"),
        ("tune", DENSE, "--device", "python:os:system"),
        ("tune", DENSE, "--device", "python:builtins:dict"),
        ("tune", DENSE, "--device", "python:sys:exit"),
        ("records", "prune", "--keep", "9" * 30),
        ("records", "ls", "--limit", "9" * 30),
        ("spaces", "--check", "--samples", "9" * 30),
        ("spaces", "--check", "--seed", "9" * 30),
        ("compare-memory", DENSE, "--trials", "9" * 30),
        ("compare-memory", DENSE, "--seed", "9" * 30),
        ("study", DENSE, "-o", "d", "--seeds", "9" * 30),
        ("study", DENSE, "-o", "d", "--trials", "9" * 30),
        ("bench", "--random", "9" * 30),
        ("bench", "--random", "3", "--seed", "9" * 30),
        ("bench", "--random", "3", "--trials", "9" * 30),
        ("farm", "bench", "--slots", "9" * 5000),
        ("farm", "bench", "--window", "9" * 308),
        ("farm", "serve", "--slots", "9" * 30),
        ("tune", DENSE, "--seed", "x"),
        ("tune", DENSE, "--wings"),
        ("tune", DENSE, "--json", "--events", "-"),
        ("tune", DENSE, "--events", "/nonexistent/events.jsonl"),
        ("tune", DENSE, "--top-tasks", "2"),
        ("tune", "resnet.onnx", "--top-tasks", "0"),
        ("tune",),
        ("compile", DENSE),
        ("explain", DENSE, "--metric", "seconds"),
        ("explain", "--suite", "resnet"),
        ("tune", "--suite", "peers", "--variant", "u9"),
        ("tune", DENSE, "--variant", "u8u8-i32"),
        ("bench",),
        ("bench", "--suite", "resnet"),
        ("bench", "--suite", "peers", "--random", "3"),
        ("bench", "--random", "0"),
        ("bench", "--random", "3", "--variant", "u8u8-i32"),
        ("bench", "--random", "3", "--effort", "heroic"),
        ("bench", "--suite", "peers", "--variant", "u9"),
        ("bench", "--suite", "peers", "--metric", "seconds"),
        ("bench", "--suite", "peers", "--target", "v1"),
        ("spaces", DENSE),
        ("spaces", "--check", "--instructions"),
        ("spaces", "--residues"),
        ("spaces", DENSE, "--check", "--residues"),
        ("spaces", "--target", "v1"),
        ("fly",),
    ],
    ids=" ".join,
)
def test_bad_usage_is_a_sentence_and_exit_code_2(
    command: Command, arguments: tuple[str, ...]
) -> None:
    ended = command(*arguments)
    assert ended.code == 2
    assert ended.stdout == ""
    assert ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("verb", [("tune",), ("compile", "-o", "out"), ("explain",)])
def test_a_model_that_does_not_exist_is_named(command: Command, verb: tuple[str, ...]) -> None:
    ended = command(verb[0], "resnet.ONNX", *verb[1:])
    assert (ended.code, ended.stderr) == (2, "vrmpy-tune: There is no model resnet.ONNX.\n")


@pytest.mark.parametrize("other", [(DENSE,), ("--suite", "peers"), ("second.onnx",)])
def test_a_model_stands_alone(command: Command, other: tuple[str, ...]) -> None:
    ended = command("explain", "first.onnx", *other)
    assert ended.code == 2
    assert "first.onnx is a model; name it alone" in ended.stderr


@pytest.mark.parametrize("content", [b"", b"this is no database", b"SQLite format 3\0 but cut"])
def test_a_store_that_is_none_is_a_sentence(
    command: Command, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    for arguments in (("explain", DENSE), ("records", "ls")):
        ended = command(*arguments, "--records", path)
        assert ended.code in (errors.StoreError.exit_code, errors.RecordFormatError.exit_code)
        assert str(path) in ended.stderr
        assert "Traceback" not in ended.stderr
    assert path.read_bytes() == content


def test_a_store_that_does_not_exist_is_exit_code_4(command: Command, tmp_path: Path) -> None:
    ended = command("explain", DENSE, "--records", f"sqlite:///{tmp_path}/none.db")
    assert ended.code == 4
    assert "none.db" in ended.stderr
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    "error",
    [
        errors.MissingRecordError("No record."),
        errors.StoreError("No store."),
        errors.DeviceError("No device."),
        errors.VerificationError("Wrong."),
        errors.NoValidCandidateError("None."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_each_error_exits_with_its_code(
    command: Command, replace: Replace, error: errors.VrmpyTuneError
) -> None:
    replace("vrmpy_tune.tune.run", tune=fake_tune(error=error))
    ended = command("tune", DENSE, "--json")
    assert ended.code == error.exit_code
    assert ended.stdout == ""
    assert f"vrmpy-tune: {error}\n" in ended.stderr


def test_a_defect_names_its_log_and_shows_a_traceback_only_with_debug(
    command: Command, replace: Replace, tmp_path: Path
) -> None:
    replace("vrmpy_tune.tune.run", tune=fake_tune(error=ZeroDivisionError("division by zero")))
    ended = command("tune", DENSE)
    log = tmp_path / "cache" / "traceback.log"
    assert ended.code == 70
    assert "Traceback" not in ended.stderr
    assert str(log) in ended.stderr
    assert "--debug" in ended.stderr
    assert "ZeroDivisionError" in log.read_text()
    for arguments in (("--debug", "tune", DENSE), ("tune", DENSE, "--debug")):
        ended = command(*arguments)
        assert ended.code == 70
        assert "Traceback" in ended.stderr


def test_a_full_disk_is_a_sentence_and_exit_code_74(command: Command, replace: Replace) -> None:
    full = OSError(28, "No space left on device", "/mnt/out")
    replace("vrmpy_tune.tune.run", tune=fake_tune(error=full))
    ended = command("tune", DENSE)
    assert ended.code == 74
    assert "vrmpy-tune: /mnt/out: No space left on device.\n" in ended.stderr


def test_an_interruption_that_was_handled_still_prints_results_and_exits_130(
    command: Command, replace: Replace
) -> None:
    stopped = Interrupted("vrmpy-tune tune dense:... --seed 0", stored=17)
    replace("vrmpy_tune.tune.run", tune=fake_tune(stopped))
    ended = command("tune", DENSE, "--json")
    assert ended.code == 130
    assert ended.document["results"][0]["workload"] == DENSE
    assert "resume with: vrmpy-tune tune dense:... --seed 0" in ended.stderr


@pytest.mark.parametrize("wait", [False, True])
def test_ctrl_c_while_commands_are_imported_is_a_sentence_and_exit_code_130(wait: bool) -> None:
    # The interruption comes at the first import of a command, or during the command's own work.
    source = """
import builtins, os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
real = builtins.__import__
def interrupted(name, *rest):
    if name == "{module}":
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *rest)
builtins.__import__ = interrupted
from vrmpy_tune.cli import main
import sys
sys.argv = ["vrmpy-tune", "doctor"]
main()
""".format(module="vrmpy_tune.toolchain.doctor" if wait else "vrmpy_tune.cli.application")
    ended = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr


def test_an_interrupted_study_of_workloads_exits_130_with_what_it_has(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from vrmpy_tune.tune import study

    def run_study(*_: object, events: Callable[[Event], None], **__: object) -> Iterator[Curve]:
        yield Curve(DENSE, "evolutionary", 0, (300, 200), 100)
        events(Interrupted("vrmpy-tune tune dense:...", stored=2))

    monkeypatch.setattr(study, "run_study", run_study)
    ended = command("study", DENSE, "-o", tmp_path / "study", "--json")
    assert ended.code == 130
    assert ended.document["interrupted"] is True
    assert [row["best"] for row in ended.document["summary"]] == [200]
    assert "the same study command goes on from here" in ended.stderr


def test_a_study_takes_a_suite(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from vrmpy_tune.tune import study

    asked: list[Workload] = []
    monkeypatch.setattr(study, "run_study", lambda chosen, **_: asked.extend(chosen) or iter(()))
    assert command("study", "--suite", "bert-base-int8", "--variant", "u8").code == 0
    assert asked
    assert all("out=u8" in str(one) for one in asked)


def test_the_log_of_a_defect_does_not_follow_a_symbolic_link(
    command: Command, replace: Replace, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "cache").mkdir()
    log = tmp_path / "cache" / "traceback.log"
    log.symlink_to(precious)
    replace("vrmpy_tune.tune.run", tune=fake_tune(error=ZeroDivisionError("division by zero")))
    assert command("tune", DENSE).code == 70
    assert precious.read_text() == "mine"
    assert "ZeroDivisionError" in log.read_text()


def test_ctrl_c_elsewhere_exits_130(command: Command, replace: Replace) -> None:
    def compile_workloads(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    replace("vrmpy_tune.compiler", compile_workloads=compile_workloads)
    ended = command("compile", CONV, "-o", "out")
    assert ended.code == 130
    assert "Traceback" not in ended.stderr


def test_a_page_of_times_needs_a_metric_of_time(command: Command) -> None:
    ended = command("run", "out", "--metric", "qemu-packets/1", "--html", "page.html")
    assert ended.code == 2
    assert "use --metric hvx-time/sd8gen1/1" in ended.stderr


@pytest.mark.parametrize("others", [("--check",), ("-o", "x.toml"), ("x.csv",)])
def test_networks_are_estimated_by_profiles_that_ship(
    command: Command, others: tuple[str, ...]
) -> None:
    ended = command("calibrate", "--networks", *others)
    assert ended.code == 2
    assert "--networks fits nothing" in ended.stderr


def test_the_help_names_every_command_in_a_line(command: Command) -> None:
    ended = command("--help")
    assert ended.code == 0
    listed = ended.stdout.partition("Commands:\n")[2].splitlines()
    names = [line.split()[0] for line in listed]
    assert sorted(names) == [
        "bench",
        "calibrate",
        "compare-memory",
        "compile",
        "doctor",
        "explain",
        "farm",
        "records",
        "run",
        "spaces",
        "study",
        "tune",
    ]
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)


def test_the_version_is_printed(command: Command) -> None:
    ended = command("--version")
    assert ended.code == 0
    assert ended.stdout.startswith("vrmpy-tune ")
