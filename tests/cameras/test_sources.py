# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import av
import pytest
from av.error import FFmpegError

from custodes.cameras import sources
from custodes.cameras.sources import SourceKind, parse_source, redacted
from custodes.errors import Invalid


@pytest.mark.parametrize(
    ("url", "protocols"),
    [
        ("rtsp://192.0.2.7/stream1", "tcp"),
        ("rtsp://owner:p%40ss@camera.lan:8554/h264?channel=1", "tcp"),
        ("rtsp://[2001:db8::7]:554/a", "tcp"),
        ("rtsps://camera.lan/a", "tcp,tls"),
    ],
)
def test_a_camera_is_read_over_tcp(url: str, protocols: str) -> None:
    """RTSP goes over TCP, reads no sound, decodes nothing to find out what comes, and leads nowhere else."""
    source = parse_source(url, "")
    assert (source.kind, source.url, source.format) == (SourceKind.RTSP, url, "rtsp")
    assert source.options["protocol_whitelist"] == protocols
    assert source.options["format_whitelist"] == "rtsp"
    assert source.options["rtsp_transport"] == "tcp"
    assert source.options["allowed_media_types"] == "video"
    assert source.options["codec_whitelist"] == "none"


def test_a_camera_may_push() -> None:
    """RTMP is listened for where the URL says, with a key."""
    source = parse_source("rtmp://127.0.0.1:1935/live/0123abcd-KEY", "")
    assert (source.kind, source.format) == (SourceKind.RTMP, "flv")
    assert source.options["rtmp_listen"] == "1"
    assert source.options["protocol_whitelist"] == "rtmp,tcp"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://camera/video.mjpg",
        "hls+http://camera/x.m3u8",
        "concat:/etc/passwd|/etc/hosts",
        "/srv/footage/door.mp4",
        "udp://239.0.0.1:1234",
        "rtsp:///stream",
        "rtsp://",
        "rtsp://camera:0x22/a",
        "rtsp://camera:99999/a",
        "rtsp://[2001:db8/a",
        "rtsp://camera/a b",
        "rtsp://camera/a\r\nX-Header: b",
        "rtsp://camera/\x00",
        "rtsp://owner:a%0d%0aX-Header:b@camera/a",
        "rtsp://owner:s3#cret@camera/a",
        "rtsp://camera/" + "a" * 2048,
        "rtmp://127.0.0.1/live",
        "rtmp://127.0.0.1/live/short",
        "rtmp://127.0.0.1/live/longenough listen=0",
        "rtmp://127.0.0.1/live/longenough?x=1",
        "rtmp://user:word@127.0.0.1/live/longenough",
        "rtmp://192.0.2.1/live/longenough",
        "rtmp://nowhere.invalid/live/longenough",
        "rtmp:///live/longenough",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str) -> None:
    """Other kinds, missing hosts and keys, and characters that would mean something to somebody else are refused."""
    with pytest.raises(Invalid):
        parse_source(url, "/")


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "0xA9FEA9FE", "2852039166", "[fe80::1]", "[::ffff:169.254.1.1]", "0.0.0.0", "name"]
)
def test_no_camera_is_where_clouds_keep_secrets(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link-local address is refused, however it is written, and so is a name that stands for one."""
    known = sources.looked_up
    monkeypatch.setattr(sources, "looked_up", lambda h, p: ("10.0.0.1", "fe80::1") if h == "name" else known(h, p))
    for scheme in ("rtsp", "rtsps"):
        with pytest.raises(Invalid, match="link-local"):
            parse_source(f"{scheme}://user:word@{host}:80/latest", "")


def test_a_camera_is_not_this_server() -> None:
    """Its own port is refused at whichever address of the machine; another program there may stand for a camera."""
    for url in ("rtsp://127.0.0.1:8400/a", "rtsp://127.9.9.9:8400/a", "rtsp://[::ffff:127.0.0.1]:8400/a"):
        with pytest.raises(Invalid, match="this server"):
            parse_source(url, "", own_port=8400)
    assert parse_source("rtsp://127.0.0.1:8554/a", "", own_port=8400).kind == SourceKind.RTSP
    assert parse_source("rtsp://192.0.2.7:8400/a", "", own_port=8400).kind == SourceKind.RTSP


def test_a_file_lies_below_its_folder(tmp_path: Path) -> None:
    """A file may be named absolutely or from the folder, with percent-encoded characters."""
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "front door.mp4"
    path.write_bytes(b"x")
    for url in (f"file://{path}".replace(" ", "%20"), "file:in/front%20door.mp4", "file:in/../in/front%20door.mp4"):
        source = parse_source(url, str(tmp_path))
        assert (source.kind, source.url, source.format) == (SourceKind.FILE, str(path), "mp4")
        assert source.options["protocol_whitelist"] == "file"


@pytest.mark.parametrize(
    "url",
    [
        "file:../out.mp4",
        "file:%2e%2e/out.mp4",
        "file:link.mp4",
        "file:folder/out.mp4",
        "file:/etc/passwd",
        "file://host/in.mp4",
        "file:in.m3u8",
        "file:in.txt",
        "file:in.mp4?x",
        "file:in.mp4%00",
        "file:pipe.mp4",
        "file:folder",
        "file:",
        "file:missing.mp4",
    ],
)
def test_tricks_with_paths_are_refused(url: str, tmp_path: Path) -> None:
    """Nothing outside the folder is read, whether by dots, links or hosts; nor a pipe, nor a playlist."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "out.mp4").write_bytes(b"x")
    for name in ("in.mp4", "in.m3u8", "in.txt"):
        (root / name).write_bytes(b"x")
    (root / "link.mp4").symlink_to(tmp_path / "out.mp4")
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.mp4")
    assert parse_source("file:in.mp4", str(root)).url == str(root / "in.mp4")
    with pytest.raises(Invalid):
        parse_source(url, str(root))


def test_no_folder_no_files(tmp_path: Path) -> None:
    """Where no folder is set, no file stands in for a camera."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"x")
    with pytest.raises(Invalid):
        parse_source(f"file://{path}", "")


def test_a_playlist_that_is_called_a_video_leads_nowhere(tmp_path: Path) -> None:
    """The format is forced, so a playlist or a concat script under a video's name is not read as one."""
    (tmp_path / "secret.ts").write_bytes(b"G" * 188)
    for text in ("#EXTM3U\n#EXTINF:1,\nsecret.ts\n", "ffconcat version 1.0\nfile secret.ts\n"):
        path = tmp_path / "door.mp4"
        path.write_text(text)
        source = parse_source("file:door.mp4", str(tmp_path))
        with pytest.raises(FFmpegError):
            av.open(source.url, "r", format=source.format, options=source.options)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://owner:s3cret@camera.lan:8554/h264", "rtsp://camera.lan:8554/h264"),
        ("rtsp://owner:s3@cret@camera.lan/h264?password=s3cret", "rtsp://camera.lan/h264"),
        ("rtsp://camera.lan/user=owner_password=s3cret_channel=1", "rtsp://camera.lan/…"),
        ("rtsp://[2001:db8::7]:554/a", "rtsp://[2001:db8::7]:554/a"),
        ("rtmp://192.0.2.1:1935/live/s3cret-key", "rtmp://192.0.2.1:1935/live/…"),
        ("rtmp://192.0.2.1/s3cret", "rtmp://192.0.2.1/…"),
        ("rtsp://owner:s3cret@[camera/", "(a URL that can't be read)"),
        ("file:///srv/footage/door.mp4", "file:/srv/footage/door.mp4"),
    ],
)
def test_what_is_shown_of_a_url_has_no_secret(url: str, shown: str) -> None:
    """Users, passwords, queries and stream keys are left out."""
    assert redacted(url) == shown
