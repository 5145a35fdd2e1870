# SPDX-License-Identifier: Apache-2.0
"""The grounds that somebody may name with a use of faces at a page: cases and authorities of their organisation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from custodes.api.console.visits import Visit
from custodes.governance import AuthorityKind, Caller, OrgClass

__all__ = ["Choices", "caller_of", "choices"]


@dataclass(frozen=True, slots=True)
class Choices:
    """What a form offers: pairs of an id and what it is, and whether an exigency may be stated."""

    cases: tuple[tuple[str, str], ...]
    authorities: tuple[tuple[str, str], ...]
    exigency: bool


def choices(visit: Visit, now: datetime) -> Choices:
    """Return the visitor's own open cases, and the valid authorities that fit their organisation and purpose.

    Nobody learns here of cases that they don't work on or administer, nor who issued an authority.
    """
    app, session = visit.console.app, visit.session
    titles = {file.id: file.title for file in app.casework.cases.list(session.caller)}
    cases = [
        (c.id, f"{titles[c.id]} ({c.id})" if titles[c.id] != c.id else c.id)
        for c in app.grounds.cases()
        if c.id in titles and c.is_open and c.kind == session.purpose
    ]
    authorities = [
        (a.id, f"{str(a.kind).replace('-', ' ')} {a.id}, until {a.not_after:%Y-%m-%d}")
        for a in app.grounds.authorities()
        if a.organisation == session.organisation.id
        and a.kind != AuthorityKind.EXIGENCY
        and session.purpose in a.purposes
        and now < a.not_after
    ]
    police = session.organisation.org_class == OrgClass.LAW_ENFORCEMENT
    return Choices(tuple(reversed(cases)), tuple(reversed(authorities)), police)


def caller_of(visit: Visit) -> Caller:
    """Return who asks on the grounds that the form names."""
    return visit.caller(
        case=visit.text("case") or None,
        authority=visit.text("authority") or None,
        provenance=visit.text("provenance") or None,
        place=visit.text("place") or None,
        exigency=visit.text("exigency") or None,
    )
