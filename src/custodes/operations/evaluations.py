# SPDX-License-Identifier: Apache-2.0
"""Measuring what is deployed, and keeping what came of it: authorise -> measure -> record, as with any use of faces.

What is kept are figures: no photo, no name, no score of a person. The ledger's entry commits to the evaluation's bytes,
so that a published figure can be traced to the models, the rules and the data (by hash) that gave it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from custodes.config import Config
from custodes.db import Database
from custodes.errors import CustodesError, Denied, Invalid, NotFound
from custodes.evaluation.card import ModelCard, card_of
from custodes.evaluation.enrolling import Progress, silent
from custodes.evaluation.report import SealedBy, report
from custodes.evaluation.results import Evaluation, Verification, from_json, to_json
from custodes.evaluation.running import Run
from custodes.governance import (
    Action,
    Caller,
    EvaluationRecord,
    Evaluations,
    OrgClass,
    Registry,
    Role,
    State,
    new_id,
)
from custodes.ledger import Log
from custodes.operations.engines import Engines
from custodes.operations.gating import Gate, gate_of
from custodes.operations.gauging import LEAST_MEASURED, LEAST_TOLD, too_few, verdict_of
from custodes.operations.guard import Guard
from custodes.operations.measuring import Job, Rig, deployed_here, evaluation_of
from custodes.operations.signed import RESULT, digest, signed

__all__ = ["EvaluationOperations", "Kept", "Measured"]


@dataclass(frozen=True, slots=True)
class Kept:
    """An evaluation that is on record.

    Attributes:
        record: what the rules and lists know of it.
        evaluation: what came of it.
        current: whether it is of what runs here now.
    """

    record: EvaluationRecord
    evaluation: Evaluation
    current: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured just now: kept, and with every score."""

    kept: Kept
    run: Run


class EvaluationOperations:
    """Use cases around evaluations.

    Args:
        guard: authorises and records.
        database, registry, store, log: where things are.
        engines: what is measured.
        config: how many at a time, and limits.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        registry: Registry,
        store: Evaluations,
        log: Log,
        engines: Engines,
        config: Config,
    ) -> None:
        self._guard = guard
        self._db = database
        self._registry = registry
        self._store = store
        self._log = log
        self._engines = engines
        self._config = config

    # --- measuring ---

    def measure(
        self,
        caller: Caller,
        job: Job,
        *,
        workers: int = 1,
        discloses: frozenset[str] = frozenset(),
        progress: Progress = silent,
    ) -> Measured:
        """Measure the deployed engine and keep the figures.

        Args:
            caller: who measures; their provenance says where the photos come from.
            job: what is measured, on what.
            workers: photos that are looked at at a time.
            discloses: what of the run the caller gets beyond figures: ``scores`` of single comparisons (what is kept
                tells the hash of their CSV), ``faces``.
            progress: told how far it is.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if tables or photos can't be meant; the message names rows or files; or police measure few people.
        """
        with self._guard.using(caller, Action.EVALUATE, discloses=discloses) as using:
            engine = self._engines.default
            what = deployed_here(engine, self._config)
            run = job.run(Rig.of(engine, self._config, workers, progress))
            state = using.permit.state
            now = using.permit.request.facts.now
            evaluation = evaluation_of(job, run, what, state.rules.hash, now, discloses=discloses)
            self._check_people(state, using.permit.organisation, evaluation)
            document = to_json(evaluation)
            record = _record(caller, using.permit.organisation, evaluation)
            using.part.note(
                evaluation=record.id,
                evaluation_kind=record.kind,
                fingerprint=what.fingerprint,
                model=what.pack_version,
                photos=run.dataset.photos,
                people=run.dataset.subjects,
                discloses=sorted(discloses),
                provenance=caller.provenance,
            )
            using.part.commit(RESULT, digest(document))
            using.part.commit("dataset", run.dataset.sha256.encode())
            using.then = lambda c, indexes: self._store.set_entry(c, record.id, indexes[0])
            with using.committing() as c:
                self._store.keep(c, record, document)
        with self._db.read() as c:
            return Measured(self._kept(c, record.id), run)

    @staticmethod
    def _check_people(state: State, organisation: str, evaluation: Evaluation) -> None:
        """Refuse what would be a search under another name: police who measure with few people.

        Raises:
            Invalid: if it is.
        """
        if state.organisations[organisation].org_class == OrgClass.LAW_ENFORCEMENT:
            why = too_few(evaluation, LEAST_MEASURED)
            if why:
                raise Invalid(f"Police can't keep this evaluation. {why}", remedy="Measure with more people.")

    # --- looking ---

    def list(self, caller: Caller) -> tuple[EvaluationRecord, ...]:
        """List evaluations, the newest first: the own organisation's, or all for operators and overseers.

        Raises:
            Denied: if the caller is nobody, or may not act any more.
        """
        with self._db.read() as c:
            organisation = self._reader(c, caller)
            return self._store.list(c, None if self._sees_all(c, caller) else organisation)

    def get(self, caller: Caller, evaluation: str) -> Kept:
        """Read an evaluation that the caller may see.

        Raises:
            Denied: if the caller is nobody, or may not act any more.
            NotFound: if there is none that the caller may see.
        """
        with self._db.read() as c:
            organisation = self._reader(c, caller)
            kept = self._kept(c, evaluation)
            if kept.record.organisation != organisation and not self._sees_all(c, caller):
                raise _unknown(evaluation)
            return kept

    def is_current(self, record: EvaluationRecord) -> bool:
        """Tell whether an evaluation is of what runs here now; one of a pack that can't be used isn't."""
        try:
            return record.fingerprint == self._engines.fingerprint(record.pack)
        except CustodesError:
            return False

    def signed(self, kept: Kept) -> bytes:
        """Return an evaluation with the proof that the ledger commits to it, as JSON; anybody can check it offline."""
        with self._db.read() as c:
            document = self._store.document(c, kept.record.id)
        assert kept.record.entry is not None
        return signed(self._log, kept.record.entry, document)

    def report(self, kept: Kept, *, published: bool = False) -> str:
        """Return the page that tells of an evaluation, without any face."""
        return report(kept.evaluation, card=self.card(kept), sealed=self.sealed_by(kept), published=published)

    def sealed_by(self, kept: Kept) -> SealedBy | None:
        """Return which entry of the ledger commits to an evaluation."""
        entry = kept.record.entry
        return None if entry is None else SealedBy(self._log.origin, self._log.vkey, entry)

    def card(self, kept: Kept) -> ModelCard:
        """Return the card of the models that were measured, as they are known here.

        Raises:
            Unavailable: if the pack isn't installed any more.
        """
        return card_of(self._engines.pack(kept.record.pack).manifest)

    def gate(self, caller: Caller) -> Gate:
        """Tell whether the caller's organisation has what the rules may ask for before it searches.

        Raises:
            Denied: if the caller is nobody, or may not act any more.
        """
        fingerprint = self._engines.fingerprint("")
        with self._db.read() as c:
            organisation = self._reader(c, caller)
            return gate_of(self._registry.state(c), organisation, fingerprint, self._guard.now(c))

    # --- publishing ---

    def publish(self, caller: Caller, evaluation: str) -> EvaluationRecord:
        """Show an evaluation to everybody, on the public page.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if it is of so few people that it tells of single ones.
            NotFound: if there is none that the caller may see.
        """
        kept = self.get(caller, evaluation)
        why = too_few(kept.evaluation, LEAST_TOLD)
        if why:
            raise Invalid(
                f"This evaluation can't be published. {why}", remedy="Measure with more people of each group."
            )
        return self._show(caller, kept.record, Action.PUBLISH_EVALUATION)

    def withdraw(self, caller: Caller, evaluation: str) -> EvaluationRecord:
        """Take an evaluation off the public page; that it stood there stays in the ledger.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none that the caller may see.
        """
        return self._show(caller, self.get(caller, evaluation).record, Action.WITHDRAW_EVALUATION)

    def _show(self, caller: Caller, record: EvaluationRecord, action: Action) -> EvaluationRecord:
        publish = action == Action.PUBLISH_EVALUATION
        with self._guard.acting(caller, action, of=record.organisation) as acting:
            c = acting.connection
            self._store.set_published(c, record.id, acting.now if publish else None)
            change = "evaluation-published" if publish else "evaluation-withdrawn"
            acting.note(change=change, target=record.id, in_organisation=record.organisation)
            return self._store.record(c, record.id)

    def published(self) -> tuple[EvaluationRecord, ...]:
        """List what everybody may see, the newest first; nothing of organisations that are suspended."""
        with self._db.read() as c:
            return tuple(r for r in self._store.published(c) if self._is_active(c, r))

    def get_published(self, evaluation: str) -> Kept:
        """Read an evaluation that everybody may see.

        Raises:
            NotFound: if none of this id is published.
            Invalid: if it can't be read by this version.
        """
        with self._db.read() as c:
            record = self._store.record(c, evaluation)
            if record.published_at is None or not self._is_active(c, record):
                raise _unknown(evaluation)
            return self._kept(c, evaluation)

    # --- inside ---

    def _kept(self, c: sa.Connection, evaluation: str) -> Kept:
        record = self._store.record(c, evaluation)
        found = from_json(self._store.document(c, evaluation))
        return Kept(record, found, self.is_current(record))

    def _is_active(self, c: sa.Connection, record: EvaluationRecord) -> bool:
        return self._registry.state(c).organisations[record.organisation].suspended_at is None

    def _reader(self, c: sa.Connection, caller: Caller) -> str:
        """Return the organisation of somebody who may read evaluations: who may act at all.

        Raises:
            Denied: if the caller is nobody, or may not act any more.
        """
        organisation, state = self._guard.organisation_of(caller), self._registry.state(c)
        if state.principals[caller.principal].suspended_at or state.organisations[organisation].suspended_at:
            raise Denied("You or your organisation are suspended.", code="base.suspended")
        if caller.key_expires is not None and self._guard.now(c) >= caller.key_expires:
            raise Denied("The access key has expired.", code="base.key-expired")
        return organisation

    def _sees_all(self, c: sa.Connection, caller: Caller) -> bool:
        roles = self._registry.state(c).principals[caller.principal].roles
        return Role.OPERATOR in roles or Role.OVERSIGHT in roles


def _record(caller: Caller, organisation: str, evaluation: Evaluation) -> EvaluationRecord:
    """Return what lists and rules know of an evaluation that was made just now."""
    return EvaluationRecord(
        id=new_id("eval"),
        organisation=organisation,
        kind=evaluation.figures.kind,
        pack=evaluation.deployed.pack,
        fingerprint=evaluation.deployed.fingerprint,
        title=evaluation.dataset.title,
        column=", ".join(_columns(evaluation)),
        dataset=evaluation.dataset.sha256,
        verdict=verdict_of(evaluation),
        made_at=evaluation.made_at,
        made_by=caller.principal,
    )


def _unknown(evaluation: str) -> NotFound:
    return NotFound(f"There is no evaluation {evaluation}.", remedy="custodes evaluations list shows all.")


def _columns(evaluation: Evaluation) -> Sequence[str]:
    figures = evaluation.figures
    return [d.column for d in figures.differentials] if isinstance(figures, Verification) else []
