from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from vrmpy_tune.errors import EXIT_INTERRUPTED
from vrmpy_tune.tune.interrupt import stopping_on_interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_the_run_and_the_handlers_are_put_back(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    stops: list[int] = []
    with stopping_on_interrupt(lambda: stops.append(1)) as interrupted:
        assert not interrupted()
        signal.raise_signal(number)
        assert stops == [1]
        assert interrupted()
    assert signal.getsignal(number) is before
    assert "again to stop at once" in capsys.readouterr().err


def test_the_second_signal_ends_the_process() -> None:
    program = (
        "import signal\n"
        "from vrmpy_tune.tune.interrupt import stopping_on_interrupt\n"
        "with stopping_on_interrupt(lambda: None):\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print('unreachable')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ended.returncode == EXIT_INTERRUPTED
    assert ended.stdout == b""
    assert b"Traceback" not in ended.stderr


def test_a_run_in_another_thread_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def run() -> None:
        with stopping_on_interrupt(pytest.fail) as interrupted:
            seen.append((signal.getsignal(signal.SIGINT), interrupted()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(before, False)]
