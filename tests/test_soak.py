# SPDX-License-Identifier: Apache-2.0
"""64 clients that do everything at once for forty seconds: no error, memory flat, no file left open."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter

import cv2
import numpy as np
import psutil
import pytest

CLIENTS = 64
SECONDS = 40.0
WARM_UP = 20.0
C = "soak"


def _small(data: bytes, side: int = 200) -> np.ndarray:
    return cv2.resize(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), (side, side))


@pytest.mark.slow
def test_sixty_four_clients_at_once(start_server, people, tmp_path) -> None:
    """Every call is answered without an error, memory stops growing, and descriptors are given back."""
    server = start_server(tmp_path / "data")
    process = psutil.Process(server.process.pid)
    idle = process.num_fds()
    client = server.client(max_pool_connections=CLIENTS, read_timeout=60)
    client.create_collection(CollectionId=C)
    pictures = [_small(p) for p in (people.ann, people.bob)]
    end = time.monotonic() + SECONDS
    calls: Counter[str] = Counter()
    errors: list[str] = []
    lock = threading.Lock()

    def work(who: int) -> None:
        rng = np.random.default_rng(who)
        try:
            while time.monotonic() < end:
                picture = cv2.convertScaleAbs(
                    pictures[who % 2], alpha=rng.uniform(0.8, 1.1), beta=int(rng.integers(-9, 9))
                )
                image = {"Bytes": cv2.imencode(".jpg", picture)[1].tobytes()}
                assert len(client.detect_faces(Image=image)["FaceDetails"]) == 1
                made = client.index_faces(CollectionId=C, Image=image, QualityFilter="NONE")["FaceRecords"]
                face = made[0]["Face"]["FaceId"]
                client.search_faces(CollectionId=C, FaceId=face, MaxFaces=10)
                assert client.search_faces_by_image(CollectionId=C, Image=image)["FaceMatches"]
                client.list_faces(CollectionId=C, MaxResults=50)
                assert client.delete_faces(CollectionId=C, FaceIds=[face])["DeletedFaces"] == [face]
                with lock:
                    calls.update(("detect", "index", "search", "search by image", "list", "delete"))
        except Exception as e:  # noqa: BLE001 - whatever it is fails the test below
            errors.append(repr(e))

    threads = [threading.Thread(target=work, args=(w,)) for w in range(CLIENTS)]
    for t in threads:
        t.start()
    samples: list[tuple[float, int, int]] = []
    begun = time.monotonic()
    while any(t.is_alive() for t in threads):
        samples.append((time.monotonic() - begun, process.memory_info().rss, process.num_fds()))
        time.sleep(0.5)
    for t in threads:
        t.join()
    client.close()
    try:
        assert errors == []
        assert min(calls.values()) >= CLIENTS
        middle = (WARM_UP + SECONDS) / 2
        before = [rss for at, rss, _ in samples if WARM_UP <= at < middle]
        after = [rss for at, rss, _ in samples if middle <= at]
        growth = statistics.median(after) / statistics.median(before) - 1
        print(f"{sum(calls.values())} calls; {statistics.median(after) / 2**20:.0f} MB, grew by {growth:.1%}")
        assert growth < 0.05
        files = [n for at, _, n in samples if at >= WARM_UP]
        assert max(files) <= files[0] + 20
        assert client.meta.region_name  # the client is still referenced, its connections are closed
        deadline = time.monotonic() + 10
        while process.num_fds() > idle + 100 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert process.num_fds() <= idle + 100
        assert server.client().describe_collection(CollectionId=C)["FaceCount"] == 0
    finally:
        server.stop()
