# SPDX-License-Identifier: Apache-2.0
"""Authorise, act, record: nothing is done without a permit, and nothing is told before its entry is committed."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from custodes.domain import Box, ImageSize, QualityFilter, Template
from custodes.errors import Denied, IntegrityError, Invalid, NotFound
from custodes.gallery import NewReference
from custodes.governance import OPERATOR, AuthorityKind, Caller, OrgClass, Purpose, Role, StopScope
from custodes.governance.moratorium import Moratorium
from custodes.governance.schema import uses_by_day
from custodes.ledger import check_disclosure

Photos = dict[str, bytes]
START = datetime(2027, 1, 15, 8, tzinfo=UTC)
ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")


def _search(world, caller: Caller, name: str, image: bytes, threshold: float | None = None):
    return world.app.faces.search_by_image(
        caller, name, image, limit=5, threshold=threshold, quality=QualityFilter.NONE
    )


def _mugshots(world, photos: Photos) -> str:
    """Make a collection of the police with one face, and return its reference's id."""
    world.app.collections.create(world.officer, "mugshots", {})
    done = world.app.faces.index(world.officer, "mugshots", photos["obama_1"], external_image_id="o")
    return done.enrolled[0][0].reference_id


def test_a_photo_app_meets_no_friction_and_every_use_is_an_entry(both_worlds, photos: Photos) -> None:
    """All of an ordinary user's operations are permitted, each with one entry that decides again as it did."""
    world, app = both_worlds, both_worlds.app
    app.collections.create(ME, "album", {})
    found = app.faces.index(ME, "album", photos["obama_1"], external_image_id="o")
    face = found.enrolled[0][0].reference_id
    uses = (
        lambda: app.faces.detect(ME, photos["biden"]),
        lambda: app.faces.compare(ME, photos["obama_1"], photos["obama_2"], threshold=None),
        lambda: app.faces.search(ME, "album", face, limit=5, threshold=None),
        lambda: _search(world, ME, "album", photos["obama_2"]),
        lambda: app.faces.list(ME, "album", after=0, limit=5, user=None, ids=None),
        lambda: app.subjects.create(ME, "album", "barack", None),
        lambda: app.subjects.associate(ME, "album", "barack", [face], threshold=75.0, once=None),
        lambda: app.subjects.search_by_face(ME, "album", face, limit=5, threshold=None),
        lambda: app.subjects.search_by_subject(ME, "album", "barack", limit=5, threshold=None),
        lambda: app.subjects.list(ME, "album", after=0, limit=5),
        lambda: app.subjects.disassociate(ME, "album", "barack", [face], None),
        lambda: app.subjects.delete(ME, "album", "barack", None),
        lambda: app.collections.describe(ME, "album"),
        lambda: app.collections.list(ME, after=0, limit=5),
        lambda: app.collections.tag(ME, "album", {"a": "b"}),
        lambda: app.collections.tags(ME, "album"),
        lambda: app.collections.untag(ME, "album", ["a"]),
        lambda: app.faces.delete(ME, "album", [face]),
        lambda: app.collections.delete(ME, "album"),
    )
    for use in uses:
        before = app.ledger.size()
        use()
        assert app.guard.written == (before,)
        assert app.ledger.size() == before + 1
        entry = world.entry()
        assert (entry["kind"], entry["decision"], entry["outcome"]) == ("use", "permit", "done")
    assert app.rules.replay().differences == ()


def test_a_denial_comes_before_anything_is_decoded_and_says_why(world, photos: Photos) -> None:
    """Under the moratorium police don't search or compare; the refusal names rule, citation and remedy."""
    app = world.app
    face = _mugshots(world, photos)
    no_image = b"no image at all"
    for ask in (
        lambda: _search(world, world.officer, "mugshots", no_image),
        lambda: app.faces.search_each(
            world.officer, "mugshots", no_image, limit=1, threshold=None, quality=QualityFilter.NONE
        ),
        lambda: app.faces.search(world.officer, "mugshots", face, limit=5, threshold=99.5),
        lambda: app.faces.compare(world.officer, no_image, no_image, threshold=99.5),
        lambda: app.subjects.search_by_face(world.officer, "mugshots", face, limit=5, threshold=None),
        lambda: app.subjects.search_by_subject(world.officer, "mugshots", "x", limit=5, threshold=None),
        lambda: app.subjects.search_by_image(
            world.officer, "mugshots", no_image, limit=5, threshold=None, quality=QualityFilter.NONE
        ),
    ):
        before = app.ledger.size()
        assert "moratorium.until-further-notice" in world.denied(ask)
        entry = world.entry()
        assert app.ledger.size() == before + 1
        assert (entry["decision"], entry["outcome"]) == ("deny", "denied")
        assert "moratorium.until-further-notice" in entry["rules"]
    with pytest.raises(Denied) as caught:
        _search(world, world.officer, "mugshots", no_image)
    told = caught.value.diagnostics()
    assert "moratorium.until-further-notice" in told
    assert "18 May 2021" in told
    assert "custodes cases open" in told
    assert app.faces.detect(world.officer, photos["biden"]).faces


def test_to_associate_is_to_compare(world, photos: Photos) -> None:
    """How alike faces are is not told to police under the moratorium, nor below the floor when it is lifted."""
    app = world.app
    face = _mugshots(world, photos)
    other = app.faces.index(world.officer, "mugshots", photos["biden"]).enrolled[0][0].reference_id
    app.subjects.create(world.officer, "mugshots", "suspect", None)

    def associate(caller: Caller, threshold: float | None):
        return lambda: app.subjects.associate(
            caller, "mugshots", "suspect", [face, other], threshold=threshold, once=None
        )

    assert "moratorium.until-further-notice" in world.denied(associate(world.officer, 99.5))
    officer = world.police_may_search("mugshots")
    assert world.denied(associate(officer, 75.0)) == ["amazon-public-safety.threshold"]
    assert [i for i, _ in associate(officer, None)().unlike] == [other]
    assert world.entry()["request"]["facts"]["threshold"] == "99.0000"


def test_many_faces_are_deleted_at_once(world) -> None:
    """As many as a request may name, in as many entries as hold them; each receipt is checked on its own."""
    app = world.app
    app.collections.create(ME, "album", {})
    random = np.random.default_rng(3)
    vectors = random.standard_normal((1100, 128), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    faces = [NewReference(Box(1, 1, 50, 50), 99.0, Template(v, "custodes-1")) for v in vectors]
    enrolled = app.faces._references.enrol(
        "album", faces, image_id=bytes(16), external_image_id=None, image_size=ImageSize(100, 100)
    )
    ids = [r.reference_id for r in enrolled]
    assert len(app.faces.delete(ME, "album", ids + [str(uuid.uuid4()) for _ in range(2996)]).deleted) == 1100
    entries = app.guard.written
    assert [world.entry(i)["erased"] for i in entries] == [500, 500, 100]
    opened = [check_disclosure(app.erasure.receipt(i), app.ledger.vkey).values.values() for i in entries]
    assert {v.decode() for values in opened for v in values} == set(ids)


def test_rescuers_go_on_within_an_own_open_case(world, photos: Photos) -> None:
    """Purpose, class and case decide; a closed case, another's and an unknown one don't do."""
    app = world.app
    app.collections.create(world.rescuer, "missing", {})
    case = app.grounds.open_case(ME, Purpose.MISSING_PERSON, world.rescue).id
    theirs = app.grounds.open_case(ME, Purpose.MISSING_PERSON, world.police).id
    other = app.grounds.open_case(ME, Purpose.VICTIM_IDENTIFICATION, world.rescue).id
    within = replace(world.rescuer, case=case)
    app.faces.index(within, "missing", photos["obama_1"])
    assert len(_search(world, within, "missing", photos["obama_2"]).candidates) == 1
    assert world.entry()["case"] == case
    moratorium = "moratorium.until-further-notice"
    assert moratorium in world.denied(lambda: _search(world, world.rescuer, "missing", b""))
    assert "base.case-own" in world.denied(lambda: _search(world, replace(within, case=theirs), "missing", b""))
    assert "base.case-purpose" in world.denied(lambda: _search(world, replace(within, case=other), "missing", b""))
    assert "base.case-own" in world.denied(lambda: _search(world, replace(within, case="case-0"), "missing", b""))
    app.grounds.close_case(ME, case)
    assert "base.case-open" in world.denied(lambda: _search(world, within, "missing", b""))


def test_collections_are_their_owners_alone(world, photos: Photos) -> None:
    """Another organisation neither lists nor reads nor searches nor deletes them."""
    app = world.app
    app.collections.create(ME, "album", {})
    _mugshots(world, photos)
    assert [c.name for c in app.collections.list(world.officer, after=0, limit=9)[0]] == ["mugshots"]
    for ask in (
        lambda: app.collections.describe(world.officer, "album"),
        lambda: app.collections.delete(world.officer, "album"),
        lambda: app.faces.list(world.officer, "album", after=0, limit=1, user=None, ids=None),
        lambda: app.faces.index(world.officer, "album", b""),
    ):
        assert "base.own-collections" in world.denied(ask)
    assert app.collections.describe(ME, "album").face_count == 0
    with pytest.raises(NotFound):
        app.collections.describe(world.officer, "nope")


@pytest.mark.parametrize("change", ["stop", "moratorium", "case closed", "suspended"])
def test_what_changes_midway_decides(world, photos: Photos, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """A stop, a moratorium, a closed case or a suspension while a search or an enrolment runs: it is denied."""
    app = world.app
    app.collections.create(world.rescuer, "missing", {})
    case = app.grounds.open_case(ME, Purpose.MISSING_PERSON, world.rescue).id
    within = replace(world.rescuer, case=case)
    app.faces.index(within, "missing", photos["obama_1"])
    rule = {"stop": "base.stopped", "moratorium": "moratorium.no-rescue", "case closed": "base.case-open",
            "suspended": "base.suspended"}[change]  # fmt: skip
    read = app.faces._images.read

    def reading(source):
        monkeypatch.setattr(app.faces._images, "read", read)
        thread = threading.Thread(target=meanwhile)  # as somebody else's request
        thread.start()
        thread.join()
        return read(source)

    def meanwhile() -> None:
        if change == "stop":
            app.oversight.stop(world.olga, StopScope.ORGANISATION, world.rescue, "for a test")
        elif change == "moratorium":
            app.oversight.declare(world.olga, _moratorium("no-rescue", OrgClass.VICTIM_RESCUE))
        elif change == "case closed":
            app.grounds.close_case(ME, case)
        else:
            app.people.suspend(ME, world.rescuer.principal, suspended=True)

    monkeypatch.setattr(app.faces._images, "read", reading)
    before = app.ledger.size()
    if change in ("moratorium", "case closed"):
        assert rule in world.denied(lambda: _search(world, within, "missing", photos["obama_2"]))
    else:
        assert rule in world.denied(lambda: app.faces.index(within, "missing", photos["biden"]))
    assert [e["decision"] for _, e in app.ledger.entries(before)] == ["permit", "deny"]
    assert app.collections.enrolled().faces == 1
    assert app.rules.replay().differences == ()


def _moratorium(name: str, bound: OrgClass) -> Moratorium:
    return Moratorium(
        id=name,
        classes=frozenset({bound}),
        jurisdictions=frozenset(),
        actions=frozenset({"Recognise", "Store"}),
        purposes=frozenset(),
        begins=datetime(2027, 1, 1, tzinfo=UTC),
        ends=None,
        exempt=(),
        citation="A test",
        explain="A test forbids it.",
        remedy="Wait.",
    )


def test_what_fails_after_the_permit_is_an_entry_too(world) -> None:
    """The entry has the permit and what came instead; nothing else changed."""
    app = world.app
    app.collections.create(ME, "album", {})
    with pytest.raises(Invalid):
        app.faces.index(ME, "album", b"no image")
    entry = world.entry()
    assert (entry["decision"], entry["outcome"], entry["error"]) == ("permit", "failed", "InvalidImage/image-format")
    with pytest.raises(NotFound):
        app.faces.search(ME, "album", "00000000-0000-0000-0000-000000000000", limit=1, threshold=None)
    assert world.entry()["error"] == "NotFound/face-missing"


def test_the_floor_is_raised_to_but_never_lowered(world, photos: Photos) -> None:
    """Police that state no threshold search at 99; 98.9 is denied, 99.5 is used as stated."""
    face = _mugshots(world, photos)
    officer = world.police_may_search("mugshots")
    faces = world.app.faces
    faces.search(officer, "mugshots", face, limit=5, threshold=None)
    assert world.entry()["request"]["facts"]["threshold"] == "99.0000"
    faces.search(officer, "mugshots", face, limit=5, threshold=99.5)
    assert world.entry()["request"]["facts"]["threshold"] == "99.5000"
    low = world.denied(lambda: faces.search(officer, "mugshots", face, limit=5, threshold=98.9))
    assert low == ["amazon-public-safety.threshold"]
    barely = world.denied(lambda: faces.search(officer, "mugshots", face, limit=5, threshold=98.99996))
    assert barely == ["amazon-public-safety.threshold"]


def test_an_authority_has_a_scope_and_an_end(world, photos: Photos) -> None:
    """Another collection, another purpose, another subject, before and after its time: each is denied."""
    app, clock = world.app, world.clock
    face = _mugshots(world, photos)
    app.collections.create(world.officer, "licences", {})
    other = app.faces.index(world.officer, "licences", photos["biden"]).enrolled[0][0].reference_id
    officer = world.police_may_search("mugshots")

    def asked(caller: Caller, name: str = "mugshots", reference: str = face):
        return lambda: app.faces.search(caller, name, reference, limit=5, threshold=None)

    asked(officer)()
    assert "base.authority-collection" in world.denied(asked(officer, "licences", other))
    wrong = world.warrant("mugshots", purposes=[Purpose.MISSING_PERSON])
    assert "base.authority-purpose" in world.denied(asked(replace(officer, authority=wrong)))
    about = world.warrant("mugshots", subjects=[f"reference:{other}"])
    assert "base.authority-subject" in world.denied(asked(replace(officer, authority=about)))
    named = world.warrant("mugshots", subjects=[f"reference:{face}"])
    asked(replace(officer, authority=named))()
    long = world.warrant("mugshots", days=31)
    assert "us-wa.thirty-days" in world.denied(asked(replace(officer, authority=long)))
    assert "us-wa.warrant" in world.denied(asked(replace(officer, authority=None)))
    clock.forward(days=20, milliseconds=-1)
    asked(officer)()
    clock.forward(milliseconds=1)
    assert "base.authority-valid" in world.denied(asked(officer))


def test_an_expired_key_is_denied(world) -> None:
    """From its end on nothing is done with it."""
    end = world.clock.now.replace(microsecond=0)
    caller = replace(ME, key_expires=end)
    assert world.denied(lambda: world.app.collections.create(caller, "album", {})) == ["base.key-expired"]
    with pytest.raises(NotFound):
        world.app.collections.describe(ME, "album")


def test_the_search_after_the_days_cap_is_denied(world, photos: Photos) -> None:
    """Fifty a person and day, counted with those that run at the same time; the next day it begins anew."""
    app = world.app
    face = _mugshots(world, photos)
    officer = world.police_may_search("mugshots")
    app.faces.search(officer, "mugshots", face, limit=1, threshold=None)
    with app._database.transaction() as c:
        c.execute(sa.update(uses_by_day).where(uses_by_day.c.id == officer.principal).values(count=47))

    def once(_: int) -> list[str]:
        try:
            app.faces.search(officer, "mugshots", face, limit=1, threshold=None)
        except Denied as e:
            return [rule.id for rule in e.decision.rules]
        return []

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(once, range(8)))
    assert sorted(map(len, told)) == [0] * 3 + [1] * 5
    assert {rule for rules in told for rule in rules} == {"base.daily-cap-person"}
    assert [a.kind for a in app.oversight.alarms()] == ["daily-cap"]
    world.clock.forward(days=1)
    app.faces.search(officer, "mugshots", face, limit=1, threshold=None)


def test_each_face_of_a_group_is_a_search_of_its_own(world, photos: Photos) -> None:
    """Four faces are four entries, and four against the cap; if the cap falls among them none is told."""
    app = world.app
    _mugshots(world, photos)
    officer = world.police_may_search("mugshots")

    def group():
        return app.faces.search_each(
            officer, "mugshots", photos["group"], limit=1, threshold=None, quality=QualityFilter.NONE
        )

    before = app.ledger.size()
    assert len(group()) == 4
    assert [e["face"] for _, e in app.ledger.entries(before)] == [0, 1, 2, 3]
    assert [e["request"]["facts"]["today"]["principal"] for _, e in app.ledger.entries(before)] == [0, 1, 2, 3]
    with app._database.transaction() as c:
        c.execute(sa.update(uses_by_day).where(uses_by_day.c.id == officer.principal).values(count=48))
    before = app.ledger.size()
    assert world.denied(group) == ["base.daily-cap-person"]
    uses = [e for _, e in app.ledger.entries(before) if e["kind"] == "use"]
    assert [e["decision"] for e in uses] == ["deny"]


def test_tracking_that_is_put_together_out_of_searches_is_denied(world, photos: Photos) -> None:
    """One subject in several places over more than 72 hours needs a warrant or a court order; oversight is told."""
    app, clock = world.app, world.clock
    world.lift_moratorium()
    police = app.people.add_organisation(ME, "Portland PD", OrgClass.LAW_ENFORCEMENT, "US-OR").id
    person = app.people.add(ME, police, "cal@example.org", "Cal", [Role.USER]).id
    app.people.train(ME, person, "face comparison", clock.now, clock.now + timedelta(days=900))
    world.evaluated(police)
    officer = Caller(person, Purpose.CRIMINAL_INVESTIGATION, provenance="public-record")
    app.collections.create(officer, "mugshots", {})
    app.faces.index(officer, "mugshots", photos["obama_1"])

    def at(place: str | None, image: str = "obama_2", caller: Caller = officer):
        return lambda: _search(world, replace(caller, place=place), "mugshots", photos[image])

    at("pier 1")()
    clock.forward(hours=72)
    at("pier 2", "obama_1")()  # another photo of the same man, found in the gallery
    clock.forward(seconds=1)
    for place in ("pier 3", None):  # an unstated place may be any
        denied = world.denied(at(place))
        assert denied == ["base.tracking", "amazon-public-safety.sustained-surveillance"]
    at("pier 3", "biden")()  # another person
    assert [a.kind for a in app.oversight.alarms()] == ["tracking", "tracking"]
    warrant = world.warrant("mugshots", organisation=police)
    at("pier 3", caller=replace(officer, authority=warrant))()
    clock.forward(days=31)
    at("pier 4")()  # what was a month ago is forgotten


def test_an_exigent_search_runs_at_once_and_is_sealed_after_48_hours(both_worlds, photos: Photos) -> None:
    """It is flagged, oversight is told, and what it found stays readable only if an authority is filed."""
    world, app, clock = both_worlds, both_worlds.app, both_worlds.clock
    face = _mugshots(world, photos)
    officer = replace(world.police_may_search("mugshots"), authority=None, exigency="a kidnapping that goes on")
    found = _search(world, officer, "mugshots", photos["obama_2"])
    entry = next(e for _, e in app.ledger.entries() if e.get("exigent"))
    assert [c.reference.reference_id for c in found.candidates] == [face]
    assert entry["request"]["facts"]["authority"]["kind"] == "exigency"
    assert [a.kind for a in app.oversight.alarms()] == ["exigent-use"]
    [kept] = app.grounds.kept()
    plain = replace(officer, exigency=None)
    assert face.encode() in app.grounds.open_kept(plain, kept.exigency.id).results
    assert "base.results-own" in world.denied(lambda: app.grounds.open_kept(ME, kept.exigency.id))
    exigency = kept.exigency.authority
    clock.forward(hours=47)
    with pytest.raises(Invalid, match="warrant or a court order"):
        world.warrant("mugshots", satisfies=exigency, kind=AuthorityKind.CONSENT)
    with pytest.raises(Invalid, match="wasn't valid"):
        world.warrant("mugshots", satisfies=exigency)
    world.warrant("mugshots", satisfies=exigency, begins=START)
    clock.forward(hours=100)
    assert face.encode() in app.grounds.open_kept(plain, kept.exigency.id).results
    app.faces.delete(world.officer, "mugshots", [face])
    assert app.grounds.kept() == ()


def test_what_no_authority_was_filed_for_in_time_stays_sealed(world, photos: Photos) -> None:
    """Neither shown nor opened out of the ledger, whatever is filed later; and no other exigency passes meanwhile."""
    app, clock = world.app, world.clock
    face = _mugshots(world, photos)
    officer = replace(world.police_may_search("mugshots"), authority=None, exigency="a kidnapping that goes on")
    _search(world, officer, "mugshots", photos["obama_2"])
    [index] = app.guard.written
    told = check_disclosure(app.ledger.disclose(ME, index), app.ledger.vkey)
    assert face.encode() in told.values["candidate.0"]
    [kept] = app.grounds.kept()
    clock.forward(hours=48)
    plain = replace(officer, exigency=None)
    assert world.denied(lambda: app.grounds.open_kept(plain, kept.exigency.id)) == ["base.results-sealed"]
    assert world.denied(lambda: app.ledger.disclose(ME, index)) == ["base.results-sealed"]
    clock.forward(seconds=1)
    with pytest.raises(Invalid, match="are over"):
        world.warrant("mugshots", satisfies=kept.exigency.authority, begins=START)
    again = world.denied(lambda: _search(world, officer, "mugshots", photos["obama_2"]))
    assert again == ["base.exigency-overdue"]
    assert "exigency-overdue" in {a.kind for a in app.oversight.alarms()}
    _search(world, replace(plain, authority=world.warrant("mugshots")), "mugshots", photos["obama_2"])


def test_a_rolled_back_exigency_leaves_the_kill_switch_whole(world, photos: Photos) -> None:
    """What a denied search had changed is not remembered: the stop that comes next holds."""
    app = world.app
    _mugshots(world, photos)
    officer = replace(world.police_may_search("mugshots"), authority=None, exigency="a kidnapping that goes on")
    app.faces.search_by_image(
        officer, "mugshots", photos["obama_2"], limit=1, threshold=None, quality=QualityFilter.NONE
    )
    with app._database.transaction() as c:
        c.execute(sa.update(uses_by_day).where(uses_by_day.c.id == officer.principal).values(count=48))
    denied = world.denied(
        lambda: app.faces.search_each(
            officer, "mugshots", photos["group"], limit=1, threshold=None, quality=QualityFilter.NONE
        )
    )
    assert denied == ["base.daily-cap-person"]
    app.oversight.stop(world.olga, StopScope.ALL, "", "for a test")
    assert len(app.oversight.stops()) == 1
    assert "base.stopped" in world.denied(lambda: app.collections.describe(world.officer, "mugshots"))


def test_a_collection_that_is_made_anew_midway_is_not_the_one(world, photos: Photos, monkeypatch) -> None:
    """What was decided on one collection is not answered out of another of the same name."""
    app = world.app
    app.collections.create(ME, "album", {})
    read = app.faces._images.read

    def reading(source):
        monkeypatch.setattr(app.faces._images, "read", read)
        app.collections.delete(ME, "album")
        app.collections.create(world.officer, "album", {})
        app.faces.index(world.officer, "album", photos["obama_1"])
        return read(source)

    monkeypatch.setattr(app.faces._images, "read", reading)
    with pytest.raises(NotFound):
        _search(world, ME, "album", photos["obama_2"])
    monkeypatch.setattr(app.faces._images, "read", reading)
    app.collections.delete(world.officer, "album")
    app.collections.create(ME, "album", {})
    with pytest.raises(NotFound):
        app.faces.index(ME, "album", photos["biden"])
    assert app.collections.describe(world.officer, "album").face_count == 1


def test_the_clock_can_not_be_turned_back(world) -> None:
    """Nothing is decided, and no start succeeds, while the clock stands before the ledger's last entry."""
    app = world.app
    app.collections.create(ME, "album", {})
    world.clock.forward(seconds=-3)
    app.collections.describe(ME, "album")
    assert world.entry()["at"] == world.entry(app.ledger.size() - 2)["at"]
    world.clock.forward(hours=-1)
    for ask in (
        lambda: app.collections.describe(ME, "album"),
        lambda: app.oversight.stop(world.olga, StopScope.ALL, "", "for a test"),
        world.reopen,
    ):
        with pytest.raises(IntegrityError, match="clock stands"):
            ask()
    world.clock.forward(hours=2)
    world.reopen()
    assert world.app.collections.describe(ME, "album").name == "album"


def test_nobody_does_nothing(world) -> None:
    """A caller whom governance doesn't know is denied, and so is a role that may not."""
    ghost = Caller("p-0", Purpose.PHOTO_LIBRARY)
    with pytest.raises(Denied, match="nobody"):
        world.app.collections.create(ghost, "album", {})
    assert "base.role" in world.denied(lambda: world.app.collections.create(world.olga, "x", {}))
