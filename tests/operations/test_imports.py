# SPDX-License-Identifier: Apache-2.0
"""Imports: every kind, what of it is kept and told, duplicates, and what is on a list."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pil
from tests.operations.conftest import World
from tests.operations.importroom import TOLD, Room, archive, everything, plain

from custodes.casework import ImageRole, ImportState, ItemOutcome
from custodes.casework.hashes import perceptual_hash
from custodes.domain import QualityFilter
from custodes.errors import NotFound
from custodes.governance import Action, Caller, Purpose, Role
from custodes.operations.desk import Origin
from custodes.operations.hashlists import HashKind
from custodes.operations.imports import SourceKind

Photos = dict[str, bytes]


@pytest.fixture
def room(world: World, tmp_path: Path) -> Room:
    """A case in an installation of the test's own."""
    return Room(world, tmp_path / "photos")


# --- every kind -------------------------------------------------------------------------------------------------------


def _places(room: Room, photos: Photos) -> dict[SourceKind, object]:
    files = {"a.jpg": photos["obama_1"], "deep/b.jpg": photos["nobody"], "c.txt": b"no photo"}
    bucket = room.world.config.bucket_root / "photos" / "2026"
    for top in (room.folder, bucket):
        for name, data in files.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_bytes(data)
    (room.folder.parent / "manifest.csv").write_text(
        f"file,taken_at\n{room.folder.name}/a.jpg,2019-05-31\n{room.folder.name}/deep/b.jpg,\n"
        f"{(room.folder / 'c.txt').as_uri()},\n"
    )
    return {
        SourceKind.FOLDER: room.folder,
        SourceKind.ZIP: room.zip(*files.items()),
        SourceKind.MANIFEST: room.folder.parent / "manifest.csv",
        SourceKind.BUCKET: "photos/2026",
    }


@pytest.mark.parametrize("kind", list(SourceKind))
def test_every_kind_brings_in_images(room: Room, photos: Photos, kind: SourceKind) -> None:
    """Those with a face are enrolled in the case's own collection, those without are kept; others are refused."""
    places = _places(room, photos)
    if kind == SourceKind.UPLOAD:
        data = places[SourceKind.ZIP].read_bytes()
        begun = room.imports.spool(room.cara, room.case, [data[:70_000], data[70_000:]], name="März.zip", **TOLD)
        assert begun.location == "März.zip"
        done = room.imports.work(room.cara, begun.id)
    else:
        done = room.bring(kind, places[kind])
    assert (done.state, done.total, done.why) == (ImportState.DONE, 3, "")
    assert done.counts == {ItemOutcome.IMPORTED: 2, ItemOutcome.REFUSED: 1}
    assert sorted(r for _, r in room.outcomes(done.id)) == ["imported", "imported", "not-a-photo"]
    by_name = {Path(i.name).name: i for i in room.kept()}
    assert set(by_name) == {"a.jpg", "b.jpg"}
    assert [bool(f.reference_id) for f in by_name["a.jpg"].faces] == [True]
    assert by_name["b.jpg"].faces == ()
    for image in by_name.values():
        assert (image.provenance, image.basis, image.source) == tuple(TOLD.values())
        assert (image.role, image.import_id, image.sensitive) == (ImageRole.IMPORTED, done.id, False)
    with room.world.app._database.read() as c:
        original = room.world.app.casework.imports._desk.images.original(c, by_name["a.jpg"].id)
    assert original == photos["obama_1"]
    dated = datetime(2019, 5, 31, tzinfo=UTC) if kind == SourceKind.MANIFEST else None
    assert by_name["a.jpg"].taken_at == dated
    room.check()
    assert list(room.world.config.spool.glob("*")) == []


def test_both_databases_take_an_import(both_worlds: World, photos: Photos, tmp_path: Path) -> None:
    """With duplicates, refusals and a face."""
    room = Room(both_worlds, tmp_path / "photos")
    done = room.bring(SourceKind.FOLDER, room.put(a=photos["obama_1"], b=photos["obama_1"], c=b"x", d=plain(1)))
    assert done.counts == {ItemOutcome.IMPORTED: 2, ItemOutcome.DUPLICATE: 1, ItemOutcome.REFUSED: 1}
    assert room.outcomes(done.id) == [
        ("a.jpg", "imported"),
        ("b.jpg", "same-bytes"),
        ("c.jpg", "not-a-photo"),
        ("d.jpg", "imported"),
    ]
    room.check()
    assert [i.id for i in room.imports.list(room.cara, room.case)] == [done.id]


def test_what_an_import_enrolled_is_found(room: Room, photos: Photos) -> None:
    """A search of the case's own collection for another photo of the same person leads to the imported one."""
    room.bring(SourceKind.FOLDER, room.put(o=photos["obama_1"], b=photos["biden"]))
    name = room.world.app.casework.cases.collection_of(room.cara, room.case).name
    caller = replace(room.cara, case=room.case)
    found = room.world.app.faces.search_by_image(
        caller, name, photos["obama_2"], limit=5, threshold=80.0, quality=QualityFilter.NONE
    )
    first = found.candidates[0].reference
    assert {i.id: i.name for i in room.kept()}[first.external_image_id] == "o.jpg"


def test_the_ledger_has_a_use_for_each_image_and_no_word_of_it(room: Room, photos: Photos) -> None:
    """Begin, start, one use an image with its commitments, the counts at the end; names, basis and source nowhere."""
    start = room.world.app.ledger.size()
    done = room.bring(SourceKind.FOLDER, room.put(anna=photos["obama_1"], berta=b"x", clara=photos["obama_1"]))
    entries = [e for _, e in room.world.app.ledger.entries(start)]
    uses = [e for e in entries if e.get("request", {}).get("action") == Action.IMPORT_IMAGES]
    assert [(e["outcome"], e["import_id"], e.get("images")) for e in uses] == [
        ("done", done.id, None),
        ("done", done.id, None),
        ("done", done.id, 1),
    ]
    assert {e["case"] for e in uses} == {room.case}
    assert uses[2]["enrolled"] == 1
    assert uses[2]["provenance"] == "case-file"
    assert {"image", "reference.0"} <= set(uses[2])
    last = entries[-1]
    assert (last["event"], last["import"], last["entries"]) == ("import-done", done.id, 3)
    assert [last[str(o)] for o in ItemOutcome] == [1, 1, 0, 1]
    told = str(entries)
    for word in ("anna", "berta", "clara", "Meyer", "GDPR", str(room.folder)):
        assert word not in told
    assert room.world.app.rules.replay().differences == ()


def test_poor_faces_are_listed_with_reasons_and_not_enrolled(room: Room, photos: Photos) -> None:
    """A face that is large enough and one that is too small, in one photo: each keeps its own reference or none."""
    large = cv2.imdecode(np.frombuffer(photos["obama_1"], np.uint8), 1)
    small = cv2.resize(large, None, fx=0.09, fy=0.09, interpolation=cv2.INTER_AREA)
    canvas = np.full((large.shape[0], large.shape[1] + 200, 3), 128, np.uint8)
    canvas[:, 200:] = large
    canvas[40 : 40 + small.shape[0], 40 : 40 + small.shape[1]] = small
    room.bring(SourceKind.FOLDER, room.put(two=cv2.imencode(".png", canvas)[1].tobytes()))
    [image] = room.kept()
    assert [bool(f.reference_id) for f in image.faces] == [True, False]
    assert image.faces[0].left > 200 > image.faces[1].left
    assert "SMALL_BOUNDING_BOX" in image.faces[1].reasons
    room.check()


def test_dates_are_those_of_the_manifest_else_of_the_camera(room: Room) -> None:
    """A camera's date of the future is none."""

    def dated(text: str, colour: int) -> bytes:
        exif, made = Pil.Exif(), io.BytesIO()
        exif.get_ifd(0x8769)[0x9003] = text
        Pil.new("RGB", (90, 90), (colour, 0, 0)).save(made, "JPEG", exif=exif)
        return made.getvalue()

    room.put(a=dated("2018:01:02 03:04:05", 1), b=dated("2018:01:02 03:04:05", 2), c=dated("2099:01:01 00:00:00", 3))
    (room.folder / "m.csv").write_text("taken_at,file\n2019-05-31T12:00:00+02:00,a.jpg\n,b.jpg\n,c.jpg\n")
    assert room.bring(SourceKind.MANIFEST, room.folder / "m.csv").counts == {ItemOutcome.IMPORTED: 3}
    assert [i.taken_at for i in sorted(room.kept(), key=lambda i: i.name)] == [
        datetime(2019, 5, 31, 10, tzinfo=UTC),
        datetime(2018, 1, 2, 3, 4, 5, tzinfo=UTC),
        None,
    ]


def test_sensitive_is_what_the_case_the_import_or_the_row_says(room: Room) -> None:
    """None of them makes an image of a sensitive case less so."""
    room.put(a=plain(1), b=plain(2), c=plain(3))
    (room.folder / "m.csv").write_text("file,sensitive\na.jpg,yes\nb.jpg,no\nc.jpg,\n")
    room.bring(SourceKind.MANIFEST, room.folder / "m.csv", sensitive=True)
    assert {i.name: i.sensitive for i in room.kept()} == {"a.jpg": True, "b.jpg": False, "c.jpg": True}
    hidden = room.world.app.casework.cases.open(room.cara, Purpose.MISSING_PERSON, "Mia", sensitive=True).id
    made = room.imports.begin(room.cara, hidden, SourceKind.FOLDER, str(room.folder), sensitive=False, **TOLD)
    room.imports.work(room.cara, made.id)
    kept, _ = room.world.app.casework.cases.photos(room.cara, hidden)
    assert [i.sensitive for i in kept] == [True, True, True]


# --- duplicates and known images --------------------------------------------------------------------------------------


def test_the_same_bytes_are_kept_once(room: Room, photos: Photos) -> None:
    """Twice in one import, in a second one, and as the photo of the person; other cases have them too."""
    origin = Origin("case-file", "Art. 9", "Meyer")
    room.world.app.casework.cases.add_photo(room.cara, room.case, photos["biden"], origin)
    room.put(a=photos["obama_1"], b=photos["obama_1"], c=photos["biden"], d=plain(1), e=plain(1))
    first = room.bring(SourceKind.FOLDER, room.folder)
    assert [r for _, r in room.outcomes(first.id)] == ["imported", "same-bytes", "same-bytes", "imported", "same-bytes"]
    second = room.bring(SourceKind.FOLDER, room.folder)
    assert second.counts == {ItemOutcome.DUPLICATE: 5}
    room.check()
    other = room.world.app.casework.cases.open(room.cara, Purpose.MISSING_PERSON, "Mia").id
    made = room.imports.begin(room.cara, other, SourceKind.FOLDER, str(room.folder), **TOLD)
    assert room.imports.work(room.cara, made.id).counts == {ItemOutcome.IMPORTED: 3, ItemOutcome.DUPLICATE: 2}


def _lists(room: Room, photos: Photos, kind: HashKind, name: str) -> str:
    if kind == HashKind.EXACT:
        value = hashlib.sha1(photos[name]).hexdigest()
    else:
        picture = cv2.imdecode(np.frombuffer(photos[name], np.uint8), 1)
        smaller = cv2.resize(picture, (0, 0), fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        value = perceptual_hash(smaller[:, :, ::-1]).hex()
    return room.world.app.casework.hash_lists.add(room.cara, "Interpol", kind, ["hash", value]).id


@pytest.mark.parametrize("kind", list(HashKind))
@pytest.mark.parametrize("source", [SourceKind.UPLOAD, SourceKind.FOLDER])
def test_what_is_on_a_list_is_not_kept_anywhere(room: Room, photos: Photos, kind: HashKind, source: SourceKind) -> None:
    """Its outcome tells the list's id alone; neither its bytes nor a face of it are in any file."""
    listed = _lists(room, photos, kind, "obama_1")
    files = {"a.jpg": photos["biden"], "b.jpg": photos["obama_1"]}
    if source == SourceKind.UPLOAD:
        begun = room.imports.spool(room.cara, room.case, [archive(*files.items())], name="x.zip", **TOLD)
        assert photos["obama_1"][1000:1100] not in everything(room.world.config.data)
    else:
        begun = room.begin(source, room.put(a=files["a.jpg"], b=files["b.jpg"]))
    done = room.imports.work(room.cara, begun.id)
    assert done.counts == {ItemOutcome.IMPORTED: 1, ItemOutcome.KNOWN: 1}
    [known] = room.imports.items(room.cara, done.id, outcome=ItemOutcome.KNOWN)[0]
    assert (known.reason, known.detail, known.image) == (str(kind), listed, None)
    assert [i.name for i in room.kept()] == ["a.jpg"]
    room.check()
    raw = everything(room.world.config.data)
    key = room.imports._desk.key(photos["obama_1"])
    picture = photos["obama_1"]
    needles = [picture[i : i + 64] for i in range(600, len(picture) - 64, len(picture) // 7)]
    needles += [key, hashlib.sha256(picture).hexdigest().encode(), hashlib.sha256(picture).digest()]
    assert [n for n in needles if n in raw] == []
    assert room.imports._desk.key(files["a.jpg"]) in raw  # so would the other be found
    assert list(room.world.config.spool.glob("*")) == []


def test_lists_are_an_organisations_own_and_told_without_their_name(room: Room, photos: Photos) -> None:
    """Administrators bring and remove them; another organisation neither has nor sees them."""
    lists = room.world.app.casework.hash_lists
    listed = _lists(room, photos, HashKind.EXACT, "biden")
    entry = room.world.entry()
    assert (entry["change"], entry["list_kind"], entry["hashes"]) == ("hash-list-added", "exact", 1)
    assert "Interpol" not in str(entry)
    assert [(found.id, found.name) for found in lists.list(room.cara)] == [(listed, "Interpol")]
    assert lists.list(room.world.officer) == ()
    dora = room.world.rescuer_called("dora", Role.USER)
    assert room.world.denied(lambda: lists.add(dora, "x", HashKind.EXACT, ["ab" * 16]))
    assert room.world.denied(lambda: lists.remove(dora, listed))
    chief = room.world.app.people.add(
        Caller("operator", Purpose.PHOTO_LIBRARY), room.world.police, "chief@example.org", "chief", [Role.ADMIN]
    )
    with pytest.raises(NotFound):
        lists.remove(Caller(chief.id, Purpose.CRIMINAL_INVESTIGATION), listed)
    lists.remove(room.cara, listed)
    assert lists.list(room.cara) == ()
    assert room.bring(SourceKind.FOLDER, room.put(b=photos["biden"])).counts == {ItemOutcome.IMPORTED: 1}


def test_a_list_that_comes_while_an_import_runs_counts(room: Room, photos: Photos, monkeypatch) -> None:
    """From the next entry on that is looked at a moment later."""
    monkeypatch.setattr("custodes.operations.importing._SECONDS", 0.0)
    room.put(**{f"a{n}": plain(n) for n in range(9)}, z=photos["biden"])
    made = room.begin(SourceKind.FOLDER, room.folder)

    def tell(done: int, total: int) -> None:
        if done == 1:
            _lists(room, photos, HashKind.EXACT, "biden")

    done = room.imports.work(room.cara, made.id, progress=tell)
    assert done.counts == {ItemOutcome.IMPORTED: 9, ItemOutcome.KNOWN: 1}
