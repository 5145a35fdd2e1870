# SPDX-License-Identifier: Apache-2.0
"""Webhooks: what is sent and how it is signed, where it may go, and what the other side can't do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.cameras.certificates import certificate

from custodes.cameras.courier import Courier
from custodes.cameras.hooks import Hook, HookStore, new_hook
from custodes.cameras.model import News, NewsKind
from custodes.cameras.reach import Reach, check_url
from custodes.cameras.webhooks import Message, message_of, signature
from custodes.db import Database, Vault
from custodes.errors import Conflict, Invalid, NotFound, Unavailable

ORG = "org-0123456789abcdef"
NEWS = News(
    NewsKind.EVENT_SEEN,
    ORG,
    1_795_600_000_123,
    camera="cam-00000000000000aa",
    name='Front "door"',
    event="evt-1",
    zone="Path",
    people=("Ann",),
    unknown=1,
    picture=b"jpeg",
)
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Heard:
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A server that gives the answers it is told to, the last for ever after; an answer may be a function of bytes."""

    answers: list[bytes | Callable[[socket.socket], None]] = field(default_factory=lambda: [OK])
    context: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    heard: list[Heard] = field(default_factory=list)

    def __post_init__(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._server = socket.create_server((self.host, 0), family=family)
        self.port = int(self._server.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/hook/secret?x=1"
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def wait(self, count: int) -> list[Heard]:
        """Return what was heard, when it is so much."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.heard) >= count, 5), self.heard
            return list(self.heard)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self._server.accept()
            except OSError:
                return
            with taken:
                try:
                    self._talk(self.context.wrap_socket(taken, server_side=True) if self.context else taken)
                except OSError:
                    continue

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            line = stream.readline()
            if not line:  # whoever asked has gone
                return
            _, path, _ = line.decode().split(" ")
            lines = iter(lambda: stream.readline().decode().strip(), "")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = stream.read(int(headers["content-length"]))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            with self._changed:
                self.heard.append(Heard(path, headers, body))
                self._changed.notify_all()
            if callable(answer):
                answer(connection)
            else:
                connection.sendall(answer)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def courier() -> Iterator[Courier]:
    made = Courier(Reach(), delays=(0.01, 0.02))
    yield made
    made.close(0.2)


def settled(courier: Courier, hook: Hook, *, failures: int = 0, lost: int = 0) -> None:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        state = courier.state(hook.id)
        if state.failures >= failures and state.lost >= lost:
            return
        time.sleep(0.005)
    raise AssertionError(courier.state(hook.id))


def verified(hook: Hook, heard: Heard) -> bool:
    """Check a signature as the specification tells receivers to."""
    key = base64.b64decode(hook.secret.removeprefix("whsec_"))
    signed = f"{heard.headers['webhook-id']}.{heard.headers['webhook-timestamp']}.".encode() + heard.body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = [s.split(",", 1) for s in heard.headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(told, wanted) for version, told in given)


# --- what is sent ---


def test_a_signature_is_that_of_the_specification() -> None:
    """The example of the reference implementations' own tests comes out as they have it."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    message = Message("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}')
    assert signature(key, message, 1614265330) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_news_arrive_signed_and_without_a_picture(receiver: Receiver, courier: Courier) -> None:
    """A receiver gets JSON of type, time and data, whose signature it can check; pictures only if they are wanted."""
    hook = new_hook(ORG, receiver.url)
    courier.send(hook, message_of(NEWS))
    courier.send(hook, message_of(NEWS, picture=True))
    plain, pictured = receiver.wait(2)
    assert verified(hook, plain)
    assert not verified(new_hook(ORG, receiver.url), plain)
    assert plain.path == "/hook/secret?x=1"
    assert plain.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert abs(int(plain.headers["webhook-timestamp"]) - time.time()) < 5
    assert json.loads(plain.body) == {
        "type": "event.seen",
        "timestamp": "2026-11-25T09:46:40.123Z",
        "data": {
            "organisation": ORG,
            "camera": "cam-00000000000000aa",
            "name": 'Front "door"',
            "event": "evt-1",
            "zone": "Path",
            "people": ["Ann"],
            "unknown": 1,
            "detail": "",
        },
    }
    assert base64.b64decode(json.loads(pictured.body)["data"]["picture"]) == b"jpeg"


def test_an_address_of_ipv6_is_reached(courier: Courier) -> None:
    """A URL with an IPv6 address is connected to, and named in the request as it stands."""
    try:
        receiver = Receiver(host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert courier.test(new_hook(ORG, f"http://[::1]:{receiver.port}/x")).done
    assert receiver.heard[0].headers["host"] == f"[::1]:{receiver.port}"
    receiver.close()


def test_what_fails_is_tried_again_with_the_same_id_in_order(receiver: Receiver, courier: Courier) -> None:
    """After failures of all kinds the same message comes again, signed anew, and those after it wait their turn."""
    receiver.answers = [b"HTTP/1.1 500 No\r\n\r\n", b"", b"nonsense\r\n\r\n", OK]
    hook = new_hook(ORG, receiver.url)
    first, second = message_of(NEWS), message_of(NEWS)
    for message in (first, second):
        courier.send(hook, message)
    heard = receiver.wait(5)
    assert [h.headers["webhook-id"] for h in heard] == [first.id] * 4 + [second.id]
    assert all(verified(hook, h) for h in heard)
    assert courier.state(hook.id).lost == 0


def test_a_webhook_that_fails_holds_nobody_up(receiver: Receiver, courier: Courier) -> None:
    """While one receiver is away, another gets its news at once; what is too much for memory is lost, oldest first."""
    small = Courier(Reach(), delays=(60.0,), most=3)
    away, here = new_hook(ORG, "http://127.0.0.1:9/x"), new_hook(ORG, receiver.url)
    for _ in range(6):
        small.send(away, message_of(NEWS))
    small.send(here, message_of(NEWS))
    receiver.wait(1)
    settled(small, away, failures=1)
    for _ in range(4):
        small.send(away, message_of(NEWS))
    settled(small, away, lost=4)
    assert small.state(away.id).waiting >= 3
    started = time.monotonic()
    small.close()
    assert time.monotonic() - started < 1
    small.send(here, message_of(NEWS))
    with pytest.raises(Unavailable):
        small.test(here)


def test_old_messages_are_given_up() -> None:
    """What hasn't arrived after its time is lost, and counted."""
    courier = Courier(Reach(), delays=(0.01,), lasts=0.05)
    hook = new_hook(ORG, "http://127.0.0.1:9/x")
    courier.send(hook, message_of(NEWS))
    settled(courier, hook, lost=1)
    courier.close()


def test_a_webhook_that_fails_for_long_is_told_of_once(receiver: Receiver) -> None:
    """Whoever asked is told of a webhook that keeps failing, once, until it has worked again."""
    told: list[str] = []
    courier = Courier(Reach(), delays=(0.01,), alarm=0.03)
    courier.on_failing(lambda hook: told.append(hook.id))
    hook = new_hook(ORG, receiver.url)
    receiver.answers = [b"HTTP/1.1 404 Not Found\r\n\r\n"]
    courier.send(hook, message_of(NEWS))
    settled(courier, hook, failures=2)
    until = time.monotonic() + 5
    while not told and time.monotonic() < until:
        time.sleep(0.005)
    settled(courier, hook, failures=courier.state(hook.id).failures + 2)
    assert told == [hook.id]
    courier.close()


def test_a_receiver_that_is_gone_is_left_alone(receiver: Receiver, courier: Courier) -> None:
    """After status 410 nothing more is sent and somebody is told; a test that succeeds begins it anew."""
    told: list[str] = []
    courier.on_failing(lambda hook: told.append(hook.id))
    hook = new_hook(ORG, receiver.url)
    receiver.answers = [b"HTTP/1.1 410 Gone\r\n\r\n", OK]
    courier.send(hook, message_of(NEWS))
    settled(courier, hook, lost=1)
    courier.send(hook, message_of(NEWS))
    settled(courier, hook, lost=2)
    assert told == [hook.id]
    assert len(receiver.heard) == 1
    assert courier.test(hook).done
    assert json.loads(receiver.heard[-1].body)["type"] == "test"
    courier.send(hook, message_of(NEWS))
    receiver.wait(3)
    assert not courier.state(hook.id).gone


def test_a_receiver_that_asks_for_rest_gets_it(receiver: Receiver, courier: Courier) -> None:
    """``Retry-After`` is heeded, up to ten minutes."""
    hook = new_hook(ORG, receiver.url)
    for asked, given in (("30", 30.0), ("9" * 5000, 600.0), ("-1", 0.0), ("soon", 0.0)):
        receiver.answers = [f"HTTP/1.1 503 Busy\r\nRetry-After: {asked}\r\n\r\n".encode()]
        assert courier.test(hook).rest == given


def test_what_waits_for_a_removed_webhook_is_dropped(receiver: Receiver, courier: Courier) -> None:
    """Nothing is sent to a webhook after it is removed."""
    slow = Courier(Reach(), delays=(0.1,))
    receiver.answers = [b"HTTP/1.1 500 No\r\n\r\n"]
    hook = new_hook(ORG, receiver.url)
    slow.send(hook, message_of(NEWS))
    settled(slow, hook, failures=1)
    slow.forget(hook.id)
    time.sleep(0.2)
    assert len(receiver.heard) == 1
    slow.close()


# --- what the other side can't do ---


def drip(connection: socket.socket) -> None:
    """Send an endless header, a byte now and then."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while True:
        time.sleep(0.02)
        connection.sendall(b"a")


def flood(connection: socket.socket) -> None:
    """Send an endless body."""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n")
    for _ in range(2000):
        connection.sendall(bytes(1 << 16))


def babble(connection: socket.socket) -> None:
    """Send endless headers."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for n in range(200_000):
        connection.sendall(b"x-%d: y\r\n" % n)


def test_slow_huge_and_silent_answers_are_cut_off(receiver: Receiver) -> None:
    """No answer, a dripping one, endless headers and an endless body end within the time of an attempt."""
    courier = Courier(Reach(), timeout=0.4)
    hook = new_hook(ORG, receiver.url)
    wanted = [
        (lambda _: time.sleep(0.6), {"timeout"}),
        (drip, {"timeout"}),
        (babble, {"unreachable", "timeout"}),
        (flood, {"done", "timeout"}),  # a status is all that is read
    ]
    for answer, codes in wanted:
        receiver.answers = [answer]
        started = time.monotonic()
        assert courier.test(hook).code in codes
        assert time.monotonic() - started < 2
    courier.close()


def test_redirects_and_cookies_are_not_followed(receiver: Receiver, courier: Courier) -> None:
    """A redirect is a failure and is never followed, and no cookie comes back."""
    other = Receiver()
    receiver.answers = [
        f"HTTP/1.1 307 There\r\nLocation: {other.url}\r\nSet-Cookie: a=b\r\n\r\n".encode(),
        OK,
    ]
    hook = new_hook(ORG, receiver.url)
    moved = courier.test(hook)
    assert (moved.code, moved.status) == ("status", 307)
    assert courier.test(hook).done
    assert not other.heard
    assert "cookie" not in receiver.heard[1].headers
    other.close()


def test_a_certificate_must_be_the_hosts(tmp_path: Path) -> None:
    """With https the certificate is checked against the name of the URL, though the connection goes to an address."""
    cert, key = certificate(tmp_path, "localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    receiver = Receiver(context=server)
    trusting = Courier(Reach(), verify=ssl.create_default_context(cafile=str(cert)))
    doubting = Courier(Reach())
    named = new_hook(ORG, f"https://localhost:{receiver.port}/x")
    assert trusting.test(named).done
    assert receiver.heard[0].headers["host"] == f"localhost:{receiver.port}"
    assert doubting.test(named).code == "certificate"
    assert trusting.test(new_hook(ORG, f"https://127.0.0.1:{receiver.port}/x")).code == "certificate"
    for courier in (trusting, doubting):
        courier.close()
    receiver.close()


# --- where it may go ---


@pytest.mark.parametrize(
    "url",
    [
        "",
        "home.example/x",
        "ftp://home.example/x",
        "file:///etc/passwd",
        "http:///x",
        "http://user:pw@home.example/x",
        "http://home.example/x#y",
        "http://home.example:0/x",
        "http://home.example:99999/x",
        "http://home.example/a b",
        "http://home.example/\r\nX: y",
        "http://h\u00f6me.example/",
        "http://[::1/x",
        "https://home.example/" + "x" * 2000,
    ],
)
def test_what_is_no_url_of_a_webhook_is_refused(url: str) -> None:
    """Only https and http with a host, without a user, a password, a fragment and anything that isn't plain text."""
    with pytest.raises(Invalid):
        check_url(url)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.1.1",
        "0xA9FEA9FE",
        "2852039166",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[fd00:ec2::254]",
        "0.0.0.0",
        "0",
        "[::]",
        "224.0.0.1",
        "255.255.255.255",
        "[ff02::1]",
    ],
)
def test_link_local_addresses_are_barred_however_they_are_written(host: str) -> None:
    """Metadata services, this machine's other names and groups of machines aren't reached by any spelling."""
    with pytest.raises(Invalid):
        Reach().judged(f"http://{host}/latest/meta-data")


def test_the_home_network_is_fine_and_this_server_is_not() -> None:
    """Addresses of a home and other ports of this machine are reached; this server's own port isn't."""
    reach = Reach(own_port=8420)
    assert reach.judged("http://192.168.1.5:8123/x") == ("192.168.1.5",)
    assert reach.judged("http://192.168.1.5:8420/x") == ("192.168.1.5",)
    assert reach.judged("http://[fd12::5]/x") == ("fd12::5",)
    assert reach.judged("http://127.0.0.1:8123/x") == ("127.0.0.1",)
    for own in (
        "http://127.0.0.1:8420/x",
        "http://localhost:8420/x",
        "http://127.9.9.9:8420/",
        "http://[::ffff:7f00:1]:8420",
    ):
        with pytest.raises(Invalid):
            reach.judged(own)
    with pytest.raises(Unavailable):
        reach.judged("http://nobody.invalid/x")


def test_a_name_that_changes_its_address_gains_nothing(
    receiver: Receiver, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to the address that was judged: a name is looked up once an attempt, and judged each time."""
    real, asked = socket.getaddrinfo, []

    def rebinding(host: str, *args: object, **more: object) -> object:
        if host != "rebind.example":
            return real(host, *args, **more)  # type: ignore[arg-type]
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, receiver.port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    hook = new_hook(ORG, f"http://rebind.example:{receiver.port}/x")
    assert courier.test(hook).done
    assert len(asked) == 1
    assert receiver.heard[0].headers["host"] == f"rebind.example:{receiver.port}"
    assert courier.test(hook).code == "barred"
    assert len(receiver.heard) == 1


# --- the store ---


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'hooks.sqlite3'}")
    made.migrate()
    yield made
    made.close()


def test_webhooks_are_kept_sealed(database: Database, tmp_path: Path) -> None:
    """URL and key come back as they were, stand nowhere in the file, and are an organisation's own."""
    store, hook = HookStore(Vault(bytes(32))), new_hook(ORG, "https://home.example/api/webhook/abc", pictures=True)
    with database.transaction() as c:
        store.add(c, hook)
        with pytest.raises(Conflict):
            store.add(c, new_hook(ORG, hook.url))
        for n in range(7):
            store.add(c, new_hook(ORG, f"https://home.example/{n}"))
        with pytest.raises(Conflict):
            store.add(c, new_hook(ORG, "https://home.example/too-many"))
        assert store.get(c, ORG, hook.id) == hook
        assert len(store.list(c, ORG)) == 8
        assert store.list(c, "org-other") == ()
        for wrong in (lambda: store.get(c, "org-other", hook.id), lambda: store.remove(c, "org-other", hook.id)):
            with pytest.raises(NotFound):
                wrong()
    raw = b"".join(p.read_bytes() for p in tmp_path.glob("hooks.sqlite3*"))
    assert b"home.example" not in raw
    assert hook.key not in raw
    assert hook.url not in repr(hook)
    assert hook.secret not in repr(hook)
    with database.transaction() as c:
        store.remove(c, ORG, hook.id)
        assert hook.id not in {h.id for h in store.list(c, ORG)}
