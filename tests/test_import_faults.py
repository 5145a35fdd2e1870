# SPDX-License-Identifier: Apache-2.0
"""An import that is killed twice: every entry has one outcome in the end, nothing is there twice, nothing is lost."""

from __future__ import annotations

import io
import sqlite3
import stat
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import orjson
from tests.conftest import environment_for, run_here

from custodes.app import App
from custodes.casework import ImageRole, ImportState, ItemOutcome
from custodes.config import Config
from custodes.governance import OPERATOR, Caller, OrgClass, Purpose, Role
from custodes.operations.ledger import open_source, verify

DATA = Path(__file__).parent / "data"
ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY)
ENTRIES = 10_000
FACES, PLAIN = 100, 200
SECONDS = 60.0
TOLD = ("--provenance", "case-file", "--basis", "Art. 9(2)(g) GDPR", "--source", "the family")
Entry = tuple[str | zipfile.ZipInfo, bytes, str]
"""Name, bytes, and what becomes of it: a reason, or nothing for a photo."""


def _photos() -> list[bytes]:
    """Return small photos that differ, each with one face or with none."""
    made = []
    for name in ("obama_1.jpg", "biden.jpg"):
        picture = cv2.imread(str(DATA / name))
        scale = 112 / min(picture.shape[:2])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        whole = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        made += [whole + bytes([n]) for n in range(FACES // 2)]  # what follows the picture is no part of it
    for n in range(PLAIN):
        made.append(cv2.imencode(".png", np.full((96, 96, 3), n, np.uint8))[1].tobytes())
    return made


def _junk() -> list[Entry]:
    link = zipfile.ZipInfo("link.jpg")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    nested = io.BytesIO()
    with zipfile.ZipFile(nested, "w") as archive:
        archive.writestr("a.jpg", b"x")
    made: list[Entry] = [
        ("bomb.jpg", bytes(12_000_000), "ratio"),
        ("encrypted.jpg", b"secret", "encrypted"),
        ("nested.jpg", nested.getvalue(), "archive"),
        (link, b"/etc/passwd", "link"),
    ]
    cut = cv2.imencode(".jpg", np.zeros((100, 100, 3), np.uint8))[1].tobytes()[:-40]
    for n in range(400):
        made.append((f"text {n}.jpg", f"no photo {n}".encode(), "not-a-photo"))
        made.append((f"cut {n}.jpg", cut + bytes([n % 251, n // 251]), "corrupt"))
        made.append((f"../../etc/{n}.png", b"x", "path"))
    return made


def _archive(path: Path) -> Counter[str]:
    """Write an archive, and return what is to become of its entries."""
    rng = np.random.default_rng(1)
    photos = _photos()
    entries = _junk() + [(f"{n}.png", photos[n], "") for n in range(len(photos))]
    copies = rng.integers(0, len(photos), ENTRIES - len(entries))
    entries += [(f"copy {n}.png", photos[i], "") for n, i in enumerate(copies.tolist())]
    rng.shuffle(entries)  # type: ignore[arg-type]
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, data, reason) in enumerate(entries):
            packed = reason == "ratio" or number % 10 == 0
            archive.writestr(name, data, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"encrypted.jpg") - 46  # its header in the directory
    raw[at + 8] |= 1
    path.write_bytes(raw)
    told = Counter(reason for _, _, reason in entries if reason)
    told["imported"] = len(photos)
    told["same-bytes"] = ENTRIES - told.total()
    return told


def _installed(data: Path) -> tuple[Caller, str, Path]:
    """Make an installation with a case; return who leads it, its id, and a file with a key of theirs."""
    app = App.open(Config(data=data))
    rescue = app.people.add_organisation(ME, "Rescue", OrgClass.VICTIM_RESCUE, "US-CA").id
    cara = app.people.add(ME, rescue, "cara@example.org", "Cara", [Role.ADMIN, Role.USER]).id
    caller = Caller(cara, Purpose.MISSING_PERSON)
    case = app.casework.cases.open(caller, Purpose.MISSING_PERSON, "Lena").id
    key = app.identity.create_key(replace(ME), principal=cara, purpose=Purpose.MISSING_PERSON)
    file = data / "cara"
    app.identity.write_credentials(file, key, "us-east-1")
    app.close()
    return caller, case, file


def _count(data: Path) -> int:
    with sqlite3.connect(f"file:{data / 'custodes.sqlite3'}?mode=ro", uri=True) as c:
        return int(c.execute("SELECT count(*) FROM case_images").fetchone()[0])


def _killed(data: Path, environment: dict[str, str], arguments: Sequence[str], images: int) -> None:
    """Run a command until so many images are kept, and kill it."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from custodes.cli import main; main()", *arguments, "--json"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + SECONDS
    while _count(data) < images:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait(SECONDS) == -9
    process.stderr.close()


def test_an_import_that_is_killed_twice_is_whole_in_the_end(tmp_path: Path) -> None:
    """Of 10,000 entries: photos, copies, junk, a bomb; the ledger has each image once, and verifies."""
    data = tmp_path / "data"
    cara, case, key = _installed(data)
    expected = _archive(tmp_path / "photos.zip")
    environment = environment_for(data, CUSTODES_CREDENTIALS=str(key))
    _killed(data, environment, ["import", "zip", case, str(tmp_path / "photos.zip"), *TOLD], 80)
    [begun] = orjson.loads(run_here("import", "list", case, "--json", environment=environment).stdout)
    assert (begun["state"], begun["imported"] >= 80) == ("running", True)
    _killed(data, environment, ["import", "resume", begun["id"]], 200)
    last = run_here("import", "resume", begun["id"], "--json", environment=environment)
    assert last.returncode == 0, last.stderr
    assert orjson.loads(last.stdout)["state"] == "done"
    _check(data, tmp_path / "ledger", cara, case, begun["id"], expected)


def _check(data: Path, ledger: Path, cara: Caller, case: str, import_id: str, expected: Counter[str]) -> None:
    app = App.open(Config(data=data))
    done = app.casework.imports.get(cara, import_id)
    assert (done.state, done.total, sum(done.counts.values())) == (ImportState.DONE, ENTRIES, ENTRIES)
    items, after = [], -1
    while after is not None:
        page, after = app.casework.imports.items(cara, import_id, after=after)
        items += page
    assert [i.number for i in items] == list(range(ENTRIES))
    assert Counter(i.reason or str(i.outcome) for i in items) == expected
    kept, _ = app.casework.cases.photos(cara, case, ImageRole.IMPORTED, limit=ENTRIES)
    assert len(kept) == len({i.key for i in kept}) == FACES + PLAIN
    assert {i.image for i in items if i.outcome == ItemOutcome.IMPORTED} == {i.id for i in kept}
    faces = {f.reference_id: i.id for i in kept for f in i.faces if f.reference_id}
    assert len(faces) == FACES
    collection = app.casework.cases.collection_of(cara, case).name
    references, _ = app.faces._references.list(collection, after=0, limit=ENTRIES)
    assert {r.reference_id: r.external_image_id for r in references} == faces
    uses = [e for _, e in app.ledger.entries() if e.get("images") == 1]
    assert Counter(e["image_id"] for e in uses) == Counter(i.id for i in kept)
    assert sum(e["enrolled"] for e in uses) == FACES
    assert [e["imported"] for _, e in app.ledger.entries() if e.get("event") == "import-done"] == [FACES + PLAIN]
    app.ledger.publish(ledger)
    assert verify(open_source(str(ledger)), vkey=app.ledger.vkey).size == app.ledger.size()
    assert app.rules.replay().differences == ()
    assert list(app.config.spool.glob("*")) == []
    app.close()
