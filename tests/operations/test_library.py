# SPDX-License-Identifier: Apache-2.0
"""The people whom cameras recognise: a consent before each face, all of a person or nothing, and gone when removed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import cv2
import orjson
import pytest
from tests.operations.conftest import ME, START, World, open_world
from tests.operations.household import Home, files_with, jpeg, move_in, wall

from custodes.errors import Conflict, Denied, Invalid, NotFound
from custodes.governance import Caller, ConsentKind, OrgClass, Purpose, Role
from custodes.operations.agreements import Agreement

BARACK = ("obama_2", 250, 60, 560)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation with room for many households."""
    made = open_world(tmp_path_factory.mktemp("street") / "data")
    yield made
    made.app.close()


@pytest.fixture
def home(street: World) -> Home:
    """A household whose library is empty."""
    return move_in(street)


def stored(home: Home) -> tuple[int, int, int]:
    """References, subjects and consents that hold, of the household."""
    totals = home.world.app.collections._collections.totals(home.organisation)
    consents = [c for c in home.world.app.grounds.consents() if c.organisation == home.organisation]
    return totals.references, totals.subjects, sum(c.withdrawn_at is None for c in consents)


def test_each_organisation_has_a_library_of_its_own(home: Home, street: World) -> None:
    """Names of collections are everybody's, so that a household's library has a name that is its own."""
    name = home.library.ensure(home.admin)
    assert home.library.ensure(home.admin) == name
    other = move_in(street)
    assert other.library.ensure(other.admin) != name
    made = home.world.app.collections.describe(home.admin, name)
    assert (made.owner, made.purpose, made.retention_days) == (home.organisation, "home-security", 1095)


def test_a_name_that_somebody_else_has_taken(home: Home, street: World) -> None:
    """If another organisation has taken the library's name, the household gets one all the same."""
    taken = f"home-{home.organisation.removeprefix('org-')}"
    other = move_in(street)
    street.app.collections.create(other.admin, taken, {})
    name = home.library.ensure(home.admin)
    assert name == f"{taken}-1"
    assert home.library.ensure(home.admin) == name


def test_the_consent_is_on_file_before_the_face(home: Home) -> None:
    """A person is added by a consent, a subject and faces, in this order, and every face rests on the consent."""
    made = home.library.add(home.admin, "barack", home.agreement(), [jpeg("obama_1"), jpeg("obama_2")])
    acted = [e["request"]["action"] for e in home.entries() if e.get("outcome") == "done"]
    first = acted.index("Enrol")
    assert acted.index("FileConsent") < acted.index("CreateSubject") < first
    assert acted[first:] == ["Enrol", "Associate", "Enrol", "Associate"]
    enrolled = [e for e in home.entries() if e["request"]["action"] == "Enrol"]
    assert {(e["consent"], e["provenance"]) for e in enrolled} == {(made.person.consent, "consented")}
    assert (made.person.name, made.person.photos, made.person.floor) == ("barack", 2, 0.0)
    assert home.library.people(home.admin) == (made.person,)
    assert not any(b"barack" in orjson.dumps(dict(e)) for e in home.entries())


def test_a_statement_is_made_where_there_is_no_document(home: Home) -> None:
    """The statement of consent is handed out once; the ledger has its hash, which tells nobody who can guess it."""
    made = home.library.add(home.admin, "barack", home.agreement("his wife"), [jpeg("obama_1")])
    told = orjson.loads(made.statement)
    assert (told["person"], told["given_by"], told["purpose"]) == ("barack", "his wife", "home-security")
    assert len(told["number"]) == 32
    [filed] = [e for e in home.entries() if e["request"]["action"] == "FileConsent"]
    assert filed["document"] == hashlib.sha256(made.statement).hexdigest()
    assert not files_with(home.world.config.data, b"his wife")


def test_a_written_release_has_a_document(home: Home) -> None:
    """A written release names its document; in Illinois nothing less will do."""
    until = START + timedelta(days=100)
    with pytest.raises(Invalid):
        Agreement("she", ConsentKind.WRITTEN_RELEASE, until)
    chicago = move_in(home.world, jurisdiction="US-IL")
    with pytest.raises(Denied):
        chicago.library.add(chicago.admin, "barack", chicago.agreement(), [jpeg("obama_1")])
    assert stored(chicago) == (0, 0, 0)
    release = Agreement("she", ConsentKind.WRITTEN_RELEASE, until, "ab" * 32)
    made = chicago.library.add(chicago.admin, "barack", release, [jpeg("obama_1")])
    assert made.statement == b""
    assert stored(chicago) == (1, 1, 1)


@pytest.mark.parametrize(
    ("photos", "says"),
    [
        (["nobody"], "no face"),
        (["obama_1", "nobody"], "photo 2"),
        (["group"], "several"),
        (["obama_1", "biden"], "isn't like"),
        ([], "1 to 20"),
    ],
)
def test_all_of_a_person_or_nothing(home: Home, photos: list[str], says: str) -> None:
    """If one photo shows nobody, several people or another than those before, nothing of the person stays."""
    files = {"nobody": wall_jpeg(), "group": jpeg("group", 900)}
    given = [files.get(p) or jpeg(p) for p in photos]
    with pytest.raises(Invalid) as caught:
        home.library.add(home.admin, "barack", home.agreement(), given)
    told = {"several": "faces, and the consent is one person's"}.get(says, says)
    assert told in caught.value.message
    assert stored(home) == (0, 0, 0)
    assert home.library.people(home.admin) == ()


def wall_jpeg() -> bytes:
    """A photo of a wall."""
    return cv2.imencode(".jpg", wall())[1].tobytes()


@pytest.mark.parametrize("name", ["", "Oma Müller", "a b", "../x", "x" * 129, "a\nb", "<b>"])
def test_names_that_cannot_be_meant(home: Home, name: str) -> None:
    """A name is one that Rekognition's users could have; others are refused before anything is written."""
    before = home.world.app.ledger.size()
    with pytest.raises(Invalid):
        home.library.add(home.admin, name, home.agreement(), [jpeg("obama_1")])
    assert home.world.app.ledger.size() == before


def test_a_consent_that_is_over_is_none(home: Home) -> None:
    """A consent that ends within a day is refused, and so is one without a giver."""
    with pytest.raises(Invalid):
        home.library.add(home.admin, "x", Agreement("x", ConsentKind.EXPLICIT, START), [jpeg("obama_1")])
    with pytest.raises(Invalid):
        Agreement(" ", ConsentKind.EXPLICIT, START)
    with pytest.raises(Invalid):
        Agreement("x", ConsentKind.EXPLICIT, START.replace(tzinfo=None))
    assert stored(home) == (0, 0, 0)


def test_a_person_is_added_once(home: Home) -> None:
    """A second person of the same name is refused, and the first stays as they are."""
    home.library.add(home.admin, "barack", home.agreement(), [jpeg("obama_1")])
    with pytest.raises(Conflict):
        home.library.add(home.admin, "barack", home.agreement(), [jpeg("biden")])
    assert stored(home) == (1, 1, 1)


def test_who_does_not_administer_the_household_adds_nobody(home: Home) -> None:
    """To record a consent takes an administrator: nobody else adds or removes people."""
    home.library.add(home.admin, "barack", home.agreement(), [jpeg("obama_1")])
    child = home.world.app.people.add(ME, home.organisation, f"child@{home.camera.id}", "child", [Role.USER])
    caller = replace(home.admin, principal=child.id)
    with pytest.raises(Denied):
        home.library.add(caller, "joe", home.agreement(), [jpeg("biden")])
    with pytest.raises(Denied):
        home.library.remove(caller, "barack")
    assert stored(home) == (1, 1, 1)
    assert [p.name for p in home.library.people(caller)] == ["barack"]


def test_another_purpose_has_no_library(home: Home) -> None:
    """Who is here for something else than the cameras' purpose is told what to do."""
    with pytest.raises(Invalid) as caught:
        home.library.ensure(replace(home.admin, purpose=Purpose.PHOTO_LIBRARY))
    assert "home-security" in caught.value.remedy
    with pytest.raises(NotFound):
        home.library.of(home.admin)


def test_a_general_organisation_has_one_for_its_doors(street: World) -> None:
    """A general organisation's library is for access control; a police department gets none."""
    home = move_in(street)
    shop = street.app.people.add_organisation(ME, "Shop", OrgClass.GENERAL, "US-CA").id
    ann = street.app.people.add(ME, shop, "ann@shop.example", "ann", [Role.ADMIN]).id
    caller = Caller(ann, Purpose.ACCESS_CONTROL)
    home.library.add(caller, "barack", home.agreement(), [jpeg("obama_1")])
    assert street.app.collections.describe(caller, home.library.ensure(caller)).purpose == "access-control"
    with pytest.raises(Denied):
        home.library.ensure(replace(street.officer, purpose=Purpose.ACCESS_CONTROL))


def test_another_photo_rests_on_the_consent(home: Home) -> None:
    """A further photo is enrolled on the consent on file, once; one of somebody else leaves nothing."""
    home.library.add(home.admin, "barack", home.agreement(), [jpeg("obama_1")])
    assert home.library.add_photo(home.admin, "barack", jpeg("obama_2")).photos == 2
    with pytest.raises(Conflict):
        home.library.add_photo(home.admin, "barack", jpeg("obama_2"))
    with pytest.raises(Invalid):
        home.library.add_photo(home.admin, "barack", jpeg("biden"))
    with pytest.raises(Invalid):
        home.library.add_photo(home.admin, "barack", wall_jpeg())
    with pytest.raises(NotFound):
        home.library.add_photo(home.admin, "joe", jpeg("biden"))
    assert stored(home) == (2, 1, 1)


def test_no_photo_without_a_consent(home: Home) -> None:
    """Where the consent was taken back no face is stored, whatever the law of the place would let."""
    made = home.library.add(home.admin, "barack", home.agreement(), [jpeg("obama_1")])
    home.world.app.grounds.withdraw(home.admin, made.person.consent)
    with pytest.raises(Conflict) as caught:
        home.library.add_photo(home.admin, "barack", jpeg("obama_2"))
    assert "consent" in caught.value.remedy
    [person] = home.library.people(home.admin)
    assert (person.consent, person.until, person.photos) == (None, None, 1)


def test_who_is_removed_is_gone(home: Home) -> None:
    """Photos, name, consent, floor and the name in all events go; the person gets receipts."""
    home.knows("barack", "obama_1")
    watcher = home.watcher()
    event = home.visit(watcher, BARACK)
    assert [s.subject for s in event.sightings] == ["barack"]
    with home.database.transaction() as c:
        home.events.raise_floor(c, home.camera.collection, "barack", 95.0)
    gone = home.library.remove(home.admin, "barack")
    assert len(gone.reference_ids) == 1
    assert home.world.app.erasure.receipt(gone.entries[0])
    assert stored(home) == (0, 0, 0)
    assert home.library.people(home.admin) == ()
    assert [s.subject for s in home.newest().sightings] == [""]
    with home.database.read() as c:
        assert home.events.floor(c, home.camera.collection, "barack") == 0
    with pytest.raises(NotFound, match="nobody called barack"):
        home.library.remove(home.admin, "barack")
    assert [s.subject for s in home.visit(watcher, BARACK).sightings] == [""]


def test_a_consent_that_ends_takes_the_name_out_of_events(home: Home) -> None:
    """When what rests on an ended consent is erased, the name goes out of what cameras have seen."""
    home.knows("barack", "obama_1")
    home.visit(home.watcher(), BARACK)
    [person] = home.library.people(home.admin)
    home.world.app.grounds.withdraw(home.admin, person.consent)
    home.world.app.erasure.run_retention()
    assert [s.subject for s in home.newest().sightings] == [""]
    assert home.library.people(home.admin) == ()


def test_a_library_that_is_deleted_takes_its_names_along(home: Home) -> None:
    """When a collection is deleted as a whole, the names of its people go out of what cameras have seen."""
    home.knows("barack", "obama_1")
    home.visit(home.watcher(), BARACK)
    home.world.app.collections.delete(home.admin, home.camera.collection)
    assert [s.subject for s in home.newest().sightings] == [""]


def test_anothers_library_is_not_there(home: Home, street: World) -> None:
    """Of another household's library nothing is listed, added or removed."""
    home.knows("barack", "obama_1")
    other = move_in(street)
    name = home.library.ensure(home.admin)
    with pytest.raises(Denied):
        other.library.people(other.admin, collection=name)
    with pytest.raises(NotFound):
        other.library.remove(other.admin, "barack", collection=name)
    with pytest.raises(NotFound):
        other.library.add_photo(other.admin, "barack", jpeg("obama_2"), collection=name)
    with pytest.raises(NotFound):
        other.library.add(other.admin, "joe", other.agreement(), [jpeg("biden")], collection=name)
    assert stored(home) == (1, 1, 1)
