# SPDX-License-Identifier: Apache-2.0
"""News of cameras on an MQTT broker, with what Home Assistant needs to show them.

Topics are made of the prefix and cameras' random ids, never of anything that people chose; names and places stand in
JSON alone. ``PREFIX/status`` is ``online`` or, by the connection's last will, ``offline``. What is retained is what a
camera is (its state, whether something moves) and what it is called; who was seen and pictures aren't, so that a broker
keeps neither. Nothing is listened to but Home Assistant's own status.

Nothing is kept for a broker that is away: when it is back, it is told how things are, not what it has missed.
"""

from __future__ import annotations

import secrets
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from custodes.cameras.discovery import NOTICE_TYPES, Topics, discovery_of, notice_discovery
from custodes.cameras.model import News, NewsKind
from custodes.cameras.moments import from_ms, written
from custodes.config import Mqtt

__all__ = ["MqttLink"]

_log = structlog.get_logger("custodes.cameras")
_KEEPALIVE = 30
_PATIENCE = 10.0
"""Seconds for which a slow broker is waited for; then the next news are told, or lost in the queue."""
_GOODBYE = 2.0
_REPEAT_SECONDS = 2.0
"""Home Assistant is answered so often at most."""
_ENDS = {"disk-ok": "disk-full", "decodable": "undecodable"}
"""What ends which trouble."""
_LASTING = frozenset({"disk-full"})
"""Trouble that a camera that comes back doesn't end."""
_MOST_STATE = 255
"""Characters that a state of Home Assistant has at most."""

_EVENTS = {
    NewsKind.MOTION: "motion",
    NewsKind.EVENT_BEGUN: "begun",
    NewsKind.EVENT_SEEN: "seen",
    NewsKind.EVENT_ENDED: "ended",
}


@dataclass(slots=True)
class _Shown:
    """A camera, as the broker is told of it."""

    name: str
    online: bool = False
    why: str = ""
    since: int = 0
    trouble: frozenset[str] = frozenset()
    moving: bool = False


class MqttLink:
    """Tells a broker the news of one organisation's cameras.

    Args:
        broker: how it is reached, and what it is told.
        version: of this software, as Home Assistant shows it.
        verify: checks the broker's certificate, if the connection is encrypted; by default with what this machine
            trusts.
    """

    def __init__(self, broker: Mqtt, version: str = "", verify: ssl.SSLContext | None = None) -> None:
        self._broker = broker
        self._verify = verify
        self._version = version
        self._topics = Topics(broker.prefix, broker.discovery)
        self._organisation = ""
        self._cameras: dict[str, _Shown] = {}
        self._gone: set[str] = set()
        self._lock = threading.RLock()
        self._answered = -_REPEAT_SECONDS
        self._complaint = ""
        self._client = self._made()

    def start(self) -> None:
        """Connect in the background, and again whenever the connection is lost."""
        self._client.connect_async(self._broker.host, self._broker.port, _KEEPALIVE)
        self._client.loop_start()

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._client.is_connected()

    def show(self, organisation: str, cameras: Mapping[str, str]) -> None:
        """Tell which cameras there are, by id and name; those that were there before and aren't any more are removed.

        A camera that was removed while this process didn't run stays on the broker until somebody deletes it there.

        Args:
            organisation: whose news are told.
            cameras: names by id.

        Raises:
            Invalid: if an id can't stand in a topic.
        """
        for camera in cameras:
            self._topics.check(camera)
        with self._lock:
            self._organisation = organisation
            self._gone |= self._cameras.keys() - cameras.keys()
            self._gone -= cameras.keys()
            changed = [c for c, name in cameras.items() if c not in self._cameras or self._cameras[c].name != name]
            kept = self._cameras
            self._cameras = {c: kept.get(c, _Shown(name)) for c, name in cameras.items()}
            for camera, name in cameras.items():
                self._cameras[camera].name = name
            if self.connected:
                self._clear_gone()
                if changed:
                    self._describe(changed)

    def tell(self, news: News) -> None:
        """Tell the broker news of the organisation, if it is there: a listener of the announcer, which may wait."""
        with self._lock:
            if news.organisation != self._organisation:
                return
            if str(news.kind) in NOTICE_TYPES and (news.kind != NewsKind.TROUBLE or not news.camera):
                sent = self._publish(self._topics.notice, self._noticed(news))
            elif (shown := self._cameras.get(news.camera)) is not None:
                _note(shown, news)
                sent = self._tell_of(news, shown)
            else:
                return
        if sent is not None:
            _wait(sent)

    def send(self, organisation: str, topic: str, payload: bytes) -> None:
        """Publish below the prefix what an organisation sends, if the broker is there and is told of that organisation.

        Args:
            organisation: whose it is.
            topic: below the prefix.
            payload: what.
        """
        with self._lock:
            if organisation == self._organisation:
                self._publish(f"{self._topics.prefix}/{topic}", payload)

    def close(self) -> None:
        """Say goodbye and disconnect."""
        if self.connected:
            sent = self._publish(self._topics.status, b"offline", retain=True)
            if sent is not None:
                _wait(sent, _GOODBYE)
        self._client.disconnect()
        stopping = threading.Thread(target=self._client.loop_stop, name="mqtt end", daemon=True)
        stopping.start()  # a broker that says nothing more would be waited for until the keep-alive
        stopping.join(_GOODBYE)

    # --- what is told ---

    def _tell_of(self, news: News, shown: _Shown) -> MQTTMessageInfo | None:
        """Publish what news of a camera change; return the last message."""
        topics, camera, sent = self._topics, news.camera, None
        if news.kind in (NewsKind.CAMERA_UP, NewsKind.CAMERA_DOWN, NewsKind.TROUBLE):
            sent = self._publish(topics.of(camera, "state"), _state(shown), retain=True)
        if news.kind in (NewsKind.CAMERA_DOWN, NewsKind.MOTION, NewsKind.STILL):
            sent = self._publish(topics.of(camera, "motion"), _motion(shown), retain=True)
        if news.kind in _EVENTS:
            told = self._happened(news)
            sent = self._publish(topics.of(camera, "event"), {"event_type": _EVENTS[news.kind]} | told)
            if news.kind in (NewsKind.EVENT_SEEN, NewsKind.EVENT_ENDED) and (news.people or news.unknown):
                sent = self._publish(topics.of(camera, "person"), {"person": self._who(news)} | told)
        if news.picture:
            sent = self._publish(topics.of(camera, "snapshot"), news.picture)
        return sent

    def _happened(self, news: News) -> dict[str, object]:
        told: dict[str, object] = {
            "camera": news.camera,
            "name": news.name,
            "event": news.event,
            "zone": news.zone,
            "known": len(news.people),
            "unknown": news.unknown,
            "at": _iso(news.at),
        }
        return told | {"people": list(news.people)} if self._broker.names else told

    def _who(self, news: News) -> str:
        if news.people and self._broker.names:
            return ", ".join(news.people)[:_MOST_STATE]
        return "somebody known" if news.people else "unknown"

    @staticmethod
    def _noticed(news: News) -> dict[str, object]:
        return {"event_type": str(news.kind), "camera": news.camera, "detail": news.detail, "at": _iso(news.at)}

    # --- the connection ---

    def _made(self) -> Client:
        broker = self._broker
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"custodes-{secrets.token_hex(6)}")
        if broker.username:
            client.username_pw_set(broker.username, broker.password or None)
        if broker.tls:
            client.tls_set_context(self._verify or ssl.create_default_context())
        client.will_set(self._topics.status, b"offline", qos=1, retain=True)
        client.reconnect_delay_set(1, 30)
        client.suppress_exceptions = True  # what goes wrong in a callback is logged, and the connection lives on
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: Client, _: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._complain(str(reason))
            return
        self._complaint = ""
        if self._broker.discovery:
            client.subscribe(self._topics.home, qos=0)
        with self._lock:
            self._publish(self._topics.status, b"online", retain=True)
            self._clear_gone()
            self._describe(self._cameras)

    def _on_connect_fail(self, client: Client, _: object) -> None:
        self._complain("it can't be reached, or its certificate isn't trusted")

    def _complain(self, why: str) -> None:
        """Log why there is no connection, unless that was the last thing to be logged."""
        if why != self._complaint:
            self._complaint = why
            _log.warning("no connection to the MQTT broker", why=why)

    def _on_disconnect(
        self, client: Client, _: object, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._complain(str(reason))

    def _on_message(self, client: Client, _: object, message: MQTTMessage) -> None:
        """Answer Home Assistant, which has begun; whatever else somebody says is no concern of ours."""
        now = time.monotonic()
        if message.topic != self._topics.home or message.payload != b"online" or message.retain:
            return
        with self._lock:
            if now - self._answered >= _REPEAT_SECONDS:
                self._answered = now
                self._describe(self._cameras)

    def _describe(self, cameras: Mapping[str, object] | list[str]) -> None:
        """Tell what cameras are called, what there is of them, and how they are."""
        topics = self._topics
        if self._broker.discovery:
            for topic, told in notice_discovery(topics, self._version).items():
                self._publish(topic, told, retain=True)
        for camera in cameras:
            shown = self._cameras[camera]
            self._publish(topics.of(camera, "state"), _state(shown), retain=True)
            self._publish(topics.of(camera, "motion"), _motion(shown), retain=True)
            if self._broker.discovery:
                for topic, told in discovery_of(topics, camera, shown.name, self._version).items():
                    self._publish(topic, told, retain=True)

    def _clear_gone(self) -> None:
        """Take removed cameras off the broker."""
        for camera in self._gone:
            topics = [self._topics.of(camera, "state"), self._topics.of(camera, "motion")]
            if self._broker.discovery:
                topics = [*discovery_of(self._topics, camera, "", self._version), *topics]
            for topic in topics:
                self._publish(topic, b"", retain=True)
        self._gone.clear()

    def _publish(self, topic: str, told: bytes | dict[str, object], *, retain: bool = False) -> MQTTMessageInfo | None:
        """Publish, if the broker is there."""
        if not self.connected:
            return None
        payload = told if isinstance(told, bytes) else orjson.dumps(told)
        return self._client.publish(topic, payload, qos=0, retain=retain)  # what is lost is told anew, not sent again


def _note(shown: _Shown, news: News) -> None:
    """Note what news change of a camera."""
    match news.kind:
        case NewsKind.CAMERA_UP:
            shown.online, shown.why, shown.since = True, "", news.at
            shown.trouble &= _LASTING
        case NewsKind.CAMERA_DOWN:
            shown.online, shown.why, shown.since, shown.moving = False, news.detail, news.at, False
        case NewsKind.MOTION | NewsKind.STILL:
            shown.moving = news.kind == NewsKind.MOTION
        case NewsKind.TROUBLE if news.detail in _ENDS:
            shown.trouble -= {_ENDS[news.detail]}
        case NewsKind.TROUBLE:
            shown.trouble |= {news.detail}
        case _:
            pass


def _state(shown: _Shown) -> dict[str, object]:
    since = _iso(shown.since) if shown.since else None
    return {"online": shown.online, "why": shown.why, "since": since, "trouble": sorted(shown.trouble)}


def _motion(shown: _Shown) -> bytes:
    return b"ON" if shown.moving else b"OFF"


def _iso(at: int) -> str:
    return written(from_ms(at))


def _wait(sent: MQTTMessageInfo, seconds: float = _PATIENCE) -> None:
    """Wait until a message is sent, or for so long."""
    try:
        sent.wait_for_publish(seconds)
        arrived = sent.is_published()
    except (RuntimeError, ValueError):  # the broker went away meanwhile
        arrived = False
    if not arrived:
        _log.warning("news didn't reach the MQTT broker")
