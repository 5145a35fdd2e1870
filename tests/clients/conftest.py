# SPDX-License-Identifier: Apache-2.0
"""What the tests with real clients share: a collection with two people in it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Enrolled:
    """A collection that holds one face of Ann (label ``ann``) and one of Bob (``bob``)."""

    collection: str
    ann: str
    bob: str


@pytest.fixture
def enrolled(client, collection, people) -> Enrolled:
    """A collection with Ann and Bob."""
    ids = [
        client.index_faces(CollectionId=collection, Image={"Bytes": photo}, ExternalImageId=label)["FaceRecords"][0][
            "Face"
        ]["FaceId"]
        for label, photo in (("ann", people.ann), ("bob", people.bob))
    ]
    return Enrolled(collection, *ids)
