# SPDX-License-Identifier: Apache-2.0
"""What testers get: production's scores to the last bit, signed, of their own collections alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from custodes.app import App
from custodes.domain import QualityFilter
from custodes.errors import Code, Denied, Invalid, InvalidImage, NotFound
from custodes.evaluation.deployed import deployed
from custodes.governance import OPERATOR, Caller, OrgClass, Purpose, Role
from custodes.governance.schema import uses_by_day
from custodes.operations.owners import owner_of
from custodes.operations.signed import verify_signed
from custodes.operations.testing import FORM, MOST_CANDIDATES, MOST_PAIRS, PAIRS_OF_A_USE

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
NAMES = ("obama_1", "obama_2", "biden")
SANDBOX = "lab-1"

Photos = dict[str, bytes]


@dataclass(frozen=True)
class Lab:
    """Two testers, and the collection of the first, with three photos in it."""

    app: App
    tester: Caller
    rival: Caller
    faces: dict[str, str]

    def document(self, raw: bytes) -> dict[str, Any]:
        """Return the document of a signed result that holds."""
        found = verify_signed(raw, self.app.ledger.vkey)
        assert found.sound, found.problems
        return orjson.loads(orjson.loads(raw)["document"])

    @property
    def last(self) -> dict[str, Any]:
        """The ledger's newest entry."""
        return dict(self.app.ledger.entry(self.app.ledger.size() - 1))


@pytest.fixture(scope="module")
def lab(installation: App, photos: Photos) -> Iterator[Lab]:
    """Two organisations of class tester; the first has a collection."""
    callers = []
    for name in ("lab", "rival"):
        made = installation.people.add_organisation(ME, name, OrgClass.TESTER, "US-WA").id
        person = installation.people.add(ME, made, f"{name}@example.org", name, [Role.USER]).id
        callers.append(Caller(person, Purpose.TESTING, provenance="consented"))
    installation.collections.create(callers[0], SANDBOX, {})
    faces = {
        n: installation.faces.index(callers[0], SANDBOX, photos[n], external_image_id=n).enrolled[0][0].reference_id
        for n in NAMES
    }
    yield Lab(installation, callers[0], callers[1], faces)
    installation.collections.delete(callers[0], SANDBOX)


# --- The same scores -------------------------------------------------------------------------------------------------


def test_pairs_score_as_searches_do(lab: Lab) -> None:
    """Each pair has cosine and similarity of FaceOperations.search, to the last bit, whichever comes first."""
    ids = list(lab.faces.values())
    pairs = [(a, b) for a in ids for b in ids]
    told = lab.document(lab.app.testing.scores(lab.tester, SANDBOX, pairs))
    assert told["columns"] == ["face_id", "face_id", "cosine", "similarity"]
    assert [(a, b) for a, b, _, _ in told["scores"]] == pairs
    scores = {(a, b): (cosine, similarity) for a, b, cosine, similarity in told["scores"]}
    for first in ids:
        found = lab.app.faces.search(lab.tester, SANDBOX, first, limit=10, threshold=0.0)
        assert len(found.candidates) == 2
        for k in found.candidates:
            second = k.reference.reference_id
            assert scores[first, second] == scores[second, first] == (k.score.cosine, k.score.similarity)
        assert scores[first, first][0] == pytest.approx(1, abs=1e-6)
    assert scores[ids[0], ids[1]][1] > 99 > 50 > scores[ids[0], ids[2]][1]


def test_two_photos_score_as_compared_and_as_enrolled(lab: Lab, photos: Photos) -> None:
    """A comparison tells what CompareFaces computes, and what the same photos score when they are enrolled."""
    for other in ("obama_2", "biden"):
        told = lab.document(lab.app.testing.compare(lab.tester, photos["obama_1"], photos[other]))
        found = lab.app.faces.compare(lab.tester, photos["obama_1"], photos[other], threshold=0.0)
        [(face, score)] = found.matches
        [target] = told["target"]["faces"]
        assert (target["cosine"], target["similarity"]) == (score.cosine, score.similarity)
        assert target["box"]["left"] == face.box.left
        pair = (lab.faces["obama_1"], lab.faces[other])
        [[*_, cosine, similarity]] = lab.document(lab.app.testing.scores(lab.tester, SANDBOX, [pair]))["scores"]
        assert (cosine, similarity) == (score.cosine, score.similarity)


def test_every_face_of_the_target_is_told(lab: Lab, photos: Photos) -> None:
    """However unlike they are, all four faces of a group are told, the most alike first, with their boxes."""
    told = lab.document(lab.app.testing.compare(lab.tester, photos["biden"], photos["group"]))
    found = lab.app.faces.compare(lab.tester, photos["biden"], photos["group"], threshold=0.0)
    assert [(f["cosine"], f["similarity"]) for f in told["target"]["faces"]] == [
        (s.cosine, s.similarity) for _, s in found.matches
    ]
    assert len({f["box"]["left"] for f in told["target"]["faces"]}) == 4
    assert (told["target"]["width"], told["target"]["height"]) == (found.target_size.width, found.target_size.height)


def test_a_search_tells_everybody_with_production_s_scores(lab: Lab, photos: Photos) -> None:
    """By a face or by a photo: the same list as FaceOperations gives without a threshold, cut at the limit."""
    by_face = lab.document(lab.app.testing.search(lab.tester, SANDBOX, lab.faces["biden"], 10))
    by_image = lab.document(lab.app.testing.search(lab.tester, SANDBOX, photos["biden"], 10))
    wanted = (
        lab.app.faces.search(lab.tester, SANDBOX, lab.faces["biden"], limit=10, threshold=0.0),
        lab.app.faces.search_by_image(
            lab.tester, SANDBOX, photos["biden"], limit=10, threshold=0.0, quality=QualityFilter.NONE
        ),
    )
    for told, found in zip((by_face, by_image), wanted, strict=True):
        assert [(k["face_id"], k["external_image_id"], k["cosine"], k["similarity"]) for k in told["candidates"]] == [
            (k.reference.reference_id, k.reference.external_image_id, k.score.cosine, k.score.similarity)
            for k in found.candidates
        ]
    assert (len(by_face["candidates"]), len(by_image["candidates"])) == (2, 3)
    assert by_face["probe"] == {"face_id": lab.faces["biden"]}
    assert by_image["probe"]["faces"] == 1
    short = lab.document(lab.app.testing.search(lab.tester, SANDBOX, photos["biden"], 1))
    assert short["candidates"] == by_image["candidates"][:1]


# --- What is said of them --------------------------------------------------------------------------------------------


def test_what_runs_here_is_told(lab: Lab) -> None:
    """Models, calibration with its false-match rates, rules, limits and the log's key; nothing is counted for it."""
    before = _today(lab)
    told = lab.document(lab.app.testing.describe(lab.tester))
    pack = lab.app.engines.default.pack
    here = deployed(pack, lab.app.config.vision.detail)
    assert (told["form"], told["operation"], told["deployed"]["fingerprint"]) == (FORM, "describe", here.fingerprint)
    assert {n["role"]: n["sha256"] for n in told["deployed"]["networks"]} == {n.role: n.sha256 for n in here.networks}
    knots = [(k["cosine"], k["similarity"], k["false_match_rate"]) for k in told["calibration"]["knots"]]
    assert knots == [(k.cosine, k.similarity, k.false_match_rate) for k in pack.calibration.knots]
    assert told["rules_hash"] == lab.last["rules_hash"]
    assert (told["limits"]["pairs"], told["limits"]["faces_of_an_image"]) == (MOST_PAIRS, 50)
    assert told["ledger"]["vkey"] == lab.app.ledger.vkey
    assert _today(lab) - before == 1, "the pair by which the number is seen"


def _today(lab: Lab) -> int:
    """Return how many uses the tester had today before this, which is one."""
    lab.app.testing.scores(lab.tester, SANDBOX, [(lab.faces["biden"], lab.faces["biden"])])
    return lab.last["request"]["facts"]["today"]["principal"]


def test_an_entry_names_model_and_count_and_no_face(lab: Lab) -> None:
    """It commits to the document, names the model in clear, and is found under each face that it is about."""
    pair = (lab.faces["obama_1"], lab.faces["biden"])
    told = lab.document(lab.app.testing.scores(lab.tester, SANDBOX, [pair, pair]))
    entry, index = lab.last, lab.app.ledger.size() - 1
    assert (entry["kind"], entry["request"]["action"], entry["outcome"]) == ("use", "ScorePairs", "done")
    assert (entry["pairs"], entry["faces"], entry["testing"]) == (2, 2, "scores")
    assert entry["fingerprint"] == told["deployed"]["fingerprint"]
    assert len(entry["result"]) == 64
    assert not any(face in orjson.dumps(entry).decode() for face in pair)
    assert all(index in lab.app.testing._log.mentions(owner_of(face)) for face in pair)


def test_comparisons_and_searches_are_entries_as_in_production(lab: Lab, photos: Photos) -> None:
    """One entry each, of production's action and with its commitments, and the result's beside them."""
    size = lab.app.ledger.size()
    lab.app.testing.compare(lab.tester, photos["biden"], photos["obama_1"])
    assert (lab.last["request"]["action"], lab.last["matches"], lab.last["testing"]) == ("Compare", 1, "compare")
    assert {"source", "target", "result"} <= set(lab.last)
    lab.app.testing.search(lab.tester, SANDBOX, photos["biden"], 2)
    assert (lab.last["request"]["action"], lab.last["candidates"]) == ("SearchReferences", 2)
    assert {"probe", "candidate.0", "candidate.1", "result", "notice"} <= set(lab.last)
    assert lab.app.ledger.size() == size + 2


def test_a_thousand_pairs_count_as_one_use(lab: Lab) -> None:
    """1,001 pairs count twice against the day's cap, however alike they are to each other."""
    before = _today(lab)
    pair = (lab.faces["obama_1"], lab.faces["obama_2"])
    lab.app.testing.scores(lab.tester, SANDBOX, [pair] * (PAIRS_OF_A_USE + 1))
    assert _today(lab) - before == 3, "one for the look before, and two"


@pytest.fixture
def used(lab: Lab) -> Iterator[Callable[[int], None]]:
    """Sets how many uses the tester had today; what it was comes back after the test."""
    before = _today(lab) + 1

    def use(count: int) -> None:
        with lab.app._database.transaction() as c:
            c.execute(sa.update(uses_by_day).where(uses_by_day.c.id == lab.tester.principal).values(count=count))

    yield use
    use(before)


def test_a_hundred_thousand_pairs_are_taken(lab: Lab, used: Callable[[int], None]) -> None:
    """The most that may be asked at once is answered, every pair with its score, if the day's cap has room for all."""
    used(9_900)
    pair = (lab.faces["obama_1"], lab.faces["obama_2"])
    told = lab.document(lab.app.testing.scores(lab.tester, SANDBOX, [pair] * MOST_PAIRS))
    assert (told["pairs"], len(told["scores"])) == (MOST_PAIRS, MOST_PAIRS)
    assert len({tuple(row) for row in told["scores"]}) == 1
    assert lab.last["request"]["facts"]["today"]["principal"] == 9_999


def test_pairs_that_the_day_s_cap_has_no_room_for_are_refused_whole(
    lab: Lab, used: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 9,950 uses of 10,000, what weighs 100 is too much, and counts for nothing; what weighs 50 fills the day."""
    monkeypatch.setattr("custodes.operations.testing.PAIRS_OF_A_USE", 10)  # of a thousand, which would take a second
    used(9_950)
    pairs = [(lab.faces["obama_1"], lab.faces["obama_2"])] * 1_000
    scores = lab.app.testing.scores
    with pytest.raises(Denied) as caught:
        scores(lab.tester, SANDBOX, pairs)
    assert [rule.id for rule in caught.value.decision.rules] == ["base.daily-cap-person"]
    [entry] = [lab.app.ledger.entry(i) for i in lab.app.guard.written]
    assert (entry["decision"], entry["request"]["facts"]["today"]["principal"]) == ("deny", 10_049)
    scores(lab.tester, SANDBOX, pairs[:500])
    assert (lab.last["outcome"], lab.last["request"]["facts"]["today"]["principal"]) == ("done", 9_999)
    assert _denied(lab, lambda: scores(lab.tester, SANDBOX, pairs[:1])) == {"base.daily-cap-person"}


# --- What isn't given ------------------------------------------------------------------------------------------------


def _denied(lab: Lab, call) -> set[str]:
    """Return the rules by which a call is denied, as error and ledger tell them alike."""
    size = lab.app.ledger.size()
    with pytest.raises(Denied) as caught:
        call()
    rules = [rule.id for rule in caught.value.decision.rules]
    assert lab.app.ledger.size() == size + 1
    assert (lab.last["decision"], lab.last["rules"]) == ("deny", rules)
    return set(rules)


def test_nobody_but_testers_gets_raw_scores(lab: Lab, photos: Photos) -> None:
    """Whoever else asks is denied, whatever they ask, and so is a tester with another key; each time it's recorded."""
    app, two = lab.app, (photos["biden"], photos["obama_1"])
    app.collections.create(ME, "album", {})
    mine = app.faces.index(ME, "album", photos["biden"]).enrolled[0][0].reference_id
    for call in (
        lambda: app.testing.scores(ME, "album", [(mine, mine)]),
        lambda: app.testing.search(ME, "album", mine, 5),
        lambda: app.testing.search(ME, "album", photos["biden"], 5),
        lambda: app.testing.compare(ME, *two),
        lambda: app.testing.describe(ME),
    ):
        assert _denied(lab, call) == {"base.raw-scores"}
    app.collections.delete(ME, "album")
    other = replace(lab.tester, purpose=Purpose.PHOTO_LIBRARY)
    assert _denied(lab, lambda: app.testing.compare(other, *two)) == {"base.purpose-of-class", "base.raw-scores"}
    for caller, more in ((ME, set()), (other, {"base.purpose-of-class"})):
        assert _denied(lab, lambda c=caller: app.testing.check(c)) == {"base.raw-scores", *more}
    size = app.ledger.size()
    app.testing.check(lab.tester)
    assert app.ledger.size() == size, "a tester is judged by what it asks for"
    wanted = {"base.purpose-of-class", "base.purpose-limitation", "base.raw-scores"}
    assert _denied(lab, lambda: app.testing.search(other, SANDBOX, photos["biden"], 1)) == wanted


def test_a_tester_reaches_nobody_else_s_data(lab: Lab, photos: Photos) -> None:
    """By no operation: what isn't the tester's own is neither listed, described, searched, enrolled into nor scored."""
    app, rival, face = lab.app, lab.rival, lab.faces["biden"]
    assert [c.name for c in app.collections.list(rival, after=0, limit=100)[0]] == []
    for call in (
        lambda: app.collections.describe(rival, SANDBOX),
        lambda: app.faces.list(rival, SANDBOX, after=0, limit=10, user=None, ids=None),
        lambda: app.faces.search(rival, SANDBOX, face, limit=10, threshold=0.0),
        lambda: app.faces.search_by_image(
            rival, SANDBOX, photos["biden"], limit=10, threshold=0.0, quality=QualityFilter.NONE
        ),
        lambda: app.faces.index(rival, SANDBOX, photos["biden"]),
        lambda: app.faces.delete(rival, SANDBOX, [face]),
        lambda: app.collections.delete(rival, SANDBOX),
        lambda: app.testing.scores(rival, SANDBOX, [(face, face)]),
        lambda: app.testing.search(rival, SANDBOX, face, 5),
        lambda: app.testing.search(rival, SANDBOX, photos["biden"], 5),
    ):
        assert _denied(lab, call) == {"base.own-collections"}
    app.collections.create(rival, "rival-1", {})
    own = app.faces.index(rival, "rival-1", photos["biden"]).enrolled[0][0].reference_id
    with pytest.raises(NotFound, match=f"lacks 1 of the 2 references: {face}"):
        app.testing.scores(rival, "rival-1", [(own, face)])
    with pytest.raises(NotFound) as caught:
        app.testing.search(rival, "rival-1", face, 5)
    assert caught.value.code == Code.FACE_MISSING
    [alone] = lab.document(app.testing.search(rival, "rival-1", photos["biden"], MOST_CANDIDATES))["candidates"]
    assert alone["face_id"] == own
    app.collections.delete(rival, "rival-1")


def test_faces_that_are_not_there_are_counted_and_named(lab: Lab) -> None:
    """How many are missing, and the first few; it is an entry that failed, and no score is told."""
    strays = [f"00000000-0000-0000-0000-{n:012}" for n in range(7)]
    face = lab.faces["biden"]
    with pytest.raises(NotFound) as caught:
        lab.app.testing.scores(lab.tester, SANDBOX, [(face, s) for s in (*strays, "no id at all")])
    assert caught.value.code == Code.FACE_MISSING
    assert (
        caught.value.message == f"The collection lab-1 lacks 8 of the 9 references: {', '.join(strays[:5])} and 3 more."
    )
    assert (lab.last["outcome"], lab.last["error"]) == ("failed", "NotFound/face-missing")
    with pytest.raises(NotFound, match="no collection nowhere"):
        lab.app.testing.scores(lab.tester, "nowhere", [(face, face)])
    upper = lab.document(lab.app.testing.scores(lab.tester, SANDBOX, [(face, face.upper())]))
    assert upper["scores"][0][2] == pytest.approx(1, abs=1e-6)


def test_what_can_not_be_meant_is_refused(lab: Lab, photos: Photos) -> None:
    """Too few or too many pairs, lists out of bounds, photos without a face or that are none."""
    app, face = lab.app, lab.faces["biden"]
    for count in (0, MOST_PAIRS + 1):
        with pytest.raises(Invalid, match=f"1 to {MOST_PAIRS} pairs, got {count}"):
            app.testing.scores(lab.tester, SANDBOX, [(face, face)] * count)
    for limit in (0, MOST_CANDIDATES + 1):
        with pytest.raises(Invalid, match="lines"):
            app.testing.search(lab.tester, SANDBOX, face, limit)
    for source, target in (("nobody", "biden"), ("biden", "nobody")):
        with pytest.raises(Invalid) as caught:
            app.testing.compare(lab.tester, photos[source], photos[target])
        assert caught.value.code == Code.NO_FACE
    with pytest.raises(InvalidImage):
        app.testing.search(lab.tester, SANDBOX, b"no image", 5)
