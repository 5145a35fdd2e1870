# SPDX-License-Identifier: Apache-2.0
"""A camera that speaks ONVIF, as far as tests need one, well-behaved or as hostile as they like."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Responder", "StubCamera", "envelope"]

DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
SCHEMA = "http://www.onvif.org/ver10/schema"
USER, PASSWORD = "viewer", "pa<ss>&word"

_FAULT = (
    "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value xmlns:e='http://www.onvif.org/ver10/error'>"
    "e:{code}</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang='en'>no</s:Text></s:Reason></s:Fault>"
)


def envelope(body: str) -> bytes:
    """Return a message of SOAP 1.2."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


@dataclass
class StubProfile:
    """A stream of the camera: as it is told."""

    token: str
    name: str
    encoding: str
    size: tuple[int, int]
    fps: int
    path: str


MAIN = StubProfile("t<0>", "mainStream", "H264", (1920, 1080), 15, "/Streaming/Channels/101?transportmode=unicast")
SUB = StubProfile("t1", "subStream", "H264", (640, 360), 5, "/Streaming/Channels/102")
HEVC = StubProfile("t2", "hevcStream", "H265", (3840, 2160), 20, "/Streaming/Channels/103")


@dataclass
class StubCamera:
    """The camera.

    Attributes:
        media2: whether it speaks Media 2, in which it has a stream more.
        services: whether it knows GetServices, or is old.
        http_digest: whether it asks for HTTP Digest instead of WS-Security.
        ahead: of its clock.
        uri: what streams' URIs begin with.
        hostile: takes the name of what is asked and the connection, and may answer itself; it then returns True.
        asked: what was asked, by name.
    """

    media2: bool = False
    services: bool = True
    http_digest: bool = False
    ahead: timedelta = timedelta()
    uri: str = "rtsp://127.0.0.1:554"
    xaddr: str = ""
    hostile: Callable[[str, BaseHTTPRequestHandler], bool] = lambda _name, _request: False
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                camera._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.block_on_close = False
        self.port = self._server.server_port
        self.xaddr = self.xaddr or f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"])).decode()
        name = re.search(r"Body[^>]*>\s*<(?:\w+:)?(\w+)", body)
        assert name is not None, body
        asked = name[1]
        self.asked.append(asked)
        try:
            if self.hostile(asked, request):
                return
            if asked != "GetSystemDateAndTime" and not self._is_allowed(body, request):
                if self.http_digest:
                    request.send_response(401)
                    request.send_header("WWW-Authenticate", 'Digest realm="cam", qop="auth", nonce="n1", algorithm=MD5')
                    request.end_headers()
                else:
                    send(request, envelope(_FAULT.format(code="NotAuthorized")), 400)
                return
            told = self._told(asked, body)
            send(request, envelope(told or _FAULT.format(code="ActionNotSupported")), 200 if told else 500)
        except OSError:  # the other side has had enough
            request.close_connection = True

    def _is_allowed(self, body: str, request: BaseHTTPRequestHandler) -> bool:
        if self.http_digest:
            given = dict(re.findall(r'(\w+)="?([^",]+)"?', request.headers.get("authorization", "")))
            one = hashlib.md5(f"{USER}:cam:{PASSWORD}".encode()).hexdigest()
            two = hashlib.md5(f"POST:{request.path}".encode()).hexdigest()
            told = [given.get(k, "") for k in ("nonce", "nc", "cnonce", "qop")]
            return given.get("response") == hashlib.md5(":".join([one, *told, two]).encode()).hexdigest()
        user, digest, nonce, created = (
            (re.search(rf"<[^>]*{name}[^>]*>([^<]*)<", body) or ["", ""])[1]
            for name in (":Username\\b", ":Password\\b", ":Nonce\\b", ":Created\\b")
        )
        if not created:
            return False
        now = datetime.now(UTC) + self.ahead
        if abs(datetime.fromisoformat(created.replace("Z", "+00:00")) - now) > timedelta(seconds=10):
            return False
        wanted = hashlib.sha1(base64.b64decode(nonce) + created.encode() + PASSWORD.encode()).digest()
        return user == USER and base64.b64decode(digest) == wanted

    def _told(self, asked: str, body: str) -> str:
        match asked:
            case "GetSystemDateAndTime":
                return self._time()
            case "GetServices" if self.services:
                return self._services()
            case "GetCapabilities":
                media = f"<t:Media><t:XAddr>{self.xaddr}/onvif/Media</t:XAddr></t:Media>"
                return (
                    f'<d:GetCapabilitiesResponse xmlns:d="{DEVICE}" xmlns:t="{SCHEMA}">'
                    f"<d:Capabilities>{media}</d:Capabilities></d:GetCapabilitiesResponse>"
                )
            case "GetProfiles":
                return self._profiles2() if MEDIA2 in body else self._profiles()
            case "GetStreamUri":
                return self._uri(body)
        return ""

    def _time(self) -> str:
        now = datetime.now(UTC) + self.ahead
        return (
            f'<d:GetSystemDateAndTimeResponse xmlns:d="{DEVICE}" xmlns:t="{SCHEMA}"><d:SystemDateAndTime>'
            "<t:DateTimeType>NTP</t:DateTimeType><t:DaylightSavings>false</t:DaylightSavings><t:UTCDateTime>"
            f"<t:Time><t:Hour>{now.hour}</t:Hour><t:Minute>{now.minute}</t:Minute><t:Second>{now.second}</t:Second>"
            f"</t:Time><t:Date><t:Year>{now.year}</t:Year><t:Month>{now.month}</t:Month><t:Day>{now.day}</t:Day>"
            "</t:Date></t:UTCDateTime></d:SystemDateAndTime></d:GetSystemDateAndTimeResponse>"
        )

    def _services(self) -> str:
        told = {DEVICE: "/onvif/device_service", MEDIA: "/onvif/Media"}
        if self.media2:
            told[MEDIA2] = "/onvif/Media2"
        services = "".join(
            f"<d:Service><d:Namespace>{speaks}</d:Namespace><d:XAddr>{self.xaddr}{path}</d:XAddr>"
            "<d:Version><t:Major>2</t:Major><t:Minor>0</t:Minor></d:Version></d:Service>"
            for speaks, path in told.items()
        )
        return f'<d:GetServicesResponse xmlns:d="{DEVICE}" xmlns:t="{SCHEMA}">{services}</d:GetServicesResponse>'

    def _profiles(self) -> str:
        made = "".join(
            f'<m:Profiles token="{p.token.replace("<", "&lt;")}" fixed="true"><t:Name>{p.name}</t:Name>'
            f'<t:VideoEncoderConfiguration token="e"><t:Name>e</t:Name><t:UseCount>1</t:UseCount>'
            f"<t:Encoding>{p.encoding}</t:Encoding><t:Resolution><t:Width>{p.size[0]}</t:Width>"
            f"<t:Height>{p.size[1]}</t:Height></t:Resolution><t:Quality>5</t:Quality><t:RateControl>"
            f"<t:FrameRateLimit>{p.fps}</t:FrameRateLimit><t:EncodingInterval>1</t:EncodingInterval>"
            "<t:BitrateLimit>2048</t:BitrateLimit></t:RateControl><t:Multicast><t:Address><t:Type>IPv4</t:Type>"
            "</t:Address><t:Port>0</t:Port><t:TTL>0</t:TTL><t:AutoStart>false</t:AutoStart></t:Multicast>"
            "<t:SessionTimeout>PT60S</t:SessionTimeout></t:VideoEncoderConfiguration></m:Profiles>"
            for p in (MAIN, SUB)
        )
        sound = '<m:Profiles token="sound" fixed="true"><t:Name>sound</t:Name></m:Profiles>'
        return f'<m:GetProfilesResponse xmlns:m="{MEDIA}" xmlns:t="{SCHEMA}">{made}{sound}</m:GetProfilesResponse>'

    def _profiles2(self) -> str:
        made = "".join(
            f'<m:Profiles token="{p.token.replace("<", "&lt;")}" fixed="true"><m:Name>{p.name}</m:Name>'
            f"<m:Configurations><m:VideoEncoder token='e'><t:Name>e</t:Name><t:Encoding>{p.encoding}</t:Encoding>"
            f"<t:Resolution><t:Width>{p.size[0]}</t:Width><t:Height>{p.size[1]}</t:Height></t:Resolution>"
            f"<t:RateControl><t:FrameRateLimit>{p.fps}</t:FrameRateLimit></t:RateControl>"
            "</m:VideoEncoder></m:Configurations></m:Profiles>"
            for p in (MAIN, SUB, HEVC)
        )
        return f'<m:GetProfilesResponse xmlns:m="{MEDIA2}" xmlns:t="{SCHEMA}">{made}</m:GetProfilesResponse>'

    def _uri(self, body: str) -> str:
        found = re.search(r"ProfileToken[^>]*>([^<]*)<", body)
        token = found[1].replace("&lt;", "<").replace("&gt;", ">") if found else ""
        uri = next((self.uri + p.path for p in (MAIN, SUB, HEVC) if p.token == token), "").replace("&", "&amp;")
        if MEDIA2 in body:
            return f'<m:GetStreamUriResponse xmlns:m="{MEDIA2}"><m:Uri>{uri}</m:Uri></m:GetStreamUriResponse>'
        return (
            f'<m:GetStreamUriResponse xmlns:m="{MEDIA}" xmlns:t="{SCHEMA}"><m:MediaUri><t:Uri>{uri}</t:Uri>'
            "<t:InvalidAfterConnect>false</t:InvalidAfterConnect><t:InvalidAfterReboot>false</t:InvalidAfterReboot>"
            "<t:Timeout>PT0S</t:Timeout></m:MediaUri></m:GetStreamUriResponse>"
        )


def send(request: BaseHTTPRequestHandler, data: bytes, status: int = 200, **headers: str) -> None:
    """Send an answer."""
    request.send_response(status)
    request.send_header("content-type", "application/soap+xml")
    request.send_header("content-length", str(len(data)))
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(data)


class Responder:
    """A machine that is asked who is there, by unicast, and answers what it is told to.

    Args:
        answers: made of the id of the question.
    """

    def __init__(self, *answers: Callable[[str], bytes]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(5)
        self.address: tuple[str, int] = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve, args=(answers,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._thread.join()
        self._socket.close()

    def _serve(self, answers: tuple[Callable[[str], bytes], ...]) -> None:
        data, sender = self._socket.recvfrom(1 << 16)
        found = re.search(r"MessageID>([^<]+)<", data.decode())
        assert found is not None
        for answer in answers:
            self._socket.sendto(answer(found[1]), sender)
            time.sleep(0.001)
