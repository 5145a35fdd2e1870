# SPDX-License-Identifier: Apache-2.0
"""``kill -9`` in the middle of everything: what was answered is there, the rest is whole or absent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import botocore.exceptions
import cv2
import numpy as np
import pytest

from custodes.db import Database, Vault
from custodes.domain import Float32
from custodes.gallery import Collections, IndexCache, References, Subjects
from custodes.gallery.index import ExactIndex, cosines

pytestmark = pytest.mark.slow

CALLS = 1000
CLIENTS = 64
C = "crash"


@pytest.fixture(scope="module")
def faces(people) -> Callable[[int], bytes]:
    """Makes small pictures of two people, no two alike."""
    originals = [cv2.imdecode(np.frombuffer(p, np.uint8), cv2.IMREAD_COLOR) for p in (people.ann, people.bob)]

    def picture(number: int) -> bytes:
        rng = np.random.default_rng(number)
        matrix = cv2.getRotationMatrix2D((240, 240), rng.uniform(-12, 12), rng.uniform(0.38, 0.46))
        matrix[:, 2] += rng.uniform(-5, 5, 2) - 144
        small = cv2.warpAffine(originals[number % 2], matrix, (192, 192), borderMode=cv2.BORDER_REPLICATE)
        return cv2.imencode(".jpg", cv2.convertScaleAbs(small, alpha=rng.uniform(0.8, 1.1)))[1].tobytes()

    return picture


class Store:
    """What the server left behind, read without it."""

    def __init__(self, data: Path) -> None:
        self._database = Database(f"sqlite:///{data / 'custodes.sqlite3'}")
        vault = Vault.for_database(self._database, data / "keys" / "master.key")
        cache = IndexCache(vault, ExactIndex)
        self.collections = Collections(self._database)
        self.references = References(self._database, vault, cache, max_faces=10**6)
        self.subjects = Subjects(self._database, vault, cache, max_references=100)

    def templates(self, ids: list[str]) -> Float32:
        """Open the templates of faces."""
        return np.array([self.references.template(C, i).vector for i in ids])

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()


@contextmanager
def _opened(data: Path) -> Iterator[Store]:
    store = Store(data)
    yield store
    store.close()


def _killed_amid(server, tasks: list[Callable[[], None]], after: int) -> int:
    """Run tasks on all clients, kill the server when ``after`` were answered, and return how many were."""
    answered = 0
    lock = threading.Lock()

    def run(task: Callable[[], None]) -> None:
        nonlocal answered
        try:
            task()
        except botocore.exceptions.BotoCoreError:  # the connection broke, or there is none
            assert dying.is_set()
            return
        with lock:
            answered += 1
            if answered == after:
                dying.set()
                server.process.send_signal(signal.SIGKILL)

    dying = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(run, tasks))
    assert server.process.wait(30) == -signal.SIGKILL
    return answered


def _listed(client) -> dict[str, str]:
    """Return all faces: label by id."""
    pages = client.get_paginator("list_faces").paginate(CollectionId=C, PaginationConfig={"PageSize": 100})
    return {f["FaceId"]: f["ExternalImageId"] for page in pages for f in page["Faces"]}


def _assert_index_is_store(client, store: Store, listed: dict[str, str]) -> None:
    """Searches through the server find exactly what comparing with every stored template finds."""
    ids = list(listed)
    vectors = store.templates(ids)
    for probe in range(0, len(ids), max(1, len(ids) // 8)):
        scores = cosines(vectors, vectors[probe])
        expected = [ids[i] for i in np.lexsort((np.arange(len(ids)), -scores)) if i != probe]
        found = client.search_faces(CollectionId=C, FaceId=ids[probe], FaceMatchThreshold=0, MaxFaces=4096)
        assert [m["Face"]["FaceId"] for m in found["FaceMatches"]] == expected


@pytest.fixture(scope="module")
def crashed(start_server, faces, tmp_path_factory: pytest.TempPathFactory):
    """A data folder whose server was killed amid a thousand IndexFaces, and what it had answered: id by label."""
    data = tmp_path_factory.mktemp("crash") / "data"
    server = start_server(data)
    client = server.client(max_pool_connections=CLIENTS)
    client.create_collection(CollectionId=C)
    told: dict[str, str] = {}

    def index(number: int) -> None:
        made = client.index_faces(
            CollectionId=C, Image={"Bytes": faces(number)}, ExternalImageId=f"p{number}", QualityFilter="NONE"
        )
        assert len(made["FaceRecords"]) == 1
        told[f"p{number}"] = made["FaceRecords"][0]["Face"]["FaceId"]

    answered = _killed_amid(server, [lambda n=n: index(n) for n in range(CALLS)], after=CALLS * 2 // 5)
    assert CALLS * 2 // 5 <= answered < CALLS
    assert answered == len(told)
    return data, told


def test_what_was_answered_is_there_and_the_rest_whole_or_absent(crashed, start_server, faces) -> None:
    """After the restart every answered face is listed, counts agree, every template opens, the index is the store."""
    data, told = crashed
    server = start_server(data)
    client = server.client()
    try:
        listed = _listed(client)
        assert told.items() <= {label: face for face, label in listed.items()}.items()
        assert len(set(listed.values())) == len(listed) <= len(told) + CLIENTS
        assert client.describe_collection(CollectionId=C)["FaceCount"] == len(listed)
        with _opened(data) as store:
            _assert_index_is_store(client, store, listed)
        again = client.index_faces(
            CollectionId=C, Image={"Bytes": faces(0)}, ExternalImageId="p0", QualityFilter="NONE"
        )
        assert again["FaceRecords"][0]["Face"]["FaceId"] == told["p0"]
    finally:
        server.stop()


def test_a_kill_amid_deletions_and_associations_leaves_each_done_or_not(crashed, start_server) -> None:
    """Each request is done whole or not at all, the answered ones are done, and users' templates are their means."""
    data, _ = crashed
    server = start_server(data)
    client = server.client(max_pool_connections=CLIENTS)
    ids = list(_listed(client))
    trios = [ids[i : i + 3] for i in range(0, len(ids) - 2, 3)]
    deleted, associated = [], {}
    users = {f"u{number}": trio for number, trio in enumerate(trios) if number % 2}
    for user in users:
        client.create_user(CollectionId=C, UserId=user)

    def delete(trio: list[str]) -> None:
        assert set(client.delete_faces(CollectionId=C, FaceIds=trio)["DeletedFaces"]) == set(trio)
        deleted.extend(trio)

    def associate(user: str) -> None:
        done = client.associate_faces(CollectionId=C, UserId=user, FaceIds=users[user], UserMatchThreshold=0)
        assert len(done["AssociatedFaces"]) == 3
        associated[user] = users[user]

    tasks = [(lambda n=n: associate(f"u{n}")) if n % 2 else (lambda t=trio: delete(t)) for n, trio in enumerate(trios)]
    answered = _killed_amid(server, tasks, after=len(tasks) // 2)
    assert len(tasks) // 2 <= answered < len(tasks)
    server = start_server(data)
    client = server.client()
    try:
        listed = _listed(client)
        assert not set(deleted) & set(listed)
        assert client.describe_collection(CollectionId=C)["FaceCount"] == len(listed)
        assert client.describe_collection(CollectionId=C)["UserCount"] == len(users)
        for number, trio in enumerate(trios):
            assert len(set(trio) & set(listed)) in ((3,) if number % 2 else (0, 3))
        with _opened(data) as store:
            for user, trio in users.items():
                members = {f["FaceId"] for f in client.list_faces(CollectionId=C, UserId=user)["Faces"]}
                assert members == set(trio) or (not members and user not in associated)
                template = store.subjects.template(C, user)
                if members:
                    mean = store.templates(trio).sum(axis=0)
                    np.testing.assert_allclose(template.vector, mean / np.linalg.norm(mean), atol=1e-5)
                else:
                    assert template is None
            _assert_index_is_store(client, store, listed)
            probe = next(iter(listed))
            found = client.search_users(CollectionId=C, FaceId=probe, UserMatchThreshold=0, MaxUsers=500)
            active = {
                u["UserId"]
                for p in client.get_paginator("list_users").paginate(CollectionId=C)
                for u in p["Users"]
                if u["UserStatus"] == "ACTIVE"
            }
            assert {m["User"]["UserId"] for m in found["UserMatches"]} == active
    finally:
        server.stop()
