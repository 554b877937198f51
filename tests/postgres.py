"""A PostgreSQL server of the tests' own: installed where it is missing, started, and removed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

ROOT = Path(__file__).resolve().parents[1]
INSTALL_S = 600
USER = "postgres"


def programs() -> Path:
    """Return the directory of PostgreSQL's programs, installing Debian's package if need be."""
    found = _installed()
    if found is None:
        done = subprocess.run(
            [ROOT / "setup" / "packages.sh", "--tests"],
            check=False, capture_output=True, text=True, timeout=INSTALL_S,
        )  # fmt: skip
        found = _installed()
        if found is None:
            pytest.skip(
                "PostgreSQL is missing, and setup/packages.sh --tests cannot install it here: "
                + (done.stderr.strip().splitlines() or ["no message"])[-1]
            )
    return found


def _installed() -> Path | None:
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    named = shutil.which("postgres")
    if named:
        candidates.append(Path(named).resolve())
    return candidates[-1].parent if candidates else None


class PostgresServer:
    """A server on the loopback interface that trusts everyone, with one database.

    It writes nothing through to the disk: its data is gone with the test.
    """

    def __init__(self, directory: Path) -> None:
        self._programs = programs()
        self._directory = directory
        # PostgreSQL refuses to run as root.
        self._as_user = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
        if self._as_user:
            shutil.chown(directory, USER)
        self._run("initdb", "--auth=trust", f"--username={USER}", "--no-sync")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = (
            f"-p {self.port} -k {self._directory} -c listen_addresses=127.0.0.1 -c fsync=off "
            "-c max_connections=200"
        )
        log = self._directory / "log"
        self._run("pg_ctl", "start", "--wait", f"--log={log}", f"--options={options}")

    def stop(self) -> None:
        """Stop at once, as a crash would."""
        self._run("pg_ctl", "stop", "--mode=immediate")

    def restart(self) -> None:
        """Restart as an administrator does: clients are cut off."""
        self._run("pg_ctl", "stop", "--mode=fast")
        self.start()

    def kill(self) -> None:
        """Kill every process of the server, and wait until all are gone."""
        processes = self._processes()
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=10)

    def freeze(self) -> None:
        """Stop every process of the server where it is."""
        for process in self._processes():
            process.suspend()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        for process in self._processes():
            process.resume()

    def _processes(self) -> list[psutil.Process]:
        pid = int((self._directory / "data" / "postmaster.pid").read_text().split()[0])
        server = psutil.Process(pid)
        return [server, *server.children(recursive=True)]

    def new_schema(self, name: str) -> str:
        """Return the URL of an empty schema."""
        engine = create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA IF EXISTS {name} CASCADE"))
            connection.execute(text(f"CREATE SCHEMA {name}"))
        engine.dispose()
        return f"{self.url}?options=-csearch_path%3D{name}"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [
                *self._as_user,
                self._programs / program,
                f"--pgdata={self._directory / 'data'}",
                *arguments,
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server."""
    with tempfile.TemporaryDirectory(prefix="vrmpy-pg-", dir="/tmp") as name:
        server = PostgresServer(Path(name))
        try:
            yield server
        finally:
            server.stop()
