# SPDX-License-Identifier: Apache-2.0
"""A program as users write it, with the typed stubs of boto3; ``test_stubs`` has mypy check it, and runs it.

Arguments: endpoint, region, access key, secret, and a picture of one person.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from mypy_boto3_rekognition import RekognitionClient
    from mypy_boto3_rekognition.type_defs import FaceMatchTypeDef, ImageTypeDef


def enrol(client: RekognitionClient, collection: str, photo: bytes) -> list[str]:
    """Enrol a picture's faces and return their ids."""
    image: ImageTypeDef = {"Bytes": photo}
    answer = client.index_faces(CollectionId=collection, Image=image, QualityFilter="AUTO", DetectionAttributes=["ALL"])
    return [record["Face"]["FaceId"] for record in answer["FaceRecords"]]


def candidates(client: RekognitionClient, collection: str, photo: bytes) -> list[FaceMatchTypeDef]:
    """Search for the largest face of a picture."""
    found = client.search_faces_by_image(CollectionId=collection, Image={"Bytes": photo}, FaceMatchThreshold=90.0)
    return found["FaceMatches"]


def main(endpoint: str, region: str, key: str, secret: str, path: str) -> None:
    """Go through a collection's life."""
    client: RekognitionClient = boto3.client(
        "rekognition",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
    photo = Path(path).read_bytes()
    client.create_collection(CollectionId="typed")
    try:
        enrolled = enrol(client, "typed", photo)
        found = candidates(client, "typed", photo)
        listed = [
            face["FaceId"]
            for page in client.get_paginator("list_faces").paginate(CollectionId="typed")
            for face in page["Faces"]
        ]
        print(enrolled == listed == [match["Face"]["FaceId"] for match in found])
    except client.exceptions.InvalidParameterException as error:
        print(error.response["Error"]["Message"])
    finally:
        client.delete_collection(CollectionId="typed")


if __name__ == "__main__":
    main(*sys.argv[1:])
