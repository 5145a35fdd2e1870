# SPDX-License-Identifier: Apache-2.0
"""The gate: police search only with an evaluation that passes, of what runs here now; others where oversight asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from custodes.config import Vision
from custodes.domain import QualityFilter
from custodes.errors import Conflict, Denied, Unavailable
from custodes.governance import OPERATOR, Action, Caller, EasingKind, OrgClass, Purpose, Role, StopScope
from custodes.governance.moratorium import Moratorium
from custodes.governance.rows import rise
from custodes.governance.schema import evaluations

Photos = dict[str, bytes]
ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
NOTHING = b"no image at all"
COMMAND = "custodes evaluate verification PHOTOS.csv IMAGES --all-pairs --by COLUMN --similarity 99."


def _forget(world) -> None:
    """Let nothing have been measured here."""
    with world.app._database.transaction() as c:
        c.execute(evaluations.delete())
        rise(c)


def _search(world, caller: Caller, threshold: float | None = None, image: bytes = NOTHING) -> Callable[[], object]:
    """Return a search that is decided before the image is looked at."""
    return lambda: world.app.faces.search_by_image(
        caller, "mugshots", image, limit=5, threshold=threshold, quality=QualityFilter.NONE
    )


def _compare(world, caller: Caller, photos: Photos) -> Callable[[], object]:
    one, two = photos["obama_1"], photos["obama_2"]
    return lambda: world.app.faces.compare(caller, one, two, threshold=None)


@pytest.fixture
def officer(world) -> Caller:
    """An officer whom no moratorium binds, with a warrant for a collection with nobody in it."""
    world.app.collections.create(world.officer, "mugshots", {})
    return world.police_may_search("mugshots")


def test_police_without_an_evaluation_are_told_what_to_type(world, officer: Caller, photos: Photos) -> None:
    """Neither search nor comparison: the refusal names the rule, the law and the command; detecting needs none."""
    _forget(world)
    for use in (_search(world, officer), _compare(world, officer, photos)):
        assert world.denied(use) == ["evaluation-gate.missing"]
        with pytest.raises(Denied) as caught:
            use()
        assert COMMAND in caught.value.message
        assert "RCW 43.386.040" in caught.value.message
        assert "evaluation" not in world.entry()["request"]["facts"]
    assert world.app.faces.detect(officer, photos["biden"]).faces
    world.evaluated(similarity=99.0)
    assert _compare(world, officer, photos)()
    facts = world.entry()["request"]["facts"]["evaluation"]
    assert facts == {
        "current": True,
        "age_days": 0,
        "similarity": "99.0000",
        "groups": 2,
        "enough": True,
        "false_match_ppm": 300,
        "false_non_match_ppm": 20_000,
    }
    assert world.app.rules.replay().differences == ()


def test_the_newest_evaluation_passes_or_not(world, officer: Caller, photos: Photos) -> None:
    """Each bound is a rule of its own; an earlier evaluation that was better doesn't help, a later one does."""
    use = _compare(world, officer, photos)
    for verdict, rule in (
        ({"enough": False}, "data"),
        ({"similarity": 99.1}, "threshold"),
        ({"false_match_ppm": 1_001}, "false-matches"),
        ({"false_non_match_ppm": 100_001}, "false-non-matches"),
    ):
        world.clock.forward(hours=1)
        world.evaluated(**verdict)
        assert world.denied(use) == [f"evaluation-gate.{rule}"], verdict
    world.clock.forward(hours=1)
    world.evaluated(similarity=99.0, false_match_ppm=1_000, false_non_match_ppm=100_000)
    assert use()
    world.clock.forward(hours=1)
    world.evaluated(groups=0, enough=False)  # one that compares no groups takes no one's place
    assert use()
    assert world.app.rules.replay().differences == ()


def test_a_search_is_not_wider_than_what_was_measured(world) -> None:
    """For a missing person police may go down to 80; with an evaluation at 99 they stay there."""
    missing = replace(world.officer, purpose=Purpose.MISSING_PERSON)
    missing = replace(missing, case=world.app.grounds.open_case(ME, Purpose.MISSING_PERSON, world.police).id)
    world.app.collections.create(missing, "mugshots", {})
    world.clock.forward(hours=1)
    world.evaluated(similarity=99.0)
    assert world.denied(_search(world, missing)) == ["evaluation-gate.threshold"]
    assert world.denied(_search(world, missing, 98.9)) == ["evaluation-gate.threshold"]
    for similarity, threshold in ((99.0, 99.0), (80.0, None), (99.9998, 99.9998)):
        world.clock.forward(hours=1)
        world.evaluated(similarity=similarity)
        with pytest.raises(Exception, match="image"):
            _search(world, missing, threshold)()


def test_an_evaluation_lasts_365_days(world, officer: Caller, photos: Photos) -> None:
    """On its 366th day it still counts, from the next instant on it doesn't, and a new one does."""
    use = _compare(world, replace(officer, authority=None), photos)
    world.clock.forward(days=366, seconds=-1)
    assert use()
    assert world.entry()["request"]["facts"]["evaluation"]["age_days"] == 365
    world.clock.forward(seconds=1)
    assert world.denied(use) == ["evaluation-gate.old"]
    world.evaluated()
    assert use()
    assert world.app.rules.replay().differences == ()


def test_an_evaluation_of_something_else_is_void(world, officer: Caller, photos: Photos) -> None:
    """What runs here changes with a restart, and so do fingerprint and answer; if it changes back, it counts again."""
    use = _compare(world, officer, photos)
    assert use()
    before = world.config
    world.config = replace(before, vision=replace(Vision(), detail=before.vision.detail + 32))
    world.reopen()
    assert world.denied(_compare(world, officer, photos)) == ["evaluation-gate.changed"]
    world.evaluated(groups=0)
    assert world.denied(_compare(world, officer, photos)) == ["evaluation-gate.groups"]
    world.clock.forward(seconds=1)
    world.evaluated()
    assert _compare(world, officer, photos)()
    world.config = before
    world.reopen()
    assert _compare(world, officer, photos)()
    assert world.app.rules.replay().differences == ()


def test_the_model_that_counts_is_the_collections_own(
    world, officer: Caller, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection of another pack needs an evaluation of that one; what can't be told counts for nothing."""
    asked: list[str] = []
    told: dict[str, str] = {"": world.app.engines.fingerprint("")}

    def fingerprint(pack: str) -> str:
        asked.append(pack)
        if pack not in told:
            raise Unavailable("The model pack isn't installed here.")
        return told[pack]

    monkeypatch.setattr(world.app.guard._authoriser, "_fingerprint", fingerprint)
    assert _compare(world, officer, photos)()
    assert world.denied(_search(world, officer)) == ["evaluation-gate.changed"]
    assert asked == ["", "", world.config.vision.pack]
    told[world.config.vision.pack] = "f0"
    assert world.denied(_search(world, officer)) == ["evaluation-gate.changed"]
    world.evaluated(fingerprint="f0")
    with pytest.raises(Exception, match="image"):
        _search(world, officer)()
    assert _compare(world, officer, photos)()  # by the earlier one, of what it is made with


def test_neither_anothers_evaluation_nor_an_emergency_helps(world, officer: Caller, photos: Photos) -> None:
    """What another department or the operator has measured is theirs; who states an exigency is asked as well."""
    _forget(world)
    other = world.app.people.add_organisation(ME, "Portland PD", OrgClass.LAW_ENFORCEMENT, "US-OR").id
    for organisation in (other, world.rescue, "local"):
        world.evaluated(organisation)
    assert world.denied(_compare(world, officer, photos)) == ["evaluation-gate.missing"]
    urgent = replace(officer, authority=None, exigency="A child is in a car")
    assert world.denied(_search(world, urgent)) == ["evaluation-gate.missing"]


def test_what_changes_while_a_use_goes_on_is_seen(world, officer: Caller, photos: Photos) -> None:
    """An evaluation that is kept before a comparison is answered decides on it."""

    def worse(*_: object) -> object:
        world.clock.forward(hours=1)
        world.evaluated(enough=False)
        return compare(*_)

    engine = world.app.engines.default
    compare, engine.compare = engine.compare, worse  # type: ignore[method-assign]
    try:
        assert world.denied(_compare(world, officer, photos)) == ["evaluation-gate.data"]
    finally:
        engine.compare = compare  # type: ignore[method-assign]


def test_a_photo_app_is_asked_for_nothing_and_nothing_is_worked_out(
    world, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an evaluation on record what runs here isn't even looked at."""
    monkeypatch.setattr(world.app.guard._authoriser, "_fingerprint", None)
    assert _compare(world, ME, photos)()
    assert "evaluation" not in world.entry()["request"]["facts"]


def test_an_overseer_lets_everybody_be_asked(world, photos: Photos) -> None:
    """The optional demand is off at first; one overseer enables it, two disable it; it binds searches alone."""
    app = world.app
    app.collections.create(ME, "mugshots", {})
    use = _search(world, ME, image=photos["biden"])
    assert {b.id: on for b, on in app.rules.rulebooks()}["evaluate-first"] is False
    assert "evaluate-first" not in app.rules.current.rulebooks
    with pytest.raises(Conflict, match="off already"):
        app.oversight.propose(world.olga, EasingKind.DISABLE, "evaluate-first", "to be ready")
    use()
    app.oversight.enable(world.olga, "evaluate-first")
    assert {b.id: on for b, on in app.rules.rulebooks()}["evaluate-first"] is True
    assert world.denied(use) == ["evaluate-first.missing"]
    assert app.evaluations.gate(ME).demanded == ("evaluate-first",)
    lab = app.people.add_organisation(ME, "Lab", OrgClass.TESTER, "US").id
    tester = app.people.add(ME, lab, "tess@lab.example", "Tess", [Role.USER]).id
    assert app.evaluations.gate(Caller(tester, Purpose.TESTING)).demanded == ()  # they are exempt
    with pytest.raises(Denied, match="--all-pairs --by COLUMN --similarity 80"):
        use()
    assert _compare(world, ME, photos)()
    world.evaluated("local")
    use()
    assert world.entry()["request"]["facts"]["evaluation"]["current"] is True
    world.clock.forward(days=366)
    assert world.denied(use) == ["evaluate-first.old"]
    easing = app.oversight.propose(world.olga, EasingKind.DISABLE, "evaluate-first", "nobody is searched for here")
    assert world.denied(use) == ["evaluate-first.old"]
    app.oversight.approve(world.otto, easing.id)
    use()
    world.reopen()
    assert {b.id: on for b, on in world.app.rules.rulebooks()}["evaluate-first"] is False
    assert world.app.rules.replay().differences == ()


def test_the_gate_is_switched_off_by_two(world, officer: Caller, photos: Photos) -> None:
    """It is in force from the start; without it police search as before, and one overseer puts it in force again."""
    _forget(world)
    app = world.app
    easing = app.oversight.propose(world.olga, EasingKind.DISABLE, "evaluation-gate", "for a test")
    assert world.denied(_compare(world, officer, photos)) == ["evaluation-gate.missing"]
    app.oversight.approve(world.otto, easing.id)
    assert _compare(world, officer, photos)()
    app.oversight.enable(world.olga, "evaluation-gate")
    assert world.denied(_compare(world, officer, photos)) == ["evaluation-gate.missing"]


def test_what_a_demand_would_have_refused_can_be_asked(world, officer: Caller, photos: Photos) -> None:
    """Trying the optional demand on past requests tells which it would have refused; nothing changes."""
    world.app.collections.create(ME, "album", {})
    world.app.faces.search_by_image(ME, "album", photos["biden"], limit=1, threshold=None, quality=QualityFilter.NONE)
    found = world.app.rules.diff(days=1, enable=["evaluate-first"])
    assert {d.now_rules for d in found.differences} == {("evaluate-first.missing",)}
    assert world.app.rules.diff(days=1, disable=["evaluation-gate"]).differences == ()


def _chief(world) -> Caller:
    """Return an administrator of the police, with photos of their own."""
    made = world.app.people.add(ME, world.police, "chief@example.org", "chief", (Role.ADMIN,))
    return Caller(made.id, Purpose.CRIMINAL_INVESTIGATION, provenance="own")


def _measure(world, caller: Caller, *discloses: str) -> Callable[[], None]:
    def used() -> None:
        with world.app.guard.using(caller, Action.EVALUATE, discloses=frozenset(discloses)):
            pass

    return used


def test_police_may_measure_while_they_may_not_search(world) -> None:
    """A moratorium on searches doesn't forbid an administrator to find out how well this works; a stop does."""
    chief = _chief(world)
    _measure(world, chief)()
    assert (world.entry()["request"]["action"], world.entry()["outcome"]) == ("Evaluate", "done")
    assert world.denied(_measure(world, replace(chief, provenance="case-file"))) == ["base.evaluate-provenance"]
    assert world.denied(_measure(world, replace(world.officer, provenance="own"))) == ["base.evaluate-role"]
    world.app.oversight.stop(world.olga, StopScope.ORGANISATION, world.police, "for a test")
    assert world.denied(_measure(world, chief)) == ["base.stopped"]


def test_police_get_figures_and_no_single_scores(world) -> None:
    """What an evaluation is to give out the rules are asked, and the entry tells; figures alone need no word."""
    chief = _chief(world)
    for wanted in (("scores",), ("faces",), ("faces", "scores")):
        assert world.denied(_measure(world, chief, *wanted)) == ["base.evaluate-scores"]
        assert world.entry()["request"]["facts"]["discloses"] == list(wanted)
    _measure(world, chief)()
    assert "discloses" not in world.entry()["request"]["facts"]
    _measure(world, ME, "scores", "faces")()
    assert world.entry()["request"]["facts"]["discloses"] == ["faces", "scores"]
    assert world.app.rules.replay().differences == ()


def test_a_moratorium_may_forbid_to_measure(world) -> None:
    """One that names it binds whom it says, from the next measurement on."""
    chief = _chief(world)
    named = Moratorium(
        id="no-tests",
        classes=frozenset({OrgClass.LAW_ENFORCEMENT}),
        jurisdictions=frozenset(),
        actions=frozenset({str(Action.EVALUATE)}),
        purposes=frozenset(),
        begins=world.clock.now,
        ends=None,
        exempt=(),
        citation="for a test",
        explain="Police don't measure.",
        remedy="Wait.",
    )
    world.app.oversight.declare(world.olga, named)
    assert world.denied(_measure(world, chief)) == ["moratorium.no-tests"]
    _measure(world, ME)()
    assert world.app.rules.replay().differences == ()
