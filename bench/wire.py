# SPDX-License-Identifier: Apache-2.0
"""What the wire costs: verifying a signature and parsing a request, without network and without an engine."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.report import Row
from custodes.api.aws import sigv4
from custodes.api.aws.protocol import CONTENT_TYPE, Protocol

__all__ = ["measure", "run"]

_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
_REGION = "us-east-1"


def _fastest(call: Callable[[], object], seconds: float) -> float:
    """Return the shortest of many rounds, in microseconds a call."""
    best = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(5):
            call()
        best = min(best, (time.perf_counter() - start) / 5)
    return best * 1e6


def _sign(target: str, body: bytes) -> list[tuple[bytes, bytes]]:
    headers = {"Content-Type": CONTENT_TYPE, "X-Amz-Target": target, "Host": "127.0.0.1:8420"}
    request = AWSRequest("POST", "http://127.0.0.1:8420/", headers=headers, data=body)
    SigV4Auth(Credentials("AKIDEXAMPLE", _SECRET), sigv4.SERVICE, _REGION).add_auth(request)
    return [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]


def measure(seconds: float = 0.3) -> dict[str, float]:
    """Return microseconds a call: ``verify`` and ``parse`` for SearchFaces and for DetectFaces with 100 KiB.

    Args:
        seconds: how long each of the figures is measured.
    """
    image = base64.b64encode(os.urandom(100 * 1024)).decode()
    face = "11111111-2222-3333-4444-555555555555"
    requests = {
        "SearchFaces": {"CollectionId": "missing", "FaceId": face, "MaxFaces": 10, "FaceMatchThreshold": 90},
        "DetectFaces 100 KiB": {"Image": {"Bytes": image}, "Attributes": ["ALL"]},
    }
    start = time.perf_counter()
    protocol = Protocol()
    figures = {"load the model": (time.perf_counter() - start) * 1e6}
    now = datetime.now(UTC)
    for label, params in requests.items():
        target = f"RekognitionService.{label.split()[0]}"
        body = json.dumps(params).encode()
        headers = _sign(target, body)

        def verify(headers: list[tuple[bytes, bytes]] = headers, body: bytes = body) -> None:
            signed = sigv4.parse("POST", b"/", b"", headers)
            sigv4.verify(signed, _SECRET, body, now=now, region=_REGION)

        def parse(target: str = target, body: bytes = body) -> None:
            protocol.parse(target, body)

        figures[f"verify {label}"] = _fastest(verify, seconds)
        figures[f"parse {label}"] = _fastest(parse, seconds)
    return figures


def run(quick: bool) -> list[Row]:
    """Return the figures of the wire."""
    return [Row(name, value, "us") for name, value in measure(0.1 if quick else 0.5).items()]
