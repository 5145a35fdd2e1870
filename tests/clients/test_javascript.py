# SPDX-License-Identifier: Apache-2.0
"""The AWS SDK for JavaScript v3, which signs other headers than boto3 does (``javascript/session.mjs``)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "javascript"
NODE = shutil.which("node")


@pytest.fixture(scope="module")
def told(server, people, tmp_path_factory) -> dict:
    """What the session printed."""
    if NODE is None:
        pytest.skip("Node is not installed.")
    if not (FOLDER / "node_modules" / "@aws-sdk" / "client-rekognition").is_dir():
        pytest.skip("The SDK is not installed: run npm ci in tests/clients/javascript.")
    folder = tmp_path_factory.mktemp("javascript")
    pictures = []
    for name in ("ann", "ann_again", "nobody"):
        pictures.append(folder / f"{name}.jpg")
        pictures[-1].write_bytes(getattr(people, name))
    done = subprocess.run(
        [NODE, FOLDER / "session.mjs", *pictures],
        env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        | {
            "AWS_ACCESS_KEY_ID": server.access_key_id,
            "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
            "AWS_REGION": server.region,
            "AWS_ENDPOINT_URL_REKOGNITION": server.endpoint_url,
        },
        cwd=FOLDER,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_session_enrols_searches_and_pages(told) -> None:
    """Faces are enrolled, found by another picture, and listed page by page."""
    assert told["statusCode"] == 200
    assert sorted(label for label, _ in told["matches"]) == ["a", "b", "c"]
    assert all(similarity > 95 for _, similarity in told["matches"])
    assert told["pages"] == [["a", "b"], ["c"]]
    assert len(told["details"]) == 1
    assert 25 <= len(told["details"][0]["Landmarks"]) <= 30
    assert told["together"] == 4
    assert told["user"] == 200


@pytest.mark.parametrize(
    ("case", "name", "message"),
    [
        ("exists", "ResourceAlreadyExistsException", "The collection id: javascript already exists"),
        ("missing", "ResourceNotFoundException", "The collection id: nowhere does not exist"),
        ("noFace", "InvalidParameterException", "There are no faces in the image. Should be at least 1."),
        (
            "notOffered",
            "AccessDeniedException",
            "Custodes does not offer DetectLabels. docs/compatibility.md lists what it does.",
        ),
    ],
)
def test_errors_have_their_classes(told, case: str, name: str, message: str) -> None:
    """A refusal is an instance of the SDK's class for it, with message, status and request id, and isn't retried."""
    error = told["errors"][case]
    assert error["typed"] is True
    assert (error["name"], error["message"], error["status"], error["attempts"]) == (name, message, 400, 1)
    assert len(error["requestId"]) == 36


def test_validation_is_an_error_without_a_class(told) -> None:
    """A ValidationException, which no operation declares, keeps its name."""
    assert told["errors"]["validation"]["name"] == "ValidationException"


def test_wrong_clock_is_set_right(told) -> None:
    """A client whose clock is an hour slow succeeds with its second attempt, by the Date of the refusal."""
    assert told["skewed"] == 2
