# SPDX-License-Identifier: Apache-2.0
"""What pages call the things of governance: actions, facts, places, moratoria, in words for everybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from custodes.api.console.shown import when, words
from custodes.governance import Action, EasingKind, OrgClass, Purpose
from custodes.governance.moratorium import Moratorium
from custodes.governance.request import NO_JURISDICTION

__all__ = [
    "ACTIONS",
    "EASINGS",
    "GROUPS",
    "MoratoriumShown",
    "action_words",
    "change_words",
    "exempt_choices",
    "listed",
    "moratorium_shown",
    "place_words",
    "small",
]

ACTIONS: Mapping[Action, str] = {
    Action.DETECT: "Find faces in a photo, without recognising anybody",
    Action.COMPARE: "Compare one face with another",
    Action.SEARCH_REFERENCES: "Search a collection for a face",
    Action.SEARCH_SUBJECTS: "Search a collection for a person",
    Action.WATCH: "Look for faces in live video",
    Action.ENROL: "Store a face",
    Action.IMPORT_IMAGES: "Bring images into a case",
    Action.CREATE_COLLECTION: "Make a collection",
    Action.TAG_COLLECTION: "Change the terms of a collection",
    Action.CREATE_SUBJECT: "Make a person in a collection",
    Action.ASSOCIATE: "Put faces to a person",
    Action.DISASSOCIATE: "Take faces from a person",
    Action.LIST_COLLECTIONS: "List collections",
    Action.DESCRIBE_COLLECTION: "Look at a collection",
    Action.LIST_REFERENCES: "List stored faces",
    Action.LIST_SUBJECTS: "List persons in a collection",
    Action.DELETE_COLLECTION: "Delete a collection",
    Action.DELETE_REFERENCES: "Erase stored faces",
    Action.DELETE_SUBJECT: "Erase a person from a collection",
    Action.READ_RESULTS: "Open the kept results of an emergency search",
    Action.EXPORT_REPORT: "Report what is held of a person",
    Action.VIEW_IMAGE: "Look at a sensitive image",
    Action.EXPORT_LEAD: "Let a report of a lead out",
    Action.REVIEW: "Judge a candidate",
    Action.EVALUATE: "Measure how accurate this is",
    Action.SCORE_PAIRS: "Compare test photos, for their scores",
    Action.VIEW_VIDEO: "Look at a camera's video",
    Action.EXPORT_VIDEO: "Take a clip of a camera's video out",
    Action.MANAGE_ORGANISATIONS: "Manage organisations",
    Action.MANAGE_PEOPLE: "Manage people",
    Action.MANAGE_KEYS: "Manage others' keys",
    Action.MANAGE_OWN_KEYS: "Manage own keys",
    Action.OPEN_CASE: "Open or resume a case",
    Action.MANAGE_CASES: "Pause or close a case",
    Action.FILE_AUTHORITY: "File an authority",
    Action.FILE_CONSENT: "Record or withdraw a consent",
    Action.ATTEST_DUTY: "Attest to a duty",
    Action.DISCLOSE: "Open an entry of the ledger to somebody",
    Action.MANAGE_CAMERAS: "Set up cameras",
    Action.SHARE_VIDEO: "Share a clip of a camera's video",
    Action.RECORD_PROCESS: "Record legal process",
    Action.ENROL_AGENCY: "Enrol an agency",
    Action.CERTIFY_OFFICER: "Certify an officer",
    Action.REQUEST_VIDEO: "Ask the public for video",
    Action.APPROVE_VIDEO_REQUEST: "Approve a request for video",
    Action.PUBLISH_EVALUATION: "Publish an evaluation",
    Action.WITHDRAW_EVALUATION: "Take a published evaluation back",
    Action.DECLARE_MORATORIUM: "Declare or extend a moratorium",
    Action.STOP_USE: "Stop use",
    Action.ENABLE_RULEBOOK: "Enable a rulebook",
    Action.ANSWER_ALARM: "Answer an alarm",
    Action.PROPOSE_EASING: "Propose or withdraw an easing",
    Action.APPROVE_EASING: "Approve an easing",
}
"""Every action, as somebody would say it."""

GROUPS: Mapping[str, str] = {
    "Recognise": "Searching and comparing faces",
    "Search": "Searching for faces",
    "Store": "Storing faces",
}
"""Groups of actions that a moratorium may name."""

EASINGS: Mapping[EasingKind, str] = {
    EasingKind.LIFT: "Lift a moratorium",
    EasingKind.SHORTEN: "Shorten a moratorium",
    EasingKind.RESTART: "Restart what was stopped",
    EasingKind.DISABLE: "Switch a rulebook off",
    EasingKind.APPOINT: "Appoint an overseer",
    EasingKind.DISMISS: "Dismiss an overseer",
    EasingKind.REKEY: "Let an overseer have a new key",
}
"""What takes two people."""

_CHANGES = {
    "begun": "The log was begun",
    "login": "Somebody signed in",
    "login-made": "Somebody set their password",
    "login-refused": "A sign-in was refused",
    "logout": "Somebody signed out",
    "retention": "Faces were erased that were kept long enough",
    "consent-ended": "Faces were erased whose consent had ended",
    "consent-executed": "A consent's end was carried out",
    "published": "The log was published",
    "alarm": "An alarm to oversight was raised",
    "disclosed": "An entry was opened to somebody",
    "stopped": "Use was stopped",
    "video-shared": "A clip of a camera was shared",
    "share-revoked": "A share was revoked",
    "share-handed-over": "A sealed package was saved, to be handed over",
    "share-fetched": "A share was fetched by whom it is for",
    "share-refused": "A share was not handed out",
    "legal-process-recorded": "Legal process was recorded",
    "legal-process-seen": "Legal process was seen by who was served",
    "evaluation-published": "An evaluation was published",
    "evaluation-withdrawn": "An evaluation was withdrawn from the public page",
}
_STATES = {"in force": "bad", "to come": "warn", "over": ""}


def small(text: str) -> str:
    """Return words for the middle of a sentence: ``law-enforcement`` -> ``law enforcement``."""
    told = words(text)
    return told[:1].lower() + told[1:]


def listed(values: Iterable[object], empty: str = "") -> str:
    """Return identifiers as words, one after the other."""
    return ", ".join(small(str(v)) for v in values) or empty


def action_words(action: str) -> str:
    """Return what an action, or a group of them, is called; its own name if it has no other."""
    known = {str(a): text for a, text in ACTIONS.items()} | dict(GROUPS)
    return known.get(action, action)


def change_words(change: str) -> str:
    """Return what an act or an event is called."""
    return _CHANGES.get(change, words(change))


def place_words(jurisdiction: str) -> str:
    """Return a place's code, or that it isn't stated."""
    return "not stated" if jurisdiction in ("", NO_JURISDICTION) else jurisdiction


@dataclass(frozen=True, slots=True)
class MoratoriumShown:
    """A moratorium as pages show it.

    Attributes:
        id, citation, explain, remedy: its own.
        state, tone: ``in force``, ``to come`` or ``over``, and the badge's colour.
        pairs: whom, where, what, for what, from when, until when, who is exempt.
        binds: the same in a few words.
        further: whether it has no end.
    """

    id: str
    citation: str
    explain: str
    remedy: str
    state: str
    tone: str
    pairs: tuple[tuple[str, str | Markup], ...]
    binds: str
    further: bool


def moratorium_shown(m: Moratorium, now: datetime) -> MoratoriumShown:
    """Put a moratorium into words."""
    state = "to come" if now < m.begins else "in force" if m.ends is None or now < m.ends else "over"
    ends: str | Markup = "further notice" if m.ends is None else when(m.ends)
    exempt = "; ".join(
        f"{small(str(e.org_class))}, for {listed(sorted(e.purposes))}, within an open case of their own"
        for e in m.exempt
    )
    what = "; ".join(action_words(a) for a in sorted(m.actions))
    pairs: tuple[tuple[str, str | Markup], ...] = (
        ("Binds organisations", listed(sorted(m.classes))),
        ("Where", ", ".join(sorted(m.jurisdictions)) or "everywhere"),
        ("Forbids", what),
        ("For", listed(sorted(m.purposes), "every purpose")),
        ("From", when(m.begins)),
        ("Until", ends),
        ("Exempt", exempt or "nobody"),
    )
    binds = f"{what}, by {listed(sorted(m.classes))}"
    return MoratoriumShown(
        m.id, m.citation, m.explain, m.remedy, state, _STATES[state], pairs, binds, further=m.ends is None
    )


def exempt_choices(purposes_of: Mapping[OrgClass, Iterable[Purpose]]) -> list[tuple[str, str]]:
    """Return the exemptions that a moratorium may have, each a class and a purpose that it has."""
    return [(f"{c}:{p}", f"{words(c)}, for {small(p)}") for c, purposes in purposes_of.items() for p in purposes]
