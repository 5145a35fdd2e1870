# SPDX-License-Identifier: Apache-2.0
"""Cameras that are found and asked for their streams, whatever they answer."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.cameras.onvifroom import PASSWORD, USER, Responder, StubCamera, envelope, send

from custodes.cameras.onvif import Found, Profile, choose, discover, streams, with_credentials
from custodes.cameras.reach import Reach
from custodes.cameras.soap import parse_xml
from custodes.errors import Denied, Invalid, TooLarge, Unavailable

Make = Callable[..., StubCamera]


@pytest.fixture
def camera() -> Iterator[Make]:
    made: list[StubCamera] = []

    def make(**told: object) -> StubCamera:
        made.append(StubCamera(**told))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


def asked(camera: StubCamera, user: str = USER, password: str = PASSWORD, **more: object) -> tuple[Profile, ...]:
    return streams("127.0.0.1", camera.port, user, password, **more)  # type: ignore[arg-type]


MAIN = Profile(
    "mainStream", "rtsp://127.0.0.1:554/Streaming/Channels/101?transportmode=unicast", 1920, 1080, 15.0, "h264"
)
SUB = Profile("subStream", "rtsp://127.0.0.1:554/Streaming/Channels/102", 640, 360, 5.0, "h264")
HEVC = Profile("hevcStream", "rtsp://127.0.0.1:554/Streaming/Channels/103", 3840, 2160, 20.0, "hevc")


@pytest.mark.parametrize(
    "told",
    [{}, {"services": False}, {"http_digest": True}, {"ahead": timedelta(days=-7000)}, {"xaddr": "http://10.1.2.3:81"}],
    ids=["well-behaved", "old", "http digest", "clock that never was set", "behind another address"],
)
def test_a_camera_tells_its_streams(camera: Make, told: dict[str, object]) -> None:
    """Streams come with sizes, rates and codecs, however it wants passwords, whatever its clock and its address say."""
    assert asked(camera(**told)) == (MAIN, SUB)


def test_what_a_camera_has_beyond_h264_is_found(camera: Make) -> None:
    """H.265, which Media 2 alone knows, is told; the largest stream is to be recorded and a small one looked at."""
    found = asked(camera(media2=True))
    assert found == (MAIN, SUB, HEVC)
    assert choose(found) == (HEVC, SUB)
    assert choose([MAIN]) == (MAIN, None)
    assert (
        choose([MAIN, Profile("s", "rtsp://x/s", 1600, 900, 5, "h264"), Profile("m", "x", 320, 180, 5, "mjpeg")])[1]
        is None
    )
    with pytest.raises(Invalid):
        choose([])


def test_a_url_takes_any_password() -> None:
    """Whatever a user and a password are made of, they can be told from the host again."""
    assert with_credentials("rtsp://cam:554/x", "me@home", "p/:@ss?") == "rtsp://me%40home:p%2F%3A%40ss%3F@cam:554/x"
    assert with_credentials("rtsp://cam/x", "", "") == "rtsp://cam/x"


@pytest.mark.parametrize("digest", [False, True])
def test_a_wrong_password_is_told_as_such_and_never_in_clear(camera: Make, digest: bool) -> None:
    """The camera's refusal is told with a remedy, and what it saw was a digest."""
    seen: list[str] = []

    def look(_: str, request: BaseHTTPRequestHandler) -> bool:
        seen.append(str(request.headers))
        return False

    made = camera(http_digest=digest, hostile=look)
    with pytest.raises(Denied) as caught:
        asked(made, password="hunter22")
    assert caught.value.remedy
    assert "hunter22" not in "".join(seen)
    with pytest.raises(Denied):
        asked(made, user="")


def test_a_camera_that_asks_for_the_password_itself_does_not_get_it(camera: Make) -> None:
    """Basic authentication is refused, whatever else the camera says of it."""
    seen: list[str] = []

    def basic(name: str, request: BaseHTTPRequestHandler) -> bool:
        seen.append(request.headers.get("authorization", ""))
        if name == "GetSystemDateAndTime":
            return False
        request.send_response(401)
        request.send_header("WWW-Authenticate", 'Basic realm="cam"')
        request.send_header("WWW-Authenticate", "Digest nonsense=,,")
        request.end_headers()
        return True

    with pytest.raises(Denied):
        asked(camera(hostile=basic))
    assert not any(seen)


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://10.0.0.9:554",
        "rtsp://127.0.0.1.evil.example",
        "rtsp://127.0.0.1@evil.example",
        "rtsp://evil.example/127.0.0.1",
        "http://127.0.0.1",
        "file:///etc/passwd",
        "concat:rtsp://127.0.0.1",
        "rtsp:///x",
        "rtsp://127.0.0.1:99999",
        "rtsp://[::1",
        "",
        "rtsp://127.0.0.1/ -i /etc/passwd",
    ],
)
def test_streams_elsewhere_are_not_believed(camera: Make, uri: str) -> None:
    """Nothing but RTSP at the camera's own address is a stream of it."""
    with pytest.raises(Invalid):
        asked(camera(uri=uri))


def test_streams_elsewhere_are_believed_if_that_is_wanted(camera: Make) -> None:
    """Whoever says so gets RTSP streams of other addresses, without accounts, and never those of another scheme."""
    made = camera(uri="rtsps://u:p@10.0.0.9:322")
    assert [p.url for p in asked(made, other_hosts=True)] == [
        "rtsps://10.0.0.9:322/Streaming/Channels/101?transportmode=unicast",
        "rtsps://10.0.0.9:322/Streaming/Channels/102",
    ]
    made.uri = "http://10.0.0.9"
    with pytest.raises(Invalid):
        asked(made, other_hosts=True)


def bomb(name: str, request: BaseHTTPRequestHandler) -> bool:
    levels = "".join(f"<!ENTITY b{n} '{f'&b{n - 1};' * 10}'>" for n in range(1, 10))
    send(request, f"<!DOCTYPE x [<!ENTITY b0 'boom'>{levels}]>".encode() + envelope("&b9;"))
    return True


def outsider(name: str, request: BaseHTTPRequestHandler) -> bool:
    text = envelope("<x>&f;</x>").decode().split("?>", 1)[1]
    send(request, f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>{text}'.encode())
    return True


def huge(name: str, request: BaseHTTPRequestHandler) -> bool:
    request.send_response(200)
    request.end_headers()
    for _ in range(2000):
        request.wfile.write(bytes(1 << 16))
    return True


def packed(name: str, request: BaseHTTPRequestHandler) -> bool:
    send(request, gzip.compress(bytes(1 << 20)), content_encoding="gzip")
    return True


def deep(name: str, request: BaseHTTPRequestHandler) -> bool:
    send(request, b"<a>" * 140_000 + b"</a>" * 140_000)
    return True


def wide(name: str, request: BaseHTTPRequestHandler) -> bool:
    send(request, b"\xff\xfe" + "<?xml version='1.0' encoding='utf-16'?><!DOCTYPE x []><x/>".encode("utf-16-le"))
    return True


def page(name: str, request: BaseHTTPRequestHandler) -> bool:
    send(request, b"<html><body>Please log in<br></body></html>")
    return True


def moved(name: str, request: BaseHTTPRequestHandler) -> bool:
    send(request, b"", 307, location="http://169.254.169.254/latest/meta-data")
    return True


def rude(name: str, request: BaseHTTPRequestHandler) -> bool:
    request.wfile.write(b"\x00\x01\x02 nonsense\r\n\r\n")
    return True


@pytest.mark.parametrize("answer", [bomb, outsider, huge, packed, deep, wide, page, moved, rude])
def test_hostile_answers_are_refused(camera: Make, answer: Callable[[str, BaseHTTPRequestHandler], bool]) -> None:
    """Bombs, files, floods, packed and nested answers, redirects and nonsense end in a typed error, soon."""
    started = time.monotonic()
    with pytest.raises((Invalid, Unavailable, Denied)) as caught:
        asked(camera(hostile=answer))
    assert time.monotonic() - started < 3
    assert "root:" not in caught.value.diagnostics()
    if answer is huge:
        assert isinstance(caught.value, TooLarge)


def test_a_document_type_is_refused_before_it_is_parsed() -> None:
    """No document with a document type, or entities, is parsed at all, wherever in it these words stand."""
    for text in ("<!DOCTYPE x><x/>", "<x/><!-- <!DOCTYPE x> -->", "<x><!ENTITY a 'b'></x>"):
        with pytest.raises(Invalid, match="document type"):
            parse_xml(text.encode())
    assert parse_xml("<x>\u00e9</x>".encode("latin-1")).text == "\ufffd"


def test_a_camera_that_dawdles_is_given_up(camera: Make) -> None:
    """All of it takes no longer than it may, however slowly bytes drip."""

    def drip(name: str, request: BaseHTTPRequestHandler) -> bool:
        request.send_response(200)
        request.end_headers()
        for _ in range(100):
            request.wfile.write(b" ")
            time.sleep(0.01)
        return True

    started = time.monotonic()
    with pytest.raises(Unavailable):
        asked(camera(hostile=drip), timeout=0.2)
    assert time.monotonic() - started < 1


def test_a_thousand_profiles_are_not_asked_for(camera: Make) -> None:
    """A camera that tells no end of streams is asked for the first sixteen."""

    def many(name: str, request: BaseHTTPRequestHandler) -> bool:
        if name != "GetProfiles":
            return False
        one = (
            '<m:Profiles token="t1"><t:Name>spam</t:Name><t:VideoEncoderConfiguration><t:Encoding>XVID</t:Encoding>'
            "<t:Resolution><t:Width>-4</t:Width><t:Height>1e9</t:Height></t:Resolution><t:RateControl>"
            "<t:FrameRateLimit>nan</t:FrameRateLimit></t:RateControl></t:VideoEncoderConfiguration></m:Profiles>"
        )
        told = f'<m:GetProfilesResponse xmlns:m="m" xmlns:t="t">{one * 1000}</m:GetProfilesResponse>'
        send(request, envelope(told))
        return True

    made = camera(hostile=many)
    found = asked(made)
    assert len(found) == 16
    assert made.asked.count("GetStreamUri") == 16
    assert (found[0].width, found[0].height, found[0].fps, found[0].codec) == (0, 0, 0.0, "")


def test_places_that_are_no_cameras_are_not_asked() -> None:
    """Link-local addresses, this server, impossible places and machines where nobody listens are told apart."""
    for host, port in (("169.254.169.254", 80), ("a b", 80), ("evil.example/x?", 80), ("127.0.0.1", 0), ("x@y", 80)):
        with pytest.raises(Invalid):
            streams(host, port, "", "")
    with pytest.raises(Invalid):
        streams("127.0.0.1", 8420, "", "", reach=Reach(own_port=8420))
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(Unavailable):
        streams("127.0.0.1", port, "", "")


def test_the_camera_of_these_tests_is_one_to_others_too(camera: Make, tmp_path: Path) -> None:
    """Another client, with ONVIF's own schemas, reads the same streams from the stub: it isn't made to fit ours."""
    pytest.importorskip("onvif", reason="the other client isn't installed")
    made = camera()
    script = textwrap.dedent("""
        import asyncio, json, sys
        from onvif import ONVIFCamera
        async def main():
            camera = ONVIFCamera("127.0.0.1", int(sys.argv[1]), sys.argv[2], sys.argv[3])
            await camera.update_xaddrs()
            media = await camera.create_media_service()
            told = []
            for p in await media.GetProfiles():
                if p.VideoEncoderConfiguration is None:
                    continue
                setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
                uri = await media.GetStreamUri({"StreamSetup": setup, "ProfileToken": p.token})
                size = p.VideoEncoderConfiguration.Resolution
                told.append([p.Name, uri.Uri, size.Width, size.Height])
            await camera.close()
            print(json.dumps(told))
        asyncio.run(main())
    """)
    run = subprocess.run(
        [sys.executable, "-c", script, str(made.port), USER, PASSWORD],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [[p.name, p.url, p.width, p.height] for p in asked(made)]


# --- who is there ---


def match(
    question: str, address: str = "http://127.0.0.1:8080/onvif/device_service", name: str = "Front%20door"
) -> bytes:
    return (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">'
        f"<s:Header><a:RelatesTo>{question}</a:RelatesTo></s:Header><s:Body><d:ProbeMatches><d:ProbeMatch>"
        "<d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>onvif://www.onvif.org/type/video_encoder "
        f"onvif://www.onvif.org/name/{name} onvif://www.onvif.org/hardware/X1</d:Scopes>"
        f"<d:XAddrs>{address}</d:XAddrs></d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
    ).encode()


def test_a_camera_that_answers_is_found() -> None:
    """Its address, port, name and model are told, once, however often it answers."""
    elsewhere = "http://[fe80::1]/x http://127.0.0.1:8080/onvif/device_service"
    responder = Responder(
        lambda q: match(q, elsewhere), match, lambda q: match(q, "https://127.0.0.1/onvif/device_service", "")
    )
    found = discover(0.2, to=responder.address)
    responder.close()
    assert found == (
        Found("127.0.0.1", 443, True, "", "X1"),
        Found("127.0.0.1", 8080, False, "Front door", "X1"),
    )


def test_hostile_answers_find_nothing() -> None:
    """Answers that nobody asked for, that send one elsewhere, bombs and nonsense are passed over."""
    responder = Responder(
        lambda q: match("urn:uuid:another"),
        lambda q: match(q, "http://10.0.0.9/onvif/device_service"),
        lambda q: match(q, "http://169.254.169.254/latest"),
        lambda q: match(q, "ftp://127.0.0.1/x"),
        lambda q: match(q, "http://127.0.0.1:99999/x"),
        lambda q: match(q, "http://[::1/x"),
        lambda q: b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + match(q),
        lambda q: b"\x00" * 60_000,
        lambda q: b"",
        lambda q: match(q, name="%00%1b[31mred%0a" + "y" * 100),
    )
    found = discover(0.2, to=responder.address)
    responder.close()
    assert found == (Found("127.0.0.1", 8080, False, "[31mred" + "y" * 57, "X1"),)


def test_looking_around_ends_in_time() -> None:
    """Asking the whole network takes as long as it may and finds nothing, or can't be done, on a machine of its own."""
    started = time.monotonic()
    with contextlib.suppress(Unavailable):
        assert isinstance(discover(0.1), tuple)
    assert time.monotonic() - started < 1


def test_another_implementation_of_discovery_is_found() -> None:
    """A responder that isn't ours understands the question, and its answer is understood."""
    pytest.importorskip("wsdiscovery", reason="the other implementation isn't installed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind(("", 3702))
        except OSError:
            pytest.skip("something listens on the port of WS-Discovery")
    script = textwrap.dedent("""
        import sys
        from wsdiscovery import QName, Scope
        from wsdiscovery.publishing import ThreadedWSPublishing
        other = ThreadedWSPublishing()
        other.start()
        other.publishService(
            types=[QName("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter", "dn")],
            scopes=[Scope("onvif://www.onvif.org/name/Yard"), Scope("onvif://www.onvif.org/hardware/Y2")],
            xAddrs=["http://127.0.0.1:8081/onvif/device_service"],
        )
        print("ready", flush=True)
        sys.stdin.read()
    """)
    other = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"ready\n"
    found = discover(0.8, to=("127.0.0.1", 3702))  # it answers after half a second, if chance has it
    other.kill()
    other.communicate()
    assert found == (Found("127.0.0.1", 8081, False, "Yard", "Y2"),)
