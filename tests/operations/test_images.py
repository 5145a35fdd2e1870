# SPDX-License-Identifier: Apache-2.0
"""Where images come from, how large they may be, and how they are named."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from custodes.config import Limits
from custodes.errors import Code, TooLarge
from custodes.operations.buckets import BucketObject
from custodes.operations.images import Images


@dataclass
class FakeBuckets:
    """Buckets in memory that remember which limits they were given."""

    objects: dict[tuple[str, str], bytes]
    limits: list[int] = field(default_factory=list)

    def read(self, item: BucketObject, limit: int) -> bytes:
        """Return an object."""
        self.limits.append(limit)
        return self.objects[item.bucket, item.key]


def _images(key: bytes = bytes(32), **limits: int) -> tuple[Images, FakeBuckets]:
    buckets = FakeBuckets({("b", "k"): b"in a bucket"})
    return Images(buckets, Limits(**limits), key), buckets


def test_bytes_are_taken_as_they_are() -> None:
    """What the caller has is the image."""
    images, buckets = _images()
    assert images.read(b"abc") == b"abc"
    assert buckets.limits == []


def test_an_object_is_read_from_its_bucket_within_the_limit() -> None:
    """The bucket is told how much is taken, before it sends anything."""
    images, buckets = _images(image_bytes=77)
    assert images.read(BucketObject("b", "k")) == b"in a bucket"
    assert buckets.limits == [77]


def test_bytes_up_to_the_limit_are_taken() -> None:
    """One byte more is refused, with both numbers."""
    images, _ = _images(image_bytes=10)
    assert len(images.read(bytes(10))) == 10
    with pytest.raises(TooLarge, match="11 bytes; at most 10") as e:
        images.read(bytes(11))
    assert e.value.code == Code.IMAGE_BYTES


def test_a_photo_of_eight_megabytes_is_ordinary() -> None:
    """Rekognition's limit of 5,242,880 bytes is about requests; here photos of phones are taken."""
    images, _ = _images()
    assert len(images.read(bytes(8_000_000))) == 8_000_000


def test_an_image_is_named_by_its_content_and_the_key() -> None:
    """The same image has the same 16 bytes; another image, or another installation, has others."""
    one, other = _images()[0], _images(key=b"k" * 32)[0]
    assert one.identify(b"x") == one.identify(b"x")
    assert len(one.identify(b"x")) == 16
    assert len({one.identify(b"x"), one.identify(b"y"), other.identify(b"x")}) == 3
