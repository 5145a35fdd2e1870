# SPDX-License-Identifier: Apache-2.0
"""curl's own signer, and nothing of AWS's: the protocol by hand, as a shell script would speak it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess

import pytest

CURL = shutil.which("curl")


def test_curl_detects_a_face(server, people, tmp_path) -> None:
    """A request of curl's ``--aws-sigv4`` is understood; versions before 7.86 don't sign all that they send."""
    if CURL is None:
        pytest.skip("curl is not installed.")
    version = subprocess.run([CURL, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if tuple(map(int, version.split(".")[:2])) < (7, 86):
        pytest.skip(f"curl {version} signs too little.")
    body = tmp_path / "request.json"
    body.write_text(json.dumps({"Image": {"Bytes": base64.b64encode(people.ann).decode()}}))
    done = subprocess.run(
        [
            *(CURL, "--silent", "--show-error", "--noproxy", "*", server.endpoint_url),
            *("--aws-sigv4", f"aws:amz:{server.region}:rekognition"),
            *("--user", f"{server.access_key_id}:{server.secret_access_key}"),
            *("--header", "X-Amz-Target: RekognitionService.DetectFaces"),
            *("--header", "Content-Type: application/x-amz-json-1.1"),
            *("--data-binary", f"@{body}"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["FaceDetails"]) == 1
