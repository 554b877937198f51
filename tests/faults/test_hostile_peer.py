"""FAULTS.md row 16: what a peer without the key, or with bad intent, can do to a farm."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.farm.jobs import run
from tests.farm.local_farm import LocalFarm, eventually, local_farm
from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm import frame
from vrmpy_tune.farm.blobs import LARGEST_BLOB, sign
from vrmpy_tune.farm.channel import Channel, LinkError
from vrmpy_tune.farm.frame import Kind, RefusedError
from vrmpy_tune.farm.secret import FarmKey
from vrmpy_tune.farm.stock import MEASURE, REFUSED
from vrmpy_tune.farm.tracker_link import Offer, TrackerLink
from vrmpy_tune.measurement import Outcome

pytestmark = pytest.mark.fault

KEY = "obedient"


@pytest.fixture(scope="module")
def farm() -> Iterator[LocalFarm]:
    with local_farm() as farm:
        farm.serve(KEY, "python:tests.farm.devices:Obedient", slots=1)
        yield farm


@pytest.fixture
def agent(farm: LocalFarm) -> str:
    return str(farm.status()["hosts"][0]["agent"])


def offer_of(farm: LocalFarm) -> Offer:
    with TrackerLink(farm.tracker, farm.secret) as link:
        return link.request(KEY, 1)


def logged(farm: LocalFarm, text: str) -> None:
    eventually(lambda: text in farm.hosts[0].output, 5)


def artifacts(farm: LocalFarm) -> list[Path]:
    """All files of the agent's artifact store."""
    pid = farm.hosts[0].process.pid
    sockets = [c.laddr for c in psutil.Process(pid).net_connections("unix") if c.laddr]
    (directory,) = {Path(str(name)).parent for name in sockets if str(name).endswith("agent.sock")}
    return sorted((directory / "blobs").iterdir())


class TestUploads:
    CONTENT = b"an artifact"
    DIGEST = hashlib.sha256(CONTENT).hexdigest()

    def refused(self, farm: LocalFarm, agent: str, offer: dict[str, object], why: str) -> None:
        before = artifacts(farm)
        with Channel(agent, farm.secret) as channel, pytest.raises(FarmError, match=why):
            channel.ask({"do": "put", **offer})
            channel.send_data(self.CONTENT)
            channel.answer()
        logged(farm, "refused")
        assert artifacts(farm) == before

    @pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a" * 63, "A" * 64, "", "\0" * 64])
    def test_a_name_that_is_no_digest_is_refused(
        self, farm: LocalFarm, agent: str, name: str
    ) -> None:
        offer = {"digest": name, "bytes": 11, "tag": sign(farm.secret, name)}
        self.refused(farm, agent, offer, "is no SHA-256")

    def test_an_oversize_upload_is_refused_before_it_is_sent(
        self, farm: LocalFarm, agent: str
    ) -> None:
        tag = sign(farm.secret, self.DIGEST)
        offer = {"digest": self.DIGEST, "bytes": LARGEST_BLOB + 1, "tag": tag}
        self.refused(farm, agent, offer, "at most")

    @pytest.mark.parametrize("tag", ["", "00" * 32, "no hexadecimal"])
    def test_an_unsigned_upload_is_refused(self, farm: LocalFarm, agent: str, tag: str) -> None:
        self.refused(farm, agent, {"digest": self.DIGEST, "bytes": 11, "tag": tag}, "not signed")

    def test_a_signature_of_another_key_is_refused(self, farm: LocalFarm, agent: str) -> None:
        tag = sign(FarmKey(b"another key, just as long"), self.DIGEST)
        self.refused(farm, agent, {"digest": self.DIGEST, "bytes": 11, "tag": tag}, "not signed")

    def test_an_altered_upload_is_refused(self, farm: LocalFarm, agent: str) -> None:
        other = hashlib.sha256(b"something else").hexdigest()
        offer = {"digest": other, "bytes": 11, "tag": sign(farm.secret, other)}
        self.refused(farm, agent, offer, "altered")

    def test_more_bytes_than_announced_end_the_connection(
        self, farm: LocalFarm, agent: str
    ) -> None:
        offer = {"digest": self.DIGEST, "bytes": 5, "tag": sign(farm.secret, self.DIGEST)}
        with Channel(agent, farm.secret) as channel, pytest.raises(LinkError, match="ended"):
            channel.ask({"do": "put", **offer})
            channel.send_data(self.CONTENT)
            channel.answer()


class TestConnections:
    @pytest.fixture(params=["agent", "tracker"])
    def address(self, request: pytest.FixtureRequest, farm: LocalFarm, agent: str) -> str:
        return agent if request.param == "agent" else farm.tracker

    def test_a_peer_with_another_key_is_refused_and_so_is_its_farm(
        self, farm: LocalFarm, address: str
    ) -> None:
        with pytest.raises(RefusedError, match="not to be trusted: It has another farm key"):
            Channel(address, FarmKey(b"another key, just as long"))

    def test_a_peer_that_cannot_prove_itself_is_refused_and_logged(
        self, farm: LocalFarm, agent: str
    ) -> None:
        host, port = agent.rsplit(":")
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(frame.new_hello())
            connection.recv(frame.REPLY_BYTES)
            connection.sendall(bytes(32))
            assert connection.recv(1) == b""
        logged(farm, "It has another farm key")

    @pytest.mark.parametrize(
        "said", [b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"VTF1", b"\xff" * 9999]
    )
    def test_nonsense_gets_no_answer_and_harms_nobody(
        self, farm: LocalFarm, address: str, said: bytes, tmp_path: Path
    ) -> None:
        host, port = address.rsplit(":")
        with socket.create_connection((host, int(port)), 8) as connection:
            connection.sendall(said)
            with suppress(ConnectionResetError):
                assert connection.recv(1 << 16) in (b"", frame.MAGIC)
        with farm.device(KEY) as device:
            assert run(device, tmp_path, b"good").outcome is Outcome.OK

    def test_a_frame_that_was_altered_or_sent_twice_ends_the_connection(
        self, farm: LocalFarm, agent: str
    ) -> None:
        question = frame.to_json({"do": "status"})
        for spoil in (
            lambda packed: [packed[:-1] + bytes([packed[-1] ^ 1])],
            lambda packed: [packed.replace(b"status", b"statuz")],
            lambda packed: [packed, packed],
        ):
            with Channel(agent, farm.secret) as channel:
                packed = channel._outgoing.pack(Kind.JSON, question)
                for one in spoil(packed):
                    channel._write(one)
                with pytest.raises(LinkError, match=r"ended|gone"):
                    channel.answer()
                    channel.answer()
        logged(farm, "tag does not match")

    def test_a_frame_too_large_is_refused_before_it_is_read(
        self, farm: LocalFarm, agent: str
    ) -> None:
        with Channel(agent, farm.secret) as channel:
            channel._write(frame.HEADER.pack(frame.LARGEST_FRAME + 1, Kind.JSON))
            with pytest.raises(LinkError, match=r"ended|gone"):
                channel.answer()
        logged(farm, "is none of ours")

    def test_everything_listens_on_the_loopback_interface(self, farm: LocalFarm) -> None:
        found = set()
        for program in (*farm.hosts, farm.tracker_program):
            root = psutil.Process(program.process.pid)
            for process in (root, *root.children(recursive=True)):
                for connection in process.net_connections("inet"):
                    if connection.status == psutil.CONN_LISTEN:
                        found.add(connection.laddr.ip)
        assert found == {"127.0.0.1"}

    def test_listening_elsewhere_takes_so_many_words_and_says_what_it_exposes(
        self, farm: LocalFarm
    ) -> None:
        with LocalFarm(bind="0.0.0.0") as open_farm:
            said = open_farm.tracker_program.output
            listening = psutil.Process(open_farm.tracker_program.process.pid)
            addresses = {
                connection.laddr.ip
                for process in (listening, *listening.children(recursive=True))
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            }
        assert addresses == {"0.0.0.0", "127.0.0.1"}
        assert "every host that reaches this address can connect to the tracker" in said
        assert "nothing is encrypted" in said


class TestStockPorts:
    """What somebody on the serving host itself can do, who needs no key for TVM's own ports."""

    @pytest.fixture
    def session(self, farm: LocalFarm) -> Iterator[object]:
        import tvm.rpc

        eventually(lambda: farm.status()["keys"][KEY]["free"] == 1)
        offer = offer_of(farm)
        session = tvm.rpc.connect("127.0.0.1", offer.port, offer.match_key)
        yield session
        del session

    def test_stock_uploads_are_refused_and_logged(self, farm: LocalFarm, session: object) -> None:
        with pytest.raises(Exception, match="switched off"):
            session.upload(bytearray(b"evil"), "../x")  # type: ignore[attr-defined]
        logged(farm, "refused a call of tvm.rpc.server.upload")

    def test_no_stock_function_can_be_found_but_those_that_refuse(self, session: object) -> None:
        get = session.get_function  # type: ignore[attr-defined]
        for name in ("runtime.ModuleLoadFromFile", "testing.echo", "ffi.FunctionRemoveGlobal"):
            with pytest.raises(Exception, match=name):
                get(name)
        for name in REFUSED:
            with pytest.raises(Exception, match="switched off"):
                get(name)("x")

    def test_a_request_that_is_not_signed_is_refused_and_logged(
        self, farm: LocalFarm, session: object
    ) -> None:
        measure = session.get_function(MEASURE)  # type: ignore[attr-defined]
        answer = bytes(measure(bytearray(b"0" * 32 + b'{"job": {}}')))
        assert answer[32:] == b"XThe request is not signed with this farm's key."
        logged(farm, "refused an unsigned request")

    def test_afterwards_the_slot_serves(self, farm: LocalFarm, tmp_path: Path) -> None:
        began = time.monotonic()
        with farm.device(KEY) as device:
            assert run(device, tmp_path, b"good").outcome is Outcome.OK
        assert time.monotonic() - began < 20
