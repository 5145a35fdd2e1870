# SPDX-License-Identifier: Apache-2.0
"""Rows of a report or a bundle held against proven entries of the ledger: searches, candidates, reviews, leads.

Pure: no database, no network. All rows are hostile. What is opened must agree in both directions: a row without its
entry, and an entry's finding without its row, are both told. What can't be opened, because it was erased, is sealed
or was withheld, can't be checked: that is a remark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from custodes.casework import Answer, CandidateState
from custodes.casework.judging import outcome
from custodes.ledger import Disclosed
from custodes.operations.caserows import Reviewed, Searched, found_in
from custodes.operations.exhibits import at, digest_of, rows

__all__ = ["Crosscheck"]

_PLACES = 1e-4
"""Similarities are told to four places."""

Row = Mapping[str, object]


@dataclass(slots=True)
class Crosscheck:
    """What was found so far.

    Attributes:
        entries: that are proven, by index.
        case: whose.
        problems, remarks: what doesn't hold, and what can't be checked.
    """

    entries: Mapping[int, Disclosed]
    case: str
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def _entry(self, row: Row, what: str) -> Disclosed | None:
        """Return the proven entry of a row, or tell that there is none."""
        index = row.get("entry")
        found = self.entries.get(index) if type(index) is int else None
        if found is None:
            self.problems.append(f"{what} has no proof: its entry {_shown(index)} isn't among those that are proven.")
        return found

    # --- searches ---

    def searches(self, told: Sequence[Row], images: Mapping[str, object]) -> None:
        """Check that searches are what their entries say, of the photos that are told.

        Args:
            told: the rows.
            images: rows of images by their ids.
        """
        for row in told:
            what = f"Search {_shown(row.get('search'))}"
            found = self._entry(row, what)
            if found is None:
                continue
            entry = found.entry
            strays = Searched.of(found.index, entry).differs(row)
            if strays:
                self.problems.append(f"{what} isn't what entry {found.index} says: {', '.join(strays)}.")
            if entry.get("case") != self.case:
                self.problems.append(f"{what}: entry {found.index} is of another case.")
            self._probe(row, found, images, what)
        self._once(told, "entry", "search")

    def _probe(self, row: Row, found: Disclosed, images: Mapping[str, object], what: str) -> None:
        probe, opened = row.get("probe"), found.values.get("probe")
        if probe is None:
            return
        stated = at(images, probe, "sha256") if isinstance(probe, str) else None
        if opened is None:
            self.remarks.append(f"{what}: which photo was searched for can't be opened any more.")
        elif stated != opened.decode("ascii", "replace"):
            self.problems.append(
                f"{what} was made with another photo than is told: {opened.decode('ascii', 'replace')}."
            )

    def _once(self, told: Iterable[Row], name: str, what: str) -> None:
        seen: set[object] = set()
        for row in told:
            value = row.get(name)
            if isinstance(value, str | int) and value in seen:
                self.problems.append(f"Entry {_shown(value)} is told as a {what} twice.")
            seen.add(value if isinstance(value, str | int) else None)

    # --- candidates ---

    def candidates(self, told: Sequence[Row], searches: Sequence[Row], left_out: Sequence[Row], run: Row) -> None:
        """Check a run's candidate list against what its searches have found.

        Args:
            told: rows of candidates.
            searches: rows of the run's searches.
            left_out: what the list leaves out, as it is told.
            run: the run's row.
        """
        name, listed = _shown(run.get("id")), {str(k.get("reference")): k for k in told}
        self._ranks(told, name)
        if run.get("kind") != "standing" and any(u.get("why") == "seen-before" for u in left_out):
            self.problems.append(f"{name} leaves out what was seen before, and isn't made by a standing search.")
        why: dict[int, dict[str, object]] = {}
        for u in left_out:
            if type(index := u.get("entry")) is int:
                why.setdefault(index, {})[str(u.get("reference"))] = u.get("why")
        by_place: dict[tuple[object, object, object], Disclosed] = {}
        for search in searches:
            index = search.get("entry")
            found = self.entries.get(index) if type(index) is int else None
            if found is not None:
                place = (
                    _hashable(search.get("probe")),
                    _hashable(search.get("face")),
                    _hashable(search.get("collection")),
                )
                by_place[place] = found
                self._complete(found, listed, why.get(found.index, {}), name)
        for k in told:
            self._scores(k, by_place)
        count = run.get("candidates")
        if type(count) is int and count > len(told):
            self.remarks.append(
                f"The list of {name} had {count} candidates and has {len(told)}: the others were erased since, "
                "or are left out."
            )
        if type(count) is int and count < len(told):
            self.problems.append(f"The list of {name} had {count} candidates, and {len(told)} are told.")

    def _ranks(self, told: Sequence[Row], run: str) -> None:
        pairs = sorted((k["rank"], -_number(k.get("similarity"))) for k in told if type(k.get("rank")) is int)
        ranks, values = [r for r, _ in pairs], [v for _, v in pairs]
        if len(pairs) != len(told) or len(set(ranks)) != len(ranks) or values != sorted(values):
            self.problems.append(f"The candidates of {run} aren't ranked by their similarity.")
        self._once(told, "candidate", "candidate")

    def _scores(self, k: Row, by_place: Mapping[tuple[object, object, object], Disclosed]) -> None:
        what, scores = f"Candidate {_shown(k.get('candidate'))}", rows(k, "scores")
        best = max((_number(s.get("similarity")) for s in scores), default=-1.0)
        if abs(best - _number(k.get("similarity"))) > _PLACES:
            self.problems.append(f"{what}: the similarity isn't the best of its scores.")
        for score in scores:
            place = _hashable(score.get("probe")), _hashable(score.get("face")), _hashable(k.get("collection"))
            found = by_place.get(place)
            if found is None:
                self.problems.append(f"{what}: no search is proven that found it.")
                continue
            self._score(what, str(k.get("reference")), _number(score.get("similarity")), found)

    def _score(self, what: str, reference: str, similarity: float, found: Disclosed) -> None:
        opened = found_in(found.values)
        if reference in opened:
            if abs(opened[reference] - similarity) > _PLACES:
                self.problems.append(
                    f"{what}: entry {found.index} says {opened[reference]:.4f}, and {similarity:.4f} is told."
                )
        elif _unopened(found) or (_beyond(found) and all(similarity <= v + _PLACES for v in opened.values())):
            self.remarks.append(f"{what}: its score in entry {found.index} isn't opened, so it can't be checked.")
        else:
            self.problems.append(f"{what} isn't among those that entry {found.index} has found.")

    def _complete(self, found: Disclosed, listed: Mapping[str, Row], why: Mapping[str, object], run: str) -> None:
        """Check that all that a search has found is told: in the list, or as left out of it."""
        least = min((_number(k.get("similarity")) for k in listed.values()), default=0.0)
        for reference, similarity in found_in(found.values).items():
            if reference in listed:
                continue
            if reference not in why:
                self.problems.append(
                    f"A candidate is missing: entry {found.index} has found {reference} with {similarity:.4f}."
                )
            elif why[reference] != "seen-before" and similarity > least + _PLACES:
                self.problems.append(
                    f"A candidate is left out of {run} that is more alike than the last: {reference}, {similarity:.4f}."
                )
        closed = _unopened(found)
        if closed:
            self.remarks.append(
                f"Entry {found.index} has found {closed} more, which aren't opened: erased, sealed or withheld."
            )
        if _beyond(found):
            self.remarks.append(f"Entry {found.index} has found more than it commits to one by one.")

    # --- reviews ---

    def reviews(self, told: Sequence[Row]) -> None:
        """Check that reviews are what their entries say."""
        for row in told:
            what = f"Review {_shown(row.get('review') or row.get('entry'))}"
            found = self._entry(row, what)
            if found is None:
                continue
            strays = Reviewed.of(found.index, found.entry, found.values).differs(row)
            if strays:
                self.problems.append(f"{what} isn't what entry {found.index} says: {', '.join(strays)}.")
            if found.entry.get("case") != self.case:
                self.problems.append(f"{what}: entry {found.index} is of another case.")
            if "answer" in found.entry and found.values.get("answer") is None:
                self.remarks.append(f"{what}: the answer isn't opened, so it can't be checked.")
            self._reasons(row, found, what)
        self._once(told, "entry", "review")

    def _reasons(self, row: Row, found: Disclosed, what: str) -> None:
        """Check checklist and note, which the entry commits to."""
        opened = found.values.get("reasons")
        if opened is None or row.get("review") is None:
            return
        told = {"checklist": row.get("checklist"), "note": row.get("note")}
        if digest_of(told).encode() != opened:
            self.problems.append(f"{what}: checklist or note aren't what entry {found.index} commits to.")

    def lead(self, lead: Row, reviews: Sequence[Row]) -> None:
        """Check that a candidate became a lead by its reviews, of different people, with the entry of the last."""
        name = _shown(lead.get("id"))
        found = self._entry(lead, f"Lead {name}")
        mine = sorted(
            (r for r in reviews if r.get("candidate") == lead.get("candidate") and r.get("outcome") == "done"),
            key=lambda r: _number(r.get("round")),
        )
        if [r.get("round") for r in mine] != list(range(1, len(mine) + 1)):
            self.problems.append(f"Lead {name}: a review is missing, for their rounds don't follow one another.")
        if len({_hashable(r.get("by")) for r in mine}) != len(mine):
            self.problems.append(f"Lead {name}: one person has reviewed it twice.")
        answers = [a for r in mine for a in Answer if r.get("answer") == a]
        if len(answers) != len(mine) or outcome(answers) != CandidateState.LEAD:
            self.problems.append(f"Lead {name}: its reviews don't make it a lead.")
        if mine and found is not None and found.index != mine[-1].get("entry"):
            self.problems.append(f"Lead {name}: it is told to rest on another entry than its last review.")


def _hashable(value: object) -> object:
    return value if isinstance(value, str | int | float | None) else str(value)


def _shown(value: object) -> str:
    """Return an id as a sentence can show it."""
    text = str(value)
    return text[:60] if text.isprintable() else "?"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else -1.0


def _unopened(found: Disclosed) -> int:
    """Return how many candidates an entry commits to that aren't opened."""
    return sum(name.startswith("candidate.") and name not in found.values for name in found.entry)


def _beyond(found: Disclosed) -> bool:
    """Tell whether a search has found more than its entry commits to."""
    committed = sum(name.startswith("candidate.") for name in found.entry)
    count = found.entry.get("candidates")
    return type(count) is int and count > committed
