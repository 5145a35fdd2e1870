# SPDX-License-Identifier: Apache-2.0
"""boto3 with ``S3Object``: buckets that are folders of the server's machine, and those of a real S3 endpoint."""

from __future__ import annotations

import errno
import itertools
import os
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import numpy as np
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer
from PIL import Image as Pillow

from custodes.config import S3
from custodes.errors import Code, Invalid, Unavailable
from custodes.operations.buckets import BucketObject, LocalBuckets, S3Buckets

WORDING = "Unable to get object metadata from S3. Check object key, region and/or access permissions."
MEGABYTE = 2**20
_numbers = itertools.count()


def message(caught) -> str:
    return caught.value.response["Error"]["Message"]


def s3_object(bucket: str, name: str, **more: str) -> dict:
    return {"S3Object": {"Bucket": bucket, "Name": name, **more}}


def large_png(people_photo: bytes, folder: Path) -> bytes:
    """Return a PNG of a face that is larger than a request's image may be: the rest is noise."""
    noise = np.random.default_rng(7).integers(0, 256, (1500, 1500, 3), np.uint8)
    picture = Pillow.fromarray(noise)
    (folder / "face.jpg").write_bytes(people_photo)
    picture.paste(Pillow.open(folder / "face.jpg"), (100, 100))
    picture.save(folder / "large.png", compress_level=0)
    return (folder / "large.png").read_bytes()


@pytest.fixture
def bucket(server) -> Path:
    """A bucket of the shared server: a folder of the test's own."""
    folder = server.data / "buckets" / f"bucket-{next(_numbers)}"
    folder.mkdir(parents=True)
    return folder


# --- Folders --------------------------------------------------------------------------------------------------


def test_folder_object_is_read(client, bucket, people) -> None:
    """Bucket and key name a file; keys may have slashes, spaces and any letters."""
    for name in ("ann.jpg", "2026/März/ann 1.jpg"):
        path = bucket / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(people.ann)
        found = client.detect_faces(Image=s3_object(bucket.name, name))["FaceDetails"]
        assert found == client.detect_faces(Image={"Bytes": people.ann})["FaceDetails"]


def test_folder_object_enrols_and_searches(client, collection, bucket, people) -> None:
    """Objects do wherever bytes do."""
    (bucket / "ann.jpg").write_bytes(people.ann)
    (bucket / "both.jpg").write_bytes(people.both)
    ann, both = s3_object(bucket.name, "ann.jpg"), s3_object(bucket.name, "both.jpg")
    [record] = client.index_faces(CollectionId=collection, Image=ann)["FaceRecords"]
    [match] = client.search_faces_by_image(CollectionId=collection, Image=both)["FaceMatches"]
    assert match["Face"]["FaceId"] == record["Face"]["FaceId"]
    assert client.compare_faces(SourceImage=ann, TargetImage=both)["FaceMatches"]
    assert client.search_users_by_image(CollectionId=collection, Image=ann)["UserMatches"] == []


@pytest.mark.alone
@pytest.mark.parametrize(
    ("bucket_name", "key"),
    [
        ("{}", "missing.jpg"),
        ("no-such-bucket", "ann.jpg"),
        ("{}", "folder"),
        ("{}", "."),
        ("{}", "../elsewhere/ann.jpg"),
        ("{}", "folder/../../elsewhere/ann.jpg"),
        ("{}", "../../credentials"),
        ("{}", "../../../../../../../../../../etc/hostname"),
        ("{}", "/etc/hostname"),
        ("...", "ann.jpg"),
        ("{}", "link-out.jpg"),
        ("{}", "folder-out/ann.jpg"),
        ("linked-bucket-of-{}", "ann.jpg"),
        ("{}", "pipe"),
        ("{}", "ann.jpg\x00.png"),
        ("{}", "x" * 1024),
        ("{}", "a/" * 500),
    ],
)
def test_folder_keeps_its_walls(client, bucket, people, tmp_path, bucket_name: str, key: str) -> None:
    """Whatever isn't a file inside the bucket reads the same: missing, above, linked from outside, no file at all."""
    (bucket / "ann.jpg").write_bytes(people.ann)
    (bucket / "folder").mkdir()
    (tmp_path / "ann.jpg").write_bytes(people.ann)
    (bucket / "link-out.jpg").symlink_to(tmp_path / "ann.jpg")
    (bucket / "folder-out").symlink_to(tmp_path)
    (bucket.parent / f"linked-bucket-of-{bucket.name}").symlink_to(tmp_path)
    os.mkfifo(bucket / "pipe")
    (bucket.parent / "elsewhere").mkdir(exist_ok=True)
    (bucket.parent / "elsewhere" / "ann.jpg").write_bytes(people.ann)
    begun = time.monotonic()
    with pytest.raises(client.exceptions.InvalidS3ObjectException) as caught:
        client.detect_faces(Image=s3_object(bucket_name.format(bucket.name), key))
    assert message(caught) == WORDING
    assert time.monotonic() - begun < 1


def test_folder_keeps_no_versions(client, bucket, people) -> None:
    """A version that isn't kept is no object."""
    (bucket / "ann.jpg").write_bytes(people.ann)
    with pytest.raises(client.exceptions.InvalidS3ObjectException):
        client.detect_faces(Image=s3_object(bucket.name, "ann.jpg", Version="1"))


def test_folder_object_may_be_larger_than_a_request(client, bucket, people, tmp_path) -> None:
    """An object may have 15 MB, a picture in a request 5 MB; above there is a typed error."""
    large = large_png(people.ann, tmp_path)
    assert 5 * MEGABYTE < len(large) < 15 * MEGABYTE
    (bucket / "large.png").write_bytes(large)
    assert client.detect_faces(Image=s3_object(bucket.name, "large.png"))["FaceDetails"]
    (bucket / "too-large.jpg").write_bytes(people.ann + bytes(15 * MEGABYTE))
    with pytest.raises(client.exceptions.ImageTooLargeException) as caught:
        client.detect_faces(Image=s3_object(bucket.name, "too-large.jpg"))
    assert message(caught) == "Image size is too large."


def test_folder_object_is_no_picture(client, bucket) -> None:
    """A file of another kind is refused as such bytes are."""
    (bucket / "notes.txt").write_text("no picture")
    with pytest.raises(client.exceptions.InvalidImageFormatException):
        client.detect_faces(Image=s3_object(bucket.name, "notes.txt"))


# --- A real S3 endpoint ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3(start_server, tmp_path_factory):
    """An S3 server (moto's), a client of it, and a client of a Custodes that reads from it."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    endpoint = "http://{}:{}".format(*moto.get_host_and_port())
    storage = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(s3={"addressing_style": "path"}),
    )
    server = start_server(
        tmp_path_factory.mktemp("with-s3"),
        CUSTODES_S3_ENDPOINT=endpoint,
        CUSTODES_S3_ACCESS_KEY_ID="key",
        CUSTODES_S3_SECRET_ACCESS_KEY="secret",
    )
    yield storage, server.client()
    server.stop()
    moto.stop()


def test_s3_object_is_read(s3, people) -> None:
    """An object of an S3 service is read, with any key, and in the version asked for."""
    storage, client = s3
    storage.create_bucket(Bucket="photos")
    storage.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
    for name in ("ann.jpg", "2026/März/ann 1+2%.jpg"):
        old = storage.put_object(Bucket="photos", Key=name, Body=people.nobody)["VersionId"]
        storage.put_object(Bucket="photos", Key=name, Body=people.both)
        assert len(client.detect_faces(Image=s3_object("photos", name))["FaceDetails"]) == 2
        assert client.detect_faces(Image=s3_object("photos", name, Version=old))["FaceDetails"] == []


@pytest.mark.alone
def test_s3_object_is_missing_or_too_large(s3, people) -> None:
    """What can't be read has a typed error; what is too large is refused by its size."""
    storage, client = s3
    storage.create_bucket(Bucket="more")
    storage.put_object(Bucket="more", Key="too-large.jpg", Body=people.ann + bytes(15 * MEGABYTE))
    with pytest.raises(client.exceptions.ImageTooLargeException):
        client.detect_faces(Image=s3_object("more", "too-large.jpg"))
    for bucket, name in (("more", "missing.jpg"), ("nowhere", "ann.jpg"), ("more", "../more/too-large.jpg")):
        begun = time.monotonic()
        with pytest.raises(client.exceptions.InvalidS3ObjectException) as caught:
            client.detect_faces(Image=s3_object(bucket, name))
        assert message(caught) == WORDING
        assert time.monotonic() - begun < 1


@pytest.fixture
def free_address() -> str:
    """A URL at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


class Status(BaseHTTPRequestHandler):
    """Answers with the status that the key names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.rsplit("/", 1)[1][:3]))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def moody() -> Iterator[S3Buckets]:
    """Buckets of a service that refuses as its keys say."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Status)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield S3Buckets(S3(endpoint=f"http://127.0.0.1:{server.server_port}", access_key_id="a", secret_access_key="b"))
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_s3_refusal_is_the_callers(moody: S3Buckets, status: int) -> None:
    """What the service refuses is no object for the caller."""
    with pytest.raises(Invalid) as caught:
        moody.read(BucketObject("photos", f"{status}-ann.jpg"), MEGABYTE)
    assert caught.value.code == Code.S3


@pytest.mark.parametrize("status", [429, 500, 503])
def test_s3_failure_is_worth_another_try(moody: S3Buckets, status: int) -> None:
    """What fails at the service is no fault of the caller's, and neither text nor log name the object."""
    with pytest.raises(Unavailable, match=f"status {status}") as caught:
        moody.read(BucketObject("photos", f"{status}-ann.jpg"), MEGABYTE)
    assert f"{status}-ann.jpg" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.alone
def test_s3_service_that_is_down(free_address: str) -> None:
    """A service that isn't there is unavailable, soon."""
    begun = time.monotonic()
    absent = S3Buckets(S3(endpoint=free_address, access_key_id="a", secret_access_key="b"))
    with pytest.raises(Unavailable, match="didn't answer"):
        absent.read(BucketObject("photos", "ann.jpg"), MEGABYTE)
    assert time.monotonic() - begun < 5


def test_s3_client_is_kept(moody: S3Buckets) -> None:
    """Reads of one bucket share a client, and with it its connections."""
    assert moody._store("photos") is moody._store("photos")
    assert moody._store("photos") is not moody._store("more")


@pytest.mark.parametrize("bucket", ["", ".", ".."])
def test_s3_bucket_is_no_path(moody: S3Buckets, bucket: str) -> None:
    """A bucket's name doesn't lead elsewhere in the service's URL."""
    with pytest.raises(Invalid):
        moody.read(BucketObject(bucket, "500"), MEGABYTE)


def test_failing_disk_is_not_the_callers(tmp_path, monkeypatch) -> None:
    """A folder that can't be read for its disk is unavailable; one that there isn't holds no object."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "ann.jpg").write_bytes(b"ann")
    item = BucketObject("photos", "ann.jpg")
    assert LocalBuckets(tmp_path).read(item, 10) == b"ann"

    def fail(_: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(Unavailable):
        LocalBuckets(tmp_path).read(item, 10)
    with pytest.raises(Invalid):
        LocalBuckets(tmp_path / "nowhere").read(item, 10)
