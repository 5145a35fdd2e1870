# SPDX-License-Identifier: Apache-2.0
"""What a dashboard shows agrees with the rules and the ledger, reads within bounds, and leaves no trace."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from custodes.domain import QualityFilter
from custodes.errors import Invalid, NotFound
from custodes.governance import OPERATOR, Action, Caller, ConsentKind, OrgClass, Purpose, Request, StopScope, Use
from custodes.governance.policy import RuleSet
from custodes.governance.request import OrganisationFacts, Uses
from custodes.governance.rulebook import shipped
from custodes.ledger.entry import encode, stamp, to_ms
from custodes.operations.overview import CAPS, DAYS, Cap, DayCounts

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
NOON = datetime(2027, 1, 15, 12, tzinfo=UTC)


# --- caps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("org_class", list(OrgClass))
def test_the_caps_that_are_shown_are_those_of_the_rules(org_class: OrgClass) -> None:
    """At a cap the rule refuses, one below it doesn't; where none is shown, none refuses."""
    rules = RuleSet.compile([b for b in shipped() if b.id == "base"], ())
    cap = CAPS.get(org_class, Cap(None, None))

    def refusing(today: Uses) -> set[str]:
        facts = Use(NOON, OrganisationFacts(org_class), str(Purpose.MISSING_PERSON), today=today)
        decided = rules.decide(Request("p-1", Action.COMPARE, facts)).rules
        return {r.id for r in decided if r.id.startswith("base.daily-cap")}

    for most, rule, uses in (
        (cap.principal, "base.daily-cap-person", lambda n: Uses(principal=n)),
        (cap.organisation, "base.daily-cap-organisation", lambda n: Uses(organisation=n)),
    ):
        if most is None:
            assert refusing(uses(10**6)) == set()
        else:
            assert (refusing(uses(most - 1)), refusing(uses(most))) == (set(), {rule})


# --- days -----------------------------------------------------------------------------------------------------------


class _Log:
    """A ledger in memory that counts what is read of it."""

    def __init__(self) -> None:
        self.lines: list[tuple[datetime, bytes]] = []
        self.read = 0

    def add(self, at: datetime, outcome: str, action: str, organisation: str = "org-1") -> None:
        body = {"organisation": organisation, "outcome": outcome, "request": {"action": action}}
        self.lines.append((at, encode("use", stamp(to_ms(at)), body, ())))

    def size(self) -> int:
        return len(self.lines)

    def index_at(self, when: datetime) -> int:
        return next((i for i, (at, _) in enumerate(self.lines) if at >= when), len(self.lines))

    def entries(self, start: int, stop: int):
        self.read += stop - start
        return (data for _, data in self.lines[start:stop])


@pytest.fixture
def log() -> _Log:
    """Twenty days with two searches, one refusal, and something else each; another organisation's among them."""
    made = _Log()
    for n in range(20):
        at = NOON - timedelta(days=19 - n)
        for outcome, action in (
            ("done", "SearchReferences"),
            ("done", "SearchSubjects"),
            ("denied", "Enrol"),
            ("done", "Enrol"),
        ):
            made.add(at, outcome, action)
        made.add(at, "denied", "SearchReferences", "org-2")
    return made


def _told(counts: DayCounts, organisation: str, today: date) -> list[tuple[int, int]]:
    days, whole = counts.read(organisation, today)
    assert whole
    assert [d.date for d in days] == [today - timedelta(days=n) for n in reversed(range(DAYS))]
    return [(d.searches, d.refused) for d in days]


def test_days_are_counted_for_each_organisation(log: _Log) -> None:
    """Searches that were made and refusals of whatever kind, day by day, and nothing older."""
    counts = DayCounts(log)
    assert _told(counts, "org-1", NOON.date()) == [(2, 1)] * DAYS
    assert _told(counts, "org-2", NOON.date()) == [(0, 1)] * DAYS
    assert _told(counts, "org-3", NOON.date()) == [(0, 0)] * DAYS
    assert log.read == 5 * DAYS


def test_a_look_reads_no_more_than_its_budget_and_goes_on_with_the_next(log: _Log) -> None:
    """Today is counted first; it is said that the rest isn't yet; no entry is read twice."""
    counts, looks = DayCounts(log, budget=8), 0
    days, whole = counts.read("org-1", NOON.date())
    assert not whole
    assert (days[-1].searches, days[-1].refused) == (2, 1)
    assert days[0].searches == 0
    while not whole:
        before = log.read
        days, whole = counts.read("org-1", NOON.date())
        looks += 1
        assert log.read - before <= 8
    assert looks == -(-5 * DAYS // 8) - 1
    assert [(d.searches, d.refused) for d in days] == [(2, 1)] * DAYS
    assert log.read == 5 * DAYS


def test_what_is_new_is_counted_and_what_is_old_forgotten(log: _Log) -> None:
    """The next day begins at nothing, its entries are added, and the first day leaves."""
    counts = DayCounts(log)
    _told(counts, "org-1", NOON.date())
    tomorrow = NOON + timedelta(days=1)
    assert _told(counts, "org-1", tomorrow.date()) == [(2, 1)] * (DAYS - 1) + [(0, 0)]
    log.add(tomorrow, "done", "SearchReferences")
    assert _told(counts, "org-1", tomorrow.date())[-1] == (1, 0)
    assert log.read == 5 * DAYS + 1


# --- an installation ------------------------------------------------------------------------------------------------


def test_looking_leaves_no_trace_in_the_ledger(both_worlds) -> None:
    """Figures are of the own organisation, restraints of all, alarms for overseers; the ledger is as long as before."""
    app, rescuer = both_worlds.app, both_worlds.rescuer
    app.collections.create(rescuer, "missing", {})
    before = app.overview.figures(rescuer)
    assert both_worlds.denied(lambda: app.collections.describe(both_worlds.officer, "missing"))
    ledger = app.ledger.size()
    mine, theirs = app.overview.figures(rescuer), app.overview.figures(both_worlds.officer)
    assert app.ledger.size() == ledger == mine.entries
    assert (mine.own.collections, theirs.own.collections) == (1, 0)
    assert (mine.days[-1].refused, theirs.days[-1].refused - before.days[-1].refused) == (0, 1)
    assert (mine.cap, theirs.cap) == (Cap(1000, 5000), Cap(50, 200))
    assert [m.id for m in theirs.binding] == ["until-further-notice"]
    assert (mine.alarms, mine.stopped, mine.checkpoint) == (None, False, None)
    app.oversight.stop(both_worlds.olga, StopScope.ORGANISATION, both_worlds.rescue, "a test")
    stopped = app.overview.figures(rescuer)
    assert (stopped.stops, stopped.stopped, app.overview.figures(both_worlds.officer).stopped) == (1, True, False)
    assert app.overview.figures(both_worlds.olga).alarms == 0
    app.ledger.checkpoint(fresh=True)
    assert app.overview.figures(rescuer).checkpoint == (app.ledger.size(), both_worlds.clock.now)


# --- looking at what one manages ------------------------------------------------------------------------------------


def test_who_manages_sees_their_own_organisation_and_the_operator_all(world) -> None:
    """A look leaves no entry; who may not manage is refused by the rules, and that is one."""
    managing, chief = world.app.managing, world.rescuer_called("chief")
    before = world.app.ledger.size()
    assert {p.organisation for p in managing.staff(chief).people} == {world.rescue}
    assert {world.rescue, world.police, "local"} <= {p.organisation for p in managing.staff(ME).people}
    assert managing.person(chief, world.rescuer.principal).principal.id == world.rescuer.principal
    assert managing.oneself(world.rescuer).principal.id == world.rescuer.principal
    assert managing.organisations(ME)[0].id == "local"
    assert world.app.ledger.size() == before
    for look, rule in (
        (lambda: managing.staff(world.rescuer), "base.administer-role"),
        (lambda: managing.person(world.rescuer, chief.principal), "base.administer-role"),
        (lambda: managing.person(chief, world.officer.principal), "base.administer-own"),
        (lambda: managing.organisations(chief), "base.organisations-by-operator"),
        (lambda: managing.authorities(world.rescuer), "base.administer-role"),
        (lambda: managing.consents(world.rescuer), "base.administer-role"),
        (lambda: managing.duties(chief, world.police), "base.administer-own"),
    ):
        before = world.app.ledger.size()
        assert rule in world.denied(look)
        assert world.app.ledger.size() == before + 1
        assert (world.entry()["kind"], world.entry()["outcome"]) == ("act", "denied")
    with pytest.raises(NotFound):
        managing.person(ME, "p-0000000000000000")


def test_grounds_are_those_of_the_own_organisation(world) -> None:
    """An administrator sees their authorities and consents, the operator everybody's, the newest first."""
    managing, chief = world.app.managing, world.rescuer_called("chief")
    world.app.collections.create(world.rescuer, "missing", {})
    theirs = world.warrant("missing")
    mine = world.warrant("missing", organisation=world.rescue)
    assert [a.id for a in managing.authorities(chief)] == [mine]
    assert {a.id for a in managing.authorities(ME)} == {mine, theirs}
    made = world.app.grounds.consent(
        chief,
        ConsentKind.EXPLICIT,
        collection="missing",
        external_image_id="one",
        purposes=[Purpose.MISSING_PERSON],
        document_hash="ab" * 32,
        days=3,
    )
    assert [c.id for c in managing.consents(chief)] == [made.id]
    assert all(d.until is None for d in managing.duties(chief))


# --- references with what is kept beside them -----------------------------------------------------------------------


def test_a_page_of_references_tells_whence_they_are(app, photos) -> None:
    """Since when, from where, on which consent; one use, and the pages meet."""
    app.faces.index(ME, "people", photos["group"], external_image_id="group")
    before = app.ledger.size()
    first = app.erasure.held(ME, "people", limit=2)
    assert app.ledger.size() == before + 1
    assert [(h.provenance, h.consent, h.enrolled_at is not None) for _, h in first.references] == [
        ("own", None, True)
    ] * 2
    rest = app.erasure.held(ME, "people", after=first.position)
    assert rest.position is None
    assert len({r.reference_id for r, _ in (*first.references, *rest.references)}) == first.collection.face_count
    one = first.references[1][0].reference_id
    assert [r.reference_id for r, _ in app.erasure.held(ME, "people", reference_ids=[one]).references] == [one]


def test_another_face_than_the_largest_is_searched_for(app, photos) -> None:
    """Each finds itself; the entry tells which it was; a number that there isn't is refused."""
    made = app.faces.index(ME, "people", photos["group"])
    for number, (reference, _) in enumerate(made.enrolled):
        found = app.faces.search_by_image(
            ME, "people", photos["group"], limit=1, threshold=None, quality=QualityFilter.NONE, number=number
        )
        assert found.candidates[0].reference.reference_id == reference.reference_id
        assert app.ledger.entry(app.ledger.size() - 1)["face"] == number
    for number in (len(made.enrolled), 1000):
        with pytest.raises(Invalid, match="no face"):
            app.faces.search_by_image(
                ME, "people", photos["group"], limit=1, threshold=None, quality=QualityFilter.NONE, number=number
            )
