# SPDX-License-Identifier: Apache-2.0
"""Indexes follow the store: at once, in order, whoever changed it, and after a long sleep."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from custodes.gallery.cache import FACES, SUBJECTS
from custodes.gallery.rows import find_collection
from custodes.gallery.schema import collections, removals


def _ids(refs) -> list[str]:
    return [r.reference_id for r in refs]


def _index_size(gallery, kind: str = FACES) -> int:
    with gallery.database.read() as c:
        return len(gallery.cache.synced(c, find_collection(c, "c"), kind))


@pytest.mark.alone
def test_each_process_sees_the_others_changes_in_its_next_search(process, people) -> None:
    """What one enrols or deletes the other finds, or doesn't, at once."""
    one, two = process(), process()
    one.create()
    vectors = people.strangers(20)
    for number, vector in enumerate(vectors):
        writer, reader = (one, two) if number % 2 else (two, one)
        [made] = _ids(writer.enrol(vector[None]))
        begun = time.perf_counter()
        assert reader.search(vector, limit=1)[0][0] == made
        assert time.perf_counter() - begun < 0.5
        writer.references.delete("c", [made])
        assert made not in [i for i, _ in reader.search(vector, limit=30)]
        [kept] = _ids(reader.enrol(vector[None]))
        assert writer.search(vector, limit=1)[0][0] == kept
    assert one.search(vectors[0], limit=100) == two.search(vectors[0], limit=100)
    assert one.search(vectors[0], limit=100) == one.brute_force(vectors[0], limit=100, threshold=-1)


def test_each_process_sees_the_others_subjects_in_its_next_search(process, people) -> None:
    """Associations, disassociations and deletions of subjects cross over at once."""
    one, two = process(), process()
    one.create()
    ann = people.photos(2)
    ids = _ids(one.enrol(ann))
    one.subjects.create("c", "ann", None)
    assert two.search_subjects(ann[0]) == []
    one.subjects.associate("c", "ann", ids[:1], threshold=0, once=None)
    assert two.search_subjects(ann[0])[0][1] == pytest.approx(1, abs=1e-6)
    two.subjects.associate("c", "ann", ids[1:], threshold=0, once=None)
    assert one.search_subjects(ann[0]) == one.brute_force(ann[0], limit=1, threshold=-1, kind=SUBJECTS)
    assert one.search_subjects(ann[0])[0][1] < 0.999
    one.subjects.disassociate("c", "ann", ids, None)
    assert two.search_subjects(ann[0]) == []
    one.subjects.associate("c", "ann", ids, threshold=0, once=None)
    assert len(two.search_subjects(ann[0])) == 1
    two.subjects.delete("c", "ann", None)
    assert one.search_subjects(ann[0]) == []


def test_a_collection_that_another_process_made_anew_is_another(process, people) -> None:
    """An index of a deleted collection is not taken for that of its successor, and is forgotten."""
    one, two = process(), process()
    one.create()
    [vector] = people.strangers(1)
    one.enrol(vector[None])
    assert len(two.search(vector)) == 1
    one.collections.delete("c")
    one.create()
    assert two.search(vector) == []
    assert len(two.cache._entries) == 1
    one.enrol(vector[None])
    assert len(two.search(vector)) == 1


def test_an_index_catches_up_with_what_it_missed_only(process, people) -> None:
    """A further change costs reading that change, not the collection."""
    one, two = process(), process()
    one.create()
    one.enrol(people.strangers(50))
    assert _index_size(two) == 50
    opened = []
    plain = two.vault.open
    two.vault.open = lambda *a: opened.append(1) or plain(*a)
    one.enrol(people.strangers(2))
    assert _index_size(two) == 52
    assert len(opened) == 2
    assert _index_size(two) == 52
    assert len(opened) == 2


def test_old_removals_are_pruned_and_an_index_that_slept_is_built_anew(process, people) -> None:
    """After pruning, a process that missed removals still forgets what was removed."""
    one, two = process(), process()
    one.create()
    vectors = people.strangers(6)
    ids = _ids(one.enrol(vectors))
    assert _index_size(two) == 6
    one.references.delete("c", ids[:2])
    one.clock.now += 4000
    one.references.delete("c", ids[2:3])
    with one.database.read() as c:
        assert len(c.execute(sa.select(removals)).all()) == 3
    one.clock.now += 7300
    one.references.delete("c", ids[3:4])
    with one.database.read() as c:
        assert len(c.execute(sa.select(removals)).all()) == 1
        assert find_collection(c, "c").pruned == find_collection(c, "c").change - 1
    for gallery in (one, two):
        assert _index_size(gallery) == 2
        assert gallery.search(vectors[0]) == gallery.brute_force(vectors[0], limit=10, threshold=-1)


def test_removals_are_kept_for_an_hour_at_least(process, people) -> None:
    """An index that slept for less than an hour catches up without being built anew."""
    one, two = process(), process()
    one.create()
    ids = _ids(one.enrol(people.strangers(5)))
    assert _index_size(two) == 5
    index = two.cache._entries[next(iter(two.cache._entries))].index
    for number in range(4):
        one.clock.now += 880
        one.references.delete("c", ids[number : number + 1])
    assert _index_size(two) == 1
    assert two.cache._entries[next(iter(two.cache._entries))].index is index


def test_a_failed_catch_up_is_made_up_for(gallery, people) -> None:
    """When reading fails half way the next search begins anew and misses nothing."""
    gallery.enrol(people.strangers(3))
    assert _index_size(gallery) == 3
    gallery.enrol(people.strangers(3))
    plain = gallery.vault.open
    calls = []

    def fails_at_the_second(*arguments: bytes) -> bytes:
        calls.append(1)
        if len(calls) == 2:
            raise OSError
        return plain(*arguments)

    gallery.vault.open = fails_at_the_second
    with pytest.raises(OSError):
        gallery.search(people.strangers(1)[0])
    gallery.vault.open = plain
    assert _index_size(gallery) == 6


def test_change_numbers_become_visible_in_order(process, people, at_once) -> None:
    """A process that sees change n sees all that came before it, with four writers at work."""
    galleries = [process() for _ in range(4)]
    watcher = process()
    galleries[0].create()
    stop = threading.Event()
    seen: list[tuple[int, int]] = []

    def watch() -> None:
        while not stop.is_set():
            with watcher.database.read() as c:
                change, count = c.execute(sa.select(collections.c.change, collections.c.face_count)).one()
                rows = c.exec_driver_sql('SELECT change, count(*) FROM "references" GROUP BY change').all()
                assert sorted(r[0] for r in rows) == list(range(1, change + 1))
                assert sum(r[1] for r in rows) == count
                seen.append((change, count))

    def write(g) -> None:
        for _ in range(12):
            g.enrol(people.strangers(1))

    at_once([watch, lambda: (at_once([lambda g=g: write(g) for g in galleries]), stop.set())])
    assert seen == sorted(seen)
    with watcher.database.read() as c:
        assert find_collection(c, "c").change == find_collection(c, "c").face_count == 48


def test_eight_threads_enrol_delete_and_search_at_once(gallery, people, at_once) -> None:
    """Searches never fail meanwhile, each finds what its thread has just enrolled, and the index equals the store."""
    vectors = people.strangers(160)

    def work(who: int) -> None:
        for vector in vectors[20 * who : 20 * who + 20]:
            [made] = _ids(gallery.enrol(vector[None]))
            assert gallery.search(vector, limit=1)[0] == (made, pytest.approx(1, abs=1e-6))
            if made[0] in "0123":
                gallery.references.delete("c", [made])
                assert made not in [i for i, _ in gallery.search(vector, limit=300)]

    at_once([lambda w=w: work(w) for w in range(8)])
    left = len(gallery.stored()[0])
    assert left == gallery.collections.get("c").face_count == _index_size(gallery)
    assert gallery.search(vectors[0], limit=300) == gallery.brute_force(vectors[0], limit=300, threshold=-1)


_WORKER = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from conftest import Gallery, People
gallery = Gallery(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for number, vector in enumerate(People(int(sys.argv[3])).strangers(25)):
    [made] = gallery.enrol(vector[None])
    assert gallery.search(vector, limit=1)[0][0] == made.reference_id
    if number % 4 == 0:
        gallery.references.delete("c", [made.reference_id])
left = gallery.search(vector, limit=1000)
gallery.close()
"""


def test_three_processes_enrol_and_delete_at_once(gallery, url: str, people) -> None:
    """Real processes side by side: nothing is lost, and an index that watched them equals the store."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(Path(__file__).parent), url, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2, 3)
    ]
    for w in workers:
        assert w.stdout.readline() == "ready\n", w.communicate()
    for w in workers:
        w.stdin.write("\n")
        w.stdin.flush()
    probe = people.strangers(1)[0]
    while any(w.poll() is None for w in workers):
        assert len(gallery.search(probe, limit=1000)) <= 75
    assert [(w.returncode, w.communicate()[1]) for w in workers] == [(0, "")] * 3
    assert gallery.collections.get("c").face_count == len(gallery.stored()[0]) == 3 * 18
    found = gallery.search(probe, limit=1000)
    assert found == gallery.brute_force(probe, limit=1000, threshold=-1)
    assert len(found) == 54
    assert np.isfinite([s for _, s in found]).all()
