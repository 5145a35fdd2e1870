# SPDX-License-Identifier: Apache-2.0
"""What pages tell of evaluations: whether the rules ask for one, who made one, and reports that are drawn once.

To strangers an organisation is told by its class alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Generic, TypeVar
from weakref import WeakKeyDictionary

from fastapi import Path, Response

from custodes.api.console.frame import Console
from custodes.api.console.shown import plural
from custodes.app import App
from custodes.errors import CustodesError
from custodes.evaluation.deployed import deployed, differences
from custodes.evaluation.results import Evaluation, Verification
from custodes.evaluation.sections import Section, sections
from custodes.evaluation.told import in_words, spread_in_words, summary
from custodes.governance import EvaluationRecord, Organisation, OrgClass
from custodes.governance.model import LOCAL
from custodes.governance.policy import Rule
from custodes.operations.evaluations import Kept
from custodes.operations.gating import Gate
from custodes.operations.signin import Session

__all__ = [
    "COMMAND",
    "EVALUATIONS",
    "EvaluationId",
    "GateShown",
    "Published",
    "Reports",
    "differs_now",
    "evaluator_words",
    "gate_shown",
    "json_file",
    "kind_words",
    "newest_of",
    "published_now",
    "report_page",
    "reports_of",
]

T = TypeVar("T")

EVALUATIONS: Mapping[str, str] = {
    "verification": "Comparing two faces",
    "identification": "Searching for a face",
    "detection": "Finding faces",
    "robustness": "Photos made worse",
    "attacks": "Presentation attacks",
}
"""Kinds of evaluations, in words."""

COMMAND = "custodes evaluate verification PHOTOS.csv IMAGES --all-pairs --by COLUMN --similarity 99"
"""Makes what the rules ask for."""

EvaluationId = Annotated[str, Path(pattern="^eval-[0-9a-f]{16}$")]
"""An evaluation in a path."""

_EVALUATORS: Mapping[OrgClass, str] = {
    OrgClass.GENERAL: "an organisation that uses this server",
    OrgClass.HOUSEHOLD: "a household",
    OrgClass.VICTIM_RESCUE: "an organisation that looks for victims",
    OrgClass.LAW_ENFORCEMENT: "a law-enforcement agency",
    OrgClass.OVERSIGHT: "an overseer",
    OrgClass.TESTER: "an independent tester",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_LISTED = 50
"""So many published evaluations are told of, the newest."""
_KEPT = 64
"""So many reports are kept as they were drawn, and as many sets of plots."""
_PPM = 1_000_000


def kind_words(kind: str) -> str:
    """Return what a kind of evaluation is called; its own name if it has no other."""
    return EVALUATIONS.get(kind, kind)


def evaluator_words(organisation: Organisation | None) -> str:
    """Return who made an evaluation, for strangers: never a name."""
    if organisation is None:
        return "an organisation"
    return "the operator" if organisation.id == LOCAL else _EVALUATORS[organisation.org_class]


# --- the gate ---


@dataclass(frozen=True, slots=True)
class GateShown:
    """Whether the rules ask an organisation for an evaluation, in words.

    Attributes:
        tone, title, says: a notice.
        books: rulebooks that ask, by id.
        rules: those of them that refuse as things are; each says what to do.
        record: what counts, or None.
        pairs: what the rules see of it.
        optional: whether one could be made that nobody demands.
    """

    tone: str
    title: str
    says: str
    books: tuple[str, ...]
    rules: tuple[Rule, ...]
    record: EvaluationRecord | None
    pairs: tuple[tuple[str, str], ...]
    optional: bool


def gate_shown(app: App, session: Session, now: datetime) -> GateShown:
    """Put the gate's state into words.

    Raises:
        Denied: if nobody asks.
    """
    gate = app.evaluations.gate(session.caller)
    pairs = () if gate.record is None else _verdict_pairs(gate.record, now)
    if gate.refused:
        title = "The rules demand an evaluation of your organisation before it searches"
        told = ("warning", title, "As things are they refuse, whatever else they say:")
    elif gate.demanded:
        title = "You have the evaluation that the rules demand"
        told = ("done", title, "It is of what runs here now, and keeps their bounds. Other rules hold besides.")
    else:
        told = ("note", "No rulebook in force demands an evaluation of your organisation", _undemanded(gate))
    return GateShown(*told, gate.demanded, gate.refused, gate.record, pairs, not gate.demanded and not gate.current)


def _undemanded(gate: Gate) -> str:
    if gate.record is None:
        return "You have none by which you could be judged. You may make one all the same."
    if not gate.current:
        return "Your newest one is of something else than what runs here now, and says nothing of that."
    return "You have one of what runs here now."


def _verdict_pairs(record: EvaluationRecord, now: datetime) -> tuple[tuple[str, str], ...]:
    age = ("Age", plural(max(0, (now - record.made_at).days), "day"))
    verdict = record.verdict
    if verdict is None:
        return (age,)
    whose = "worst group" if verdict.groups else "all people"
    return (
        age,
        ("At a similarity of", f"{verdict.similarity:g}"),
        ("Groups", f"{verdict.groups:,}, by {record.column}" if verdict.groups else "none"),
        ("Enough data on every group", "yes" if verdict.enough else "no"),
        (f"False matches, {whose}", _at_most(verdict.false_match_ppm)),
        (f"False non-matches, {whose}", _at_most(verdict.false_non_match_ppm)),
    )


def _at_most(ppm: int) -> str:
    return "can't be said" if ppm >= _PPM else f"at most {in_words(ppm / _PPM)}"


# --- what everybody may see ---


@dataclass(frozen=True, slots=True)
class Published:
    """A published evaluation, for strangers.

    Attributes:
        id, kind: of it.
        title: its maker's words for the data; may be empty.
        made_at, by: when, and who made it in words.
        current: whether it is of what runs here now.
        differs: if not, in what, as far as that is known.
        sentences: what it came to.
        differences: those of them that tell of differences between groups; empty where these weren't measured.
    """

    id: str
    kind: str
    title: str
    made_at: datetime
    by: str
    current: bool
    differs: tuple[str, ...]
    sentences: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def first(self) -> tuple[str, ...]:
        """The first three sentences that don't tell of differences between groups."""
        return tuple(s for s in self.sentences if s not in self.differences)[:3]


def differs_now(app: App, kept: Kept) -> tuple[str, ...]:
    """Return in what that which was measured differs from what runs here now, in a few words each."""
    if kept.current or kept.record.kind == "attacks":  # of attacks nothing that runs here was measured
        return ()
    try:
        running = deployed(app.engines.pack(kept.record.pack), app.config.vision.detail)
    except CustodesError:
        return (f"the pack {kept.record.pack} can't be used here any more",)
    return differences(kept.evaluation.deployed, running)


def published_now(app: App) -> tuple[Published, ...]:
    """Read what is published, the newest first."""
    organisations = {o.id: o for o in app.people.organisations()}
    found = []
    for record in app.evaluations.published()[:_LISTED]:
        with contextlib.suppress(CustodesError):  # withdrawn meanwhile, or of a version that this one can't read
            kept = app.evaluations.get_published(record.id)
            found.append(_published(kept, differs_now(app, kept), organisations))
    return tuple(found)


def _published(kept: Kept, differs: tuple[str, ...], organisations: Mapping[str, Organisation]) -> Published:
    record, sentences = kept.record, summary(kept.evaluation)
    between = _between_groups(kept.evaluation)
    return Published(
        id=record.id,
        kind=record.kind,
        title=record.title,
        made_at=record.made_at,
        by=evaluator_words(organisations.get(record.organisation)),
        current=kept.current,
        differs=differs,
        sentences=sentences,
        differences=tuple(s for s in sentences if s in between),
    )


def _between_groups(evaluation: Evaluation) -> frozenset[str]:
    """Return how far groups lie apart, a sentence for each column and rate."""
    figures = evaluation.figures
    if not isinstance(figures, Verification):
        return frozenset()
    return frozenset(spread_in_words(d.column, s) for d in figures.differentials for s in d.spreads)


def newest_of(kinds: Iterable[str], published: Iterable[Published]) -> tuple[Published, ...]:
    """Return the newest published evaluation of each kind that has one; one of what runs now before all others."""
    ordered = sorted(published, key=lambda p: not p.current)  # stable: the newest first within each half
    firsts = (next((p for p in ordered if p.kind == kind), None) for kind in kinds)
    return tuple(p for p in firsts if p is not None)


# --- reports ---


class _Drawn(Generic[T]):
    """What was drawn, one at a time, the last few of it kept: an evaluation never changes."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._known: OrderedDict[tuple[str, bool], T] = OrderedDict()

    async def get(self, console: Console, key: tuple[str, bool], draw: Callable[[], T]) -> T:
        """Return what is kept, or draw it in a thread.

        Raises:
            Throttled: if too many wait.
        """
        async with self._turn:
            if key not in self._known:
                self._known[key] = await console.gate.inference.run(draw)
            self._known.move_to_end(key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
            return self._known[key]


class Reports:
    """Draws reports and what pages show of them."""

    def __init__(self) -> None:
        self._pages: _Drawn[str] = _Drawn()
        self._sections: _Drawn[tuple[Section, ...]] = _Drawn()

    async def page(self, console: Console, kept: Kept, *, published: bool) -> str:
        """Return the page that tells of an evaluation by itself.

        Args:
            console: which.
            kept: the evaluation, which the visitor may see.
            published: whether everybody may see it.

        Raises:
            Throttled: if too many wait.
        """
        evaluations = console.app.evaluations
        key = (kept.record.id, published)
        return await self._pages.get(console, key, lambda: evaluations.report(kept, published=published))

    async def sections(self, console: Console, kept: Kept) -> tuple[Section, ...]:
        """Return words, plots and tables of an evaluation, which the visitor may see.

        Raises:
            Throttled: if too many wait.
        """
        return await self._sections.get(console, (kept.record.id, False), lambda: sections(kept.evaluation.figures))


_REPORTS: WeakKeyDictionary[Console, Reports] = WeakKeyDictionary()


def reports_of(console: Console) -> Reports:
    """Return what a console remembers of reports."""
    return _REPORTS.setdefault(console, Reports())


def report_page(page: str, cache: str = "no-store") -> Response:
    """Return a report, which holds all that it shows, under a policy that lets it load and run nothing."""
    headers = {"content-security-policy": _POLICY, "cache-control": cache}
    return Response(page, media_type="text/html; charset=utf-8", headers=headers)


def json_file(evaluation: str, data: bytes, cache: str = "no-store") -> Response:
    """Return an evaluation with its proof as a file."""
    headers = {"content-disposition": f'attachment; filename="{evaluation}.json"', "cache-control": cache}
    return Response(data, media_type="application/json", headers=headers)
