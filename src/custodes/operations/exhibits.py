# SPDX-License-Identifier: Apache-2.0
"""Entries of the ledger that leave the house together: each opened, each with its proof, all under one checkpoint.

Whoever gets them needs neither database nor network nor trust to check them. What an exigent search found is not
opened once it is sealed, and what was forgotten can't be: both are seen by that the entry still commits to it. The
checkpoint is the newest that a witness has cosigned, if it covers all the entries, and otherwise one of this moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from custodes.errors import CustodesError, IntegrityError, Invalid, NotFound
from custodes.ledger import Disclosed, Disclosure, Log, Note, VerifierKey, check_disclosure
from custodes.ledger.checkpoint import Checkpoint, cosigned_by, verify_checkpoint

__all__ = ["HOLDS", "Exhibits", "Findings", "Proven", "at", "digest_of", "names_case", "prove", "rows", "sealed"]


HOLDS = "All that can be checked holds."
"""What a check comes to that finds nothing wrong."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What came of checking something offline.

    Attributes:
        what: what was checked.
        holds: what is proven, a sentence each.
        problems: what doesn't hold; nothing if all does.
        remarks: what can't be checked, and why.
        says: what it says itself, in sentences that can be printed whoever wrote it; nothing if something doesn't hold.
        verdict: what it comes to if all holds.
    """

    what: str
    holds: tuple[str, ...]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    says: tuple[str, ...] = ()
    verdict: str = HOLDS

    @property
    def sound(self) -> bool:
        """Whether all holds that was checked."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Exhibits:
    """Entries with their proofs.

    Attributes:
        checkpoint: the signed note under which all proofs are.
        vkey: the log's key, as the log says.
        witnesses: keys of those whose cosignatures the log keeps, likewise.
        disclosures: the entries, in their order.
    """

    checkpoint: str
    vkey: str
    witnesses: tuple[str, ...]
    disclosures: tuple[Disclosure, ...]

    @classmethod
    def gather(cls, log: Log, indexes: Iterable[int], opened: Callable[[int], bool]) -> Exhibits:
        """Open entries; not in a transaction, for a checkpoint covers what has committed.

        Args:
            log: the ledger.
            indexes: which.
            opened: whether what an entry commits to is opened, as far as that is possible.

        Raises:
            NotFound: if there is no such entry.
        """
        wanted = sorted(set(indexes))
        note = _note(log, wanted[-1] if wanted else -1)
        size = Checkpoint.parse(Note.parse(note).text).size
        return cls(
            note,
            log.vkey,
            tuple(str(w) for w in log.witnesses()),
            tuple(
                replace(
                    log.disclose(i, None if opened(i) else ()), proof=tuple(log.inclusion(i, size)), checkpoint=note
                )
                for i in wanted
            ),
        )

    def to_json(self) -> dict[str, object]:
        """Return the form in which they are part of a report; each disclosure can be checked on its own too."""
        return {
            "checkpoint": self.checkpoint,
            "vkey": self.vkey,
            "witnesses": list(self.witnesses),
            "disclosures": [orjson.loads(d.to_json()) for d in self.disclosures],
        }


def _note(log: Log, last: int) -> str:
    """Return the checkpoint to prove by: a cosigned one if it covers the last entry."""
    try:
        note = log.cosigned(1)
    except NotFound:
        return log.checkpoint(fresh=True)
    return note if Checkpoint.parse(Note.parse(note).text).size > last else log.checkpoint(fresh=True)


@dataclass(frozen=True, slots=True)
class Proven:
    """What disclosures prove.

    Attributes:
        entries: those that are proven, by their indexes.
        size: of the log at the checkpoint; 0 if that doesn't hold.
        root: likewise; nothing if it doesn't.
        witnesses: names of those whose cosignatures hold.
        problems: what doesn't hold.
    """

    entries: Mapping[int, Disclosed]
    size: int
    root: bytes
    witnesses: tuple[str, ...]
    problems: tuple[str, ...]


def prove(told: Sequence[object], checkpoint: str, vkey: str, witnesses: Sequence[str] = ()) -> Proven:
    """Check disclosures against one checkpoint, offline. All that is given is hostile; nothing is raised for it.

    Args:
        told: disclosures as JSON values.
        checkpoint: the signed note.
        vkey: the log's key.
        witnesses: keys of witnesses.

    Raises:
        Invalid: if the log's key is malformed.
    """
    key = VerifierKey.parse(vkey)
    problems: list[str] = []
    try:
        state, note = verify_checkpoint(checkpoint, key)
    except IntegrityError as e:
        return Proven({}, 0, b"", (), (f"The checkpoint: {e.message}",))
    names: tuple[str, ...] = ()
    try:
        names = tuple(cosigned_by(note, [VerifierKey.parse(w) for w in witnesses]))
    except (IntegrityError, Invalid) as e:
        problems.append(f"A cosignature: {e.message}")
    entries: dict[int, Disclosed] = {}
    for number, one in enumerate(told):
        if at(one, "checkpoint") != checkpoint:
            problems.append(f"Proof {number} is under another checkpoint than the one of the whole.")
            continue
        try:
            found = check_disclosure(orjson.dumps(one), vkey)
        except (CustodesError, orjson.JSONEncodeError) as e:
            told_as = at(one, "index")
            problems.append(f"Entry {told_as if type(told_as) is int else '?'} isn't proven: {e}")
            continue
        if found.index in entries:
            problems.append(f"Entry {found.index} is there twice.")
        entries[found.index] = found
    return Proven(entries, state.size, state.root, names, tuple(problems))


def sealed(seal: object, vkey: str) -> Disclosed:
    """Return the proven entry of a seal: of a disclosure that goes with what its entry commits to.

    Args:
        seal: the disclosure, as JSON values; hostile.
        vkey: the log's key.

    Raises:
        IntegrityError: if it proves nothing.
        Invalid: if the log's key is malformed.
    """
    try:
        return check_disclosure(orjson.dumps(seal), vkey)
    except (IntegrityError, orjson.JSONEncodeError) as e:
        raise IntegrityError(f"The seal doesn't hold: {e}") from e


def digest_of(value: object) -> str:
    """Return the SHA-256, in hexadecimal, of JSON values in their one form: no spaces, names sorted."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def names_case(entry: Mapping[str, object], case: str) -> bool:
    """Tell whether an entry is about a case: it was made for it, or changes it."""
    return case in (entry.get("case"), entry.get("target"))


# --- hostile JSON -------------------------------------------------------------------------------------------------


def at(value: object, *names: str) -> object:
    """Return what stands at a place of JSON values, or None if there is nothing."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def rows(value: object, *names: str) -> tuple[Mapping[str, object], ...]:
    """Return the objects of a list at a place of JSON values; what is no object is left out."""
    found = at(value, *names)
    return tuple(r for r in found if isinstance(r, Mapping)) if isinstance(found, list) else ()
