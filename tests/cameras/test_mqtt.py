# SPDX-License-Identifier: Apache-2.0
"""Cameras on a real MQTT broker, as Home Assistant sees them."""

from __future__ import annotations

import gc
import itertools
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from tests.cameras.certificates import certificate

from custodes.cameras.discovery import Topics, discovery_of
from custodes.cameras.model import News, NewsKind
from custodes.cameras.mqtt import MqttLink
from custodes.config import Mqtt
from custodes.errors import Invalid

pytest.importorskip("amqtt", reason="the broker of these tests isn't installed")

HOME = "org-0123456789abcdef"
DOOR = "cam-00000000000000aa"
YARD = "cam-00000000000000bb"
AT = 1_795_600_000_123
HOSTILE = 'Porch {{ states("x") }} +/# "\n'


BROKER = """
import asyncio, json, sys
from amqtt.broker import Broker

async def main():
    listener = {"type": "tcp", "bind": "127.0.0.1:0"} | json.loads(sys.argv[1])
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": {"default": listener}, "plugins": plugins})
    await broker.start()
    print(broker._servers["default"].instance.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


class RunningBroker:
    """amqtt in a process of its own, since it leaves sockets open."""

    def __init__(self, **listener: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", BROKER, json.dumps(listener)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Cable:
    """A way to a broker that can be cut and mended: a port that is passed on to another."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._ends: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._mended = threading.Event()
        self._mended.set()
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        self._mended.clear()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._mended.set()

    def close(self) -> None:
        self.cut()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            if not self._mended.is_set():
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._to))
            self._ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    @staticmethod
    def _pass(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
        one.close()


class HomeAssistant:
    """A client that listens to everything, and remembers it by topic."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self._changed = threading.Condition()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="home")
        self._client.on_message = self._on_message
        ready = threading.Event()
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_connect = lambda client, *_: client.subscribe("#")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert ready.wait(5)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with self._changed:
            self.heard.append((message.topic, message.payload, message.retain))
            self._changed.notify_all()

    def wait(self, topic: str, matches: Callable[[bytes], bool] = lambda _: True, since: int = 0) -> bytes:
        """Return the first payload on a topic that matches."""
        until = time.monotonic() + 5
        with self._changed:
            while True:
                for told, payload, _ in self.heard[since:]:
                    if told == topic and matches(payload):
                        return payload
                assert self._changed.wait(until - time.monotonic()), f"nothing on {topic}: {self.heard}"

    def say(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload).wait_for_publish(5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def wait_until(done: Callable[[], object]) -> None:
    until = time.monotonic() + 5
    while not done():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningBroker]:
    made = RunningBroker()
    yield made
    made.close()


@pytest.fixture
def home(broker: RunningBroker) -> Iterator[HomeAssistant]:
    made = HomeAssistant(broker.port)
    yield made
    made.close()


_numbers = itertools.count()


@pytest.fixture
def place() -> str:
    """The prefix of a test's own topics; what it describes to Home Assistant is below the same, and ``-home``."""
    return f"place{next(_numbers)}"


def settings(port: int, place: str, **more: Any) -> Mqtt:
    told = {"prefix": place, "discovery": f"{place}-home"} | more
    return replace(Mqtt(host="127.0.0.1", port=port), **told)


@pytest.fixture
def link(broker: RunningBroker, place: str) -> Iterator[MqttLink]:
    made = MqttLink(settings(broker.port, place), "1.2")
    made.start()
    yield made
    made.close()


def news(kind: NewsKind, **more: Any) -> News:
    told = {"camera": DOOR, "name": "Front door"} | more
    return News(kind, more.pop("organisation", HOME), AT, **told)


def test_home_assistant_sees_a_camera_from_discovery_to_goodbye(
    home: HomeAssistant, link: MqttLink, place: str
) -> None:
    """A camera's six entities are described, its event comes with who was there and a picture, then it says goodbye."""
    link.show(HOME, {DOOR: HOSTILE})
    described = {}
    for component, key in [
        ("binary_sensor", "motion"),
        ("binary_sensor", "connection"),
        ("binary_sensor", "problem"),
        ("sensor", "person"),
        ("event", "event"),
        ("image", "snapshot"),
    ]:
        described[key] = json.loads(home.wait(f"{place}-home/{component}/custodes_{DOOR}/{key}/config"))
    assert all(d["device"]["name"] == HOSTILE and d["device"]["identifiers"] for d in described.values())
    assert len({d["unique_id"] for d in described.values()}) == 6
    assert home.wait(f"{place}/status") == b"online"

    since = len(home.heard)
    link.tell(news(NewsKind.CAMERA_UP))
    link.tell(news(NewsKind.MOTION))
    link.tell(
        news(NewsKind.EVENT_SEEN, event="evt-1", zone="Path", people=("Ann", "Bo"), unknown=1, picture=b"\xff\xd8x")
    )
    assert json.loads(home.wait(described["connection"]["state_topic"], since=since))["online"] is True
    assert home.wait(described["motion"]["state_topic"], since=since) == b"ON"
    event = json.loads(home.wait(described["event"]["state_topic"], lambda p: b"seen" in p))
    assert event["event_type"] in described["event"]["event_types"]
    assert event == {
        "event_type": "seen",
        "camera": DOOR,
        "name": "Front door",
        "event": "evt-1",
        "zone": "Path",
        "known": 2,
        "unknown": 1,
        "people": ["Ann", "Bo"],
        "at": "2026-11-25T09:46:40.123Z",
    }
    assert json.loads(home.wait(described["person"]["state_topic"]))["person"] == "Ann, Bo"
    assert home.wait(described["snapshot"]["image_topic"]) == b"\xff\xd8x"

    link.close()
    assert home.wait(f"{place}/status", lambda p: p == b"offline", since) == b"offline"
    topics = {topic for topic, _, _ in home.heard}
    assert not [t for t in topics if "Porch" in t or "#" in t or "+" in t]


def test_records_of_stream_processors_are_published_below_the_prefix(
    home: HomeAssistant, link: MqttLink, place: str
) -> None:
    """What the organisation sends that the broker is told of, and of no other; nothing of it is retained."""
    link.show(HOME, {DOOR: "Front door"})
    home.wait(f"{place}/status")
    link.send("org-another", "streams/door", b"theirs")
    link.send(HOME, "streams/door", b"ours")
    assert home.wait(f"{place}/streams/door") == b"ours"
    assert [(p, r) for t, p, r in home.heard if t == f"{place}/streams/door"] == [(b"ours", False)]


def test_only_what_a_camera_is_stays_on_the_broker(broker: RunningBroker, link: MqttLink, place: str) -> None:
    """Who was seen, events and pictures aren't retained; description, state and motion are."""
    link.show(HOME, {DOOR: "Front door"})
    early = HomeAssistant(broker.port)
    early.wait(f"{place}/{DOOR}/motion")
    link.tell(news(NewsKind.EVENT_SEEN, people=("Ann",), picture=b"jpeg"))
    early.wait(f"{place}/{DOOR}/snapshot")
    early.close()
    late = HomeAssistant(broker.port)
    late.wait(f"{place}-home/image/custodes_{DOOR}/snapshot/config")
    for topic in ("status", f"{DOOR}/state", f"{DOOR}/motion"):
        late.wait(f"{place}/{topic}")
    late.say(f"{place}/last", "")
    late.wait(f"{place}/last")
    late.close()
    kept = {topic for topic, _, retained in late.heard if retained and topic.startswith(f"{place}/")}
    assert kept == {f"{place}/status", f"{place}/{DOOR}/state", f"{place}/{DOOR}/motion"}


def test_a_server_that_dies_is_offline_by_its_will(broker: RunningBroker, home: HomeAssistant, place: str) -> None:
    """When the connection breaks without a goodbye, the broker itself tells that the server is offline."""
    link = MqttLink(settings(broker.port, place))
    link.start()
    home.wait(f"{place}/status", lambda p: p == b"online")
    transport = link._client.socket()
    assert transport is not None
    link._client._thread_terminate = True  # as if the process were killed
    transport.shutdown(socket.SHUT_RDWR)
    assert home.wait(f"{place}/status", lambda p: p == b"offline") == b"offline"
    link.close()


def test_a_broker_that_comes_back_is_told_how_things_are(
    broker: RunningBroker, home: HomeAssistant, place: str
) -> None:
    """While the way to it is cut, the server is offline; then the broker hears how things are, not what it missed."""
    cable = Cable(broker.port)
    link = MqttLink(settings(cable.port, place))
    link._client.reconnect_delay_set(0.05, 0.1)  # type: ignore[arg-type]
    link.show(HOME, {DOOR: "Front door", YARD: "Yard"})
    link.start()
    home.wait(f"{place}-home/image/custodes_{YARD}/snapshot/config")
    since = len(home.heard)
    cable.cut()
    home.wait(f"{place}/status", lambda p: p == b"offline", since)
    wait_until(lambda: not link.connected)
    link.tell(news(NewsKind.CAMERA_UP))
    link.tell(news(NewsKind.MOTION))
    link.tell(news(NewsKind.TROUBLE, detail="disk-full"))
    link.tell(news(NewsKind.EVENT_SEEN, event="evt-missed", people=("Ann",)))
    link.show(HOME, {DOOR: "Front door"})
    since = len(home.heard)
    cable.mend()
    state = json.loads(home.wait(f"{place}/{DOOR}/state", since=since))
    assert state == {"online": True, "why": "", "since": "2026-11-25T09:46:40.123Z", "trouble": ["disk-full"]}
    assert home.wait(f"{place}/{DOOR}/motion", since=since) == b"ON"
    assert home.wait(f"{place}-home/image/custodes_{YARD}/snapshot/config", since=since) == b""
    assert home.wait(f"{place}/status", since=since) == b"online"
    link.close()
    cable.close()
    assert not [p for _, p, _ in home.heard if b"evt-missed" in p]


def test_a_camera_that_is_removed_or_renamed_is_so_at_home_too(home: HomeAssistant, link: MqttLink, place: str) -> None:
    """What is retained of a removed camera is emptied, and a new name is described; news of it go nowhere."""
    link.show(HOME, {DOOR: "Front door", YARD: "Yard"})
    home.wait(f"{place}-home/image/custodes_{YARD}/snapshot/config")
    since = len(home.heard)
    link.show(HOME, {DOOR: "Side door"})
    for topic in [*discovery_of(Topics(place, f"{place}-home"), YARD, "", ""), f"{place}/{YARD}/state"]:
        assert home.wait(topic, since=since) == b""
    about = home.wait(f"{place}-home/event/custodes_{DOOR}/event/config", since=since)
    assert json.loads(about)["device"]["name"] == "Side door"
    link.tell(news(NewsKind.MOTION, camera=YARD))
    link.tell(news(NewsKind.MOTION))
    home.wait(f"{place}/{DOOR}/motion", lambda p: p == b"ON", since)
    assert (f"{place}/{YARD}/motion", b"ON", False) not in home.heard


def test_home_assistant_is_answered_when_it_begins_and_not_when_others_talk(
    home: HomeAssistant, link: MqttLink, place: str
) -> None:
    """``online`` on its status topic has all described anew, once in a while; anything else there does nothing."""
    link.show(HOME, {DOOR: "Front door"})
    config = f"{place}-home/sensor/custodes_{DOOR}/person/config"
    home.wait(config)
    since = len(home.heard)
    home.say("homeassistant/status", "offline")
    home.say(f"{place}/{DOOR}/motion", "junk")
    home.say(f"{place}/command", "delete")
    home.say("homeassistant/status", "online")
    for _ in range(20):
        home.say("homeassistant/status", "online")
    home.wait(config, since=since)
    link.tell(news(NewsKind.EVENT_ENDED, event="evt-9"))
    home.wait(f"{place}/{DOOR}/event", lambda p: b"evt-9" in p)
    assert len([t for t, _, _ in home.heard[since:] if t == config]) < 5


def test_without_names_nobody_is_named(broker: RunningBroker, home: HomeAssistant, place: str) -> None:
    """With ``names = false`` it is told that somebody known, or unknown, is there, and no name goes out."""
    link = MqttLink(settings(broker.port, f"{place}/cams", names=False, discovery=""))
    link.show(HOME, {DOOR: "Front door"})
    link.start()
    home.wait(f"{place}/cams/status")
    link.tell(news(NewsKind.EVENT_SEEN, event="evt-1", people=("Ann",)))
    assert json.loads(home.wait(f"{place}/cams/{DOOR}/person"))["person"] == "somebody known"
    link.tell(news(NewsKind.EVENT_ENDED, event="evt-2", unknown=2))
    unknown = json.loads(home.wait(f"{place}/cams/{DOOR}/person", lambda p: b"evt-2" in p))
    assert (unknown["person"], unknown["known"], unknown["unknown"]) == ("unknown", 0, 2)
    link.close()
    assert not [p for _, p, _ in home.heard if b"Ann" in p]
    assert not [t for t, _, _ in home.heard if t.startswith(place) and t.endswith("/config")]


def test_news_of_others_are_not_told(home: HomeAssistant, link: MqttLink, place: str) -> None:
    """News of another organisation go nowhere; an order of a court goes out as a notice of the house."""
    link.show(HOME, {DOOR: "Front door"})
    home.wait(f"{place}/status")
    link.tell(replace(news(NewsKind.EVENT_SEEN, event="evt-other", people=("Eve",)), organisation="org-other"))
    link.tell(replace(news(NewsKind.LEGAL_PROCESS, detail="warrant"), camera="", name=""))
    notice = json.loads(home.wait(f"{place}/notice"))
    assert (notice["event_type"], notice["detail"]) == ("legal-process", "warrant")
    assert not [p for _, p, _ in home.heard if b"evt-other" in p]


def test_an_id_that_would_leave_its_topic_is_refused() -> None:
    """Nothing but letters, digits and hyphens gets into a topic."""
    link = MqttLink(settings(1, "custodes"))
    for wrong in ("../x", "a/b", "+", "#", "", "x" * 65):
        with pytest.raises(Invalid):
            link.show(HOME, {wrong: "Front door"})
    link.close()


def test_trouble_ends_as_it_should() -> None:
    """A full disk outlasts a reconnection and ends by itself; what ails a stream ends with the stream."""
    link = MqttLink(settings(1, "custodes"))
    link.show(HOME, {DOOR: "Front door"})
    for detail in ("disk-full", "undecodable", "codec"):
        link.tell(news(NewsKind.TROUBLE, detail=detail))
    shown = link._cameras[DOOR]
    assert shown.trouble == {"disk-full", "undecodable", "codec"}
    link.tell(news(NewsKind.TROUBLE, detail="decodable"))
    assert shown.trouble == {"disk-full", "codec"}
    link.tell(news(NewsKind.CAMERA_UP))
    assert shown.trouble == {"disk-full"}
    link.tell(news(NewsKind.TROUBLE, detail="disk-ok"))
    assert shown.trouble == frozenset()
    link.tell(news(NewsKind.MOTION))
    link.tell(news(NewsKind.CAMERA_DOWN, detail="frozen"))
    assert (shown.online, shown.moving, shown.why) == (False, False, "frozen")
    link.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves the refused socket open
def test_an_encrypted_broker_is_trusted_by_its_certificate_alone(tmp_path: Path) -> None:
    """With TLS a link connects to a broker whose certificate it can check, and to no other."""
    cert, key = certificate(tmp_path, "127.0.0.1")
    broker = RunningBroker(ssl=True, certfile=str(cert), keyfile=str(key))
    trusting = MqttLink(
        settings(broker.port, "custodes", tls=True), verify=ssl.create_default_context(cafile=str(cert))
    )
    doubting = MqttLink(settings(broker.port, "custodes", tls=True))
    for link in (doubting, trusting):
        link._client.reconnect_delay_set(0.05, 0.05)  # type: ignore[arg-type]
        link.start()
    wait_until(lambda: trusting.connected and doubting._complaint)
    assert not doubting.connected
    assert "certificate" in doubting._complaint
    for link in (doubting, trusting):
        link.close()
    broker.close()
    gc.collect()  # so that it is this test which hears of it
