# SPDX-License-Identifier: Apache-2.0
"""Listing buckets: folders of this machine, and those of a real S3 endpoint."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from custodes.config import S3
from custodes.errors import Code, Invalid, Unavailable
from custodes.operations.buckets import Buckets, LocalBuckets, S3Buckets

BUCKET = "listed"
"""A name of its own: the service's buckets are the whole process's."""
KEYS = ("2026/a b.jpg", "2026/deep/März.jpg", "2026-b/c.jpg", "top.jpg")


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """An S3 service with a bucket ``listed``."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.create_bucket(Bucket=BUCKET)
    for key in (*KEYS, "2026/folder/"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"" if key.endswith("/") else b"x")
    yield url
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def buckets(request: pytest.FixtureRequest, tmp_path: Path) -> Buckets:
    """The same bucket ``listed`` in both places."""
    if request.param == "s3":
        url = request.getfixturevalue("service")
        return S3Buckets(S3(endpoint=url, access_key_id="k", secret_access_key="s"))
    for key in KEYS:
        path = tmp_path / "buckets" / BUCKET / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "buckets" / BUCKET / "2026" / "folder").mkdir()
    return LocalBuckets(tmp_path / "buckets")


def test_keys_below_a_prefix_are_listed_sorted(buckets: Buckets) -> None:
    """By whole parts; what stands for a folder is none."""
    assert buckets.list(BUCKET, "", 10) == tuple(sorted(KEYS))
    assert buckets.list(BUCKET, "2026", 10) == ("2026/a b.jpg", "2026/deep/März.jpg")
    assert buckets.list(BUCKET, "2026/deep", 10) == ("2026/deep/März.jpg",)


def test_too_many_are_refused(buckets: Buckets) -> None:
    """With how many there may be."""
    assert len(buckets.list(BUCKET, "", 4)) == 4
    with pytest.raises(Invalid, match="more than 3"):
        buckets.list(BUCKET, "", 3)


@pytest.mark.parametrize("bucket", ["", ".", "..", "elsewhere"])
def test_a_bucket_that_is_none_is_refused(buckets: Buckets, bucket: str) -> None:
    """Without a word on whether it exists."""
    with pytest.raises(Invalid) as caught:
        buckets.list(bucket, "", 10)
    assert caught.value.code == Code.S3


@pytest.mark.parametrize("prefix", ["..", "../other", "2026/../..", "/etc"])
def test_a_prefix_does_not_lead_out_of_a_folder(tmp_path: Path, prefix: str) -> None:
    """Neither up nor through a link."""
    for name in (f"{BUCKET}/2026/x", "other/secret"):
        path = tmp_path / "buckets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "buckets/listed/link").symlink_to(tmp_path / "buckets/other")
    local = LocalBuckets(tmp_path / "buckets")
    for way in (prefix, "link"):
        with pytest.raises(Invalid):
            local.list(BUCKET, way, 10)
    assert local.list(BUCKET, "", 10) == ("2026/x",)


def test_a_service_that_does_not_answer_is_unavailable() -> None:
    """Trying again may help."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable):
        S3Buckets(S3(endpoint=f"http://127.0.0.1:{port}", access_key_id="k", secret_access_key="s")).list("b", "", 9)
