# SPDX-License-Identifier: Apache-2.0
"""What streams a camera has: ONVIF Media 1 and 2.

Whatever a camera says is hostile: its services are asked at its own address alone, and a stream is believed only if it
is RTSP there. One with no address but a link-local one isn't asked, since clouds keep secrets there.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from custodes.cameras.finding import Found, discover, place_of
from custodes.cameras.reach import Reach
from custodes.cameras.soap import Credentials, Service, printable, text_of
from custodes.errors import Denied, Invalid, Unavailable

__all__ = ["Found", "Profile", "choose", "discover", "streams", "with_credentials"]

_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA = "http://www.onvif.org/ver10/media/wsdl"
_MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
_SCHEMA = "http://www.onvif.org/ver10/schema"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}|[0-9A-Fa-f:.]{1,45})|:[0-9A-Fa-f:.]{1,45}")
_PATH = "/onvif/device_service"
_MOST_PROFILES = 16
_CODECS = {"H264": "h264", "H265": "hevc", "JPEG": "mjpeg", "MPEG4": "mpeg4"}
_MOST_URI = 1000
_TOKEN = 64
_MOST_AHEAD = timedelta(days=36_500)
_SMALL = 640 * 360
"""Pixels of the pictures in which motion is best looked for."""
_UNCHECKED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_UNCHECKED.check_hostname = False
_UNCHECKED.verify_mode = ssl.CERT_NONE  # a camera makes its certificate itself; passwords go out as digests alone


@dataclass(frozen=True, slots=True)
class Profile:
    """A stream of a camera.

    Attributes:
        name: what the camera calls it.
        url: RTSP, without credentials.
        width, height: pixels; 0 if it isn't told.
        fps: pictures a second, at most; 0 if it isn't told.
        codec: as libavcodec calls it: ``h264``, ``hevc``, ``mjpeg``, ``mpeg4``; empty for others.
    """

    name: str
    url: str
    width: int
    height: int
    fps: float
    codec: str


def with_credentials(url: str, user: str, password: str) -> str:
    """Return the URL of a stream with the account that it is read by."""
    if not user:
        return url
    scheme, rest = url.split("://", 1)
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"


def choose(profiles: Iterable[Profile]) -> tuple[Profile, Profile | None]:
    """Return the stream to record, the one with most pixels, and one to look for motion in, if it is much smaller.

    Raises:
        Invalid: if there is none.
    """
    ranked = sorted(profiles, key=lambda p: (p.width * p.height, p.codec == "h264", p.fps), reverse=True)
    if not ranked:
        raise Invalid("The camera has no streams.")
    main = ranked[0]
    small = [
        p for p in ranked if p.codec in ("h264", "hevc") and 0 < 2 * p.width * p.height <= main.width * main.height
    ]
    return main, min(small, key=lambda p: abs(p.width * p.height - _SMALL), default=None)


def streams(
    host: str,
    port: int,
    user: str,
    password: str,
    *,
    secure: bool = False,
    other_hosts: bool = False,
    timeout: float = 15.0,
    reach: Reach | None = None,
) -> tuple[Profile, ...]:
    """Ask a camera for its streams.

    Args:
        host, port: where it is.
        user, password: an account of it; they go out as digests.
        secure: whether it is asked by https; its certificate, which hardly any camera can have right, isn't checked.
        other_hosts: whether streams of other addresses than its own are believed.
        timeout: seconds that all of it may take.
        reach: judges addresses.

    Raises:
        Denied: if the camera doesn't accept the account.
        Invalid: if it may not be reached, says nothing that makes sense, or has streams elsewhere alone.
        TooLarge: if it says too much.
        Unavailable: if it doesn't answer.
    """
    scheme, place = "https" if secure else "http", f"[{host}]" if ":" in host else host
    if not _HOST.fullmatch(host) or not 0 < port < 1 << 16:
        raise Invalid("A camera is at a name or an address, and a port from 1 to 65535.")
    addresses = (reach or Reach()).judged(f"{scheme}://{place}:{port}/")
    camera = _Device(scheme, host, port, addresses, other_hosts)
    try:
        return asyncio.run(asyncio.wait_for(camera.streams(Credentials(user, password)), timeout))
    except TimeoutError as e:
        raise Unavailable("The camera takes too long to answer.", remedy="Check its address and its port.") from e


@dataclass(frozen=True, slots=True)
class _Device:
    """A camera that is asked.

    Attributes:
        scheme, host, port: where it is, as people say it.
        addresses: that were judged.
        other_hosts: whether streams elsewhere are believed.
    """

    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...]
    other_hosts: bool

    async def streams(self, credentials: Credentials) -> tuple[Profile, ...]:
        """Return what streams there are."""
        device, credentials = await self._greeted(credentials)
        services = await self._services(device, credentials)
        if _MEDIA2 in services:  # which alone knows H.265
            with contextlib.suppress(Invalid):
                return await self._profiles(services[_MEDIA2], _MEDIA2, credentials)
        return await self._profiles(services.get(_MEDIA, device), _MEDIA, credentials)

    async def _greeted(self, credentials: Credentials) -> tuple[Service, Credentials]:
        """Find an address that answers, and how far its clock is off."""
        ask = f'<GetSystemDateAndTime xmlns="{_DEVICE}"/>'
        for number, address in enumerate(self.addresses, 1):
            service = self._at(address, self.scheme, self.port, _PATH)
            try:
                answer = await service.call(ask, Credentials("", ""))
                return service, replace(credentials, ahead=_ahead(answer))
            except (Denied, Invalid):  # it keeps its time to itself
                return service, credentials
            except Unavailable:
                if number == len(self.addresses):
                    raise
        raise Unavailable("The camera has no address.")

    async def _services(self, device: Service, credentials: Credentials) -> dict[str, Service]:
        """Return the camera's services by what they speak."""
        told: dict[str, str] = {}
        try:
            ask = f'<GetServices xmlns="{_DEVICE}"><IncludeCapability>false</IncludeCapability></GetServices>'
            answer = await device.call(ask, credentials)
            for service in answer.iterfind("{*}GetServicesResponse/{*}Service"):
                told[text_of(service, "Namespace", 100)] = text_of(service, "XAddr", _MOST_URI)
        except Invalid:  # an old camera
            ask = f'<GetCapabilities xmlns="{_DEVICE}"><Category>Media</Category></GetCapabilities>'
            answer = await device.call(ask, credentials)
            told[_MEDIA] = text_of(answer, "Media/XAddr", _MOST_URI)
        return {speaks: self._service(device, url) for speaks, url in told.items() if speaks in (_MEDIA, _MEDIA2)}

    async def _profiles(self, media: Service, speaks: str, credentials: Credentials) -> tuple[Profile, ...]:
        """Return the profiles of a service of media.

        Raises:
            Invalid: if there is none with a stream that is believed.
        """
        wanted = "<Type>VideoEncoder</Type>" if speaks == _MEDIA2 else ""
        answer = await media.call(f'<GetProfiles xmlns="{speaks}">{wanted}</GetProfiles>', credentials)
        made, elsewhere = [], 0
        for element in list(answer.iterfind("{*}GetProfilesResponse/{*}Profiles"))[:_MOST_PROFILES]:
            encoder = element.find("{*}Configurations/{*}VideoEncoder" if wanted else "{*}VideoEncoderConfiguration")
            if encoder is None:
                continue
            try:
                uri = await self._uri(media, speaks, element.get("token", "")[:_TOKEN], credentials)
            except Invalid:  # this one can't be streamed
                continue
            url = self._believed(uri)
            elsewhere += not url
            if url:
                made.append(_profile(element, encoder, url))
        if not made and elsewhere:
            raise Invalid(
                "The camera says that its streams are at another address than its own.",
                remedy="Add the camera by the URL of its stream, if you know that to be right.",
            )
        if not made:
            raise Invalid("The camera has no streams.")
        return tuple(made)

    async def _uri(self, media: Service, speaks: str, token: str, credentials: Credentials) -> str:
        named = f"<ProfileToken>{escape(token)}</ProfileToken>"
        if speaks == _MEDIA2:
            ask = f'<GetStreamUri xmlns="{_MEDIA2}"><Protocol>RTSP</Protocol>{named}</GetStreamUri>'
        else:
            ask = (
                f'<GetStreamUri xmlns="{_MEDIA}"><StreamSetup xmlns:t="{_SCHEMA}"><t:Stream>RTP-Unicast</t:Stream>'
                f"<t:Transport><t:Protocol>RTSP</t:Protocol></t:Transport></StreamSetup>{named}</GetStreamUri>"
            )
        return text_of(await media.call(ask, credentials), "Uri", _MOST_URI)

    def _believed(self, uri: str) -> str:
        """Return the URL of a stream without an account, or nothing if it isn't RTSP at the camera's own address."""
        try:
            parts = urlsplit(uri)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return ""
        if parts.scheme not in ("rtsp", "rtsps") or not host or not uri.isascii() or " " in uri:
            return ""
        if not self._is_own(host) and not self.other_hosts:
            return ""
        place = f"[{host}]" if ":" in host else host
        query = f"?{parts.query}" if parts.query else ""
        return f"{parts.scheme}://{place}{'' if port is None else f':{port}'}{parts.path}{query}"

    def _is_own(self, host: str) -> bool:
        return host == self.host.lower() or host in self.addresses

    def _service(self, device: Service, told: str) -> Service:
        """Return a service at the camera's own address, whatever host the camera tells."""
        address = str(urlsplit(device.url).hostname)
        host, port, secure = place_of(told)
        path = urlsplit(told).path if host else ""
        if not (path.startswith("/") and path.isascii() and " " not in path):
            path = _PATH
        if not self._is_own(host.lower()):
            return self._at(address, self.scheme, self.port, path)
        return self._at(address, "https" if secure else "http", port, path)

    def _at(self, address: str, scheme: str, port: int, path: str) -> Service:
        place, host = (f"[{h}]" if ":" in h else h for h in (address, self.host))
        return Service(f"{scheme}://{place}:{port}{path}", f"{host}:{port}", _UNCHECKED)


def _profile(element: Element, encoder: Element, url: str) -> Profile:
    return Profile(
        name=text_of(element, "Name") or printable(element.get("token", ""), 64),
        url=url,
        width=int(_number(text_of(encoder, "Resolution/Width"), 100_000)),
        height=int(_number(text_of(encoder, "Resolution/Height"), 100_000)),
        fps=_number(text_of(encoder, "RateControl/FrameRateLimit"), 1000),
        codec=_CODECS.get(text_of(encoder, "Encoding").upper(), ""),
    )


def _number(text: str, most: float) -> float:
    """Return a number that a camera tells, or 0."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 <= number <= most else 0.0


def _ahead(answer: Element) -> timedelta:
    """Return by how much a camera's clock is ahead; nothing if it doesn't tell."""
    date, clock = answer.find(".//{*}UTCDateTime/{*}Date"), answer.find(".//{*}UTCDateTime/{*}Time")
    told = [text_of(date, name) for name in ("Year", "Month", "Day")]
    told += [text_of(clock, name) for name in ("Hour", "Minute", "Second")]
    try:
        year, month, day, hour, minute, second = (int(t[:4]) for t in told)
        ahead = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC) - datetime.now(UTC)
    except ValueError:
        return timedelta()
    return ahead if abs(ahead) < _MOST_AHEAD else timedelta()
