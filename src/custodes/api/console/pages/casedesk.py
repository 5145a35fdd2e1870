# SPDX-License-Identifier: Apache-2.0
"""What all pages of a case begin with: who looks at it, for which purpose they act, and how forms of cases are read.

Whoever doesn't work on a case finds none (404), whatever else is wrong with what they ask, and before a byte of their
form is read. A member acts for the purpose of the case if their login is for it; whose login isn't for it sees that
there is a case, and nothing of whom it is about. So do administrators who don't work on it. Such a page asks no rule
and leaves no entry; what rule a use would meet it says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Path, Response

from custodes.api.console import dates
from custodes.api.console.forms import FORM_BYTES
from custodes.api.console.visits import Visit, visiting
from custodes.app import Casework
from custodes.casework import CaseFile, CaseStatus
from custodes.casework.imports import printable
from custodes.errors import Denied, Invalid
from custodes.governance import Caller, Principal, Provenance, Purpose, Role
from custodes.operations.browsing import taken_at
from custodes.operations.desk import Origin

__all__ = [
    "PROVENANCES",
    "AtCase",
    "CaseId",
    "CollectionId",
    "ImageId",
    "Looking",
    "Working",
    "at_case",
    "casework",
    "date_in",
    "day_of",
    "moment_of",
    "number_of",
    "origin_of",
]

CaseId = Annotated[str, Path(pattern="^case-[0-9a-f]{16}$")]
ImageId = Annotated[str, Path(pattern="^img-[0-9a-f]{16}$")]
CollectionId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]

PROVENANCES: Mapping[Provenance, str] = {
    Provenance.CASE_FILE: "From a case file",
    Provenance.CONSENTED: "Given by the person, or by whoever speaks for them",
    Provenance.PUBLIC_RECORD: "From a public record",
    Provenance.OWN: "Our own",
    Provenance.SCRAPED: "Copied from the internet or from cameras (the rules refuse these)",
}
"""Where an image comes from, as somebody would say it."""

_TONES = {CaseStatus.OPEN: "good", CaseStatus.SUSPENDED: "warn", CaseStatus.FOUND: "info", CaseStatus.CLOSED: ""}
_EARLIEST = datetime(1826, 1, 1, tzinfo=UTC)  # no photo is older


def casework(visit: Visit) -> Casework:
    """Return the use cases of casework."""
    return visit.console.app.casework


@dataclass(frozen=True, slots=True)
class AtCase:
    """Somebody at a case.

    Attributes:
        visit: theirs.
        file: the case's.
        caller: they, acting for the case, for its purpose if their login is for it.
        people: all of the organisation, by id.
    """

    visit: Visit
    file: CaseFile
    caller: Caller
    people: Mapping[str, Principal]

    @property
    def path(self) -> str:
        """Where the case's pages begin."""
        return f"/console/cases/{self.file.id}"

    @property
    def is_member(self) -> bool:
        """Whether they work on it; otherwise they administer it."""
        return self.visit.session.principal in self.file.members

    @property
    def is_suited(self) -> bool:
        """Whether their login is for the case's purpose."""
        return Purpose(self.file.kind) in self.visit.session.purposes

    @property
    def may_manage(self) -> bool:
        """Whether to show what only those who manage may do; what is allowed the rules decide."""
        return bool({Role.ADMIN, Role.OPERATOR} & self.visit.session.roles)

    def name(self, principal: str) -> str:
        """Return what somebody of the organisation is called."""
        found = self.people.get(principal)
        return found.name if found else principal

    def page(self, template: str, section: str, values: Mapping[str, object], *, status: int = 200) -> Response:
        """Return a page of the case; ``section`` is the tab that it is under."""
        told: dict[str, object] = {
            "case": self,
            "file": self.file,
            "tone": _TONES[self.file.status],
            "section": section,
            "sensitive": self.file.sensitive,
        }
        return self.visit.page(template, told | dict(values), status=status)

    def done(self, path: str, text: str = "", *, kind: str = "done") -> Response:
        """Go on to another page of the case, with a message there."""
        return self.visit.done(f"{self.path}{path}", text, kind=kind)


def at_case(limit: int = FORM_BYTES, *, look: bool = False) -> Callable[..., Awaitable[AtCase]]:
    """Return the dependency of a case's page.

    Args:
        limit: most bytes of its form, files included.
        look: whether administrators who don't work on the case, and members whose login isn't for its purpose, may see
            it too.
    """

    async def admit(visit: Visit) -> None:
        await _found(visit, str(visit.request.path_params["case"]), look=look)

    visited = Depends(visiting(limit, admit))

    async def find(case: CaseId, visit: Visit = visited) -> AtCase:
        return await _found(visit, case, look=look)

    return find


async def _found(visit: Visit, case: str, *, look: bool) -> AtCase:
    """Return who looks at a case; see :func:`at_case`.

    Raises:
        NotFound: if there is none, or they neither work on it nor administer it.
        Denied: if they may not see what is in it.
    """
    app = visit.console.app

    def read() -> tuple[CaseFile, dict[str, Principal]]:
        found = app.casework.cases.get(visit.caller(), case)
        staff = app.people.principals()
        return found, {p.id: p for p in staff if p.organisation == found.organisation}

    file, people = await visit.quick(read)
    made = AtCase(visit, file, _caller(visit, file), people)
    if not look:
        _check(made)
    return made


Working = Annotated[AtCase, Depends(at_case())]
"""Somebody who works on a case; the page's form, if it has one, has at most a mebibyte and no files."""

Looking = Annotated[AtCase, Depends(at_case(look=True))]
"""Somebody who works on a case or administers it."""


def _caller(visit: Visit, file: CaseFile) -> Caller:
    caller, kind = visit.caller(case=file.id), Purpose(file.kind)
    return replace(caller, purpose=kind) if kind in visit.session.purposes else caller


def _check(at: AtCase) -> None:
    """Refuse who may not see what is in a case.

    Raises:
        Denied: if they don't work on it, or their login is for other purposes.
    """
    if not at.is_member:
        raise Denied(
            "You administer this case, but you don't work on it: what is in it is for its members.",
            remedy="Add yourself as a member, if you need to work on it.",
        )
    if not at.is_suited:
        raise Denied(
            f"This is a case of {at.file.kind.replace('-', ' ')}, and your login is not for that purpose: "
            "the rule base.case-purpose refuses it.",
            remedy="Ask your administrator for an invitation that has this purpose.",
            code="base.case-purpose",
        )


# --- forms ---


def day_of(text: str, what: str = "A date") -> datetime | None:
    """Return the day that a field of type ``date`` has, or None if it is empty.

    Raises:
        Invalid: if it is none, lies in the future, or is older than photography.
    """
    if not text:
        return None
    found = dates.day_of(text, what)
    if not _EARLIEST <= found <= datetime.now(UTC):
        raise Invalid(f"{what} lies in the past, and not before {_EARLIEST.year}.")
    return found


def date_in(data: bytes) -> datetime | None:
    """Return when a photo was taken, as its camera has written it into the file; None where that can't be."""
    found = taken_at(data)
    return found if found is not None and _EARLIEST <= found <= datetime.now(UTC) else None


def moment_of(text: str, offset: str = "0") -> datetime:
    """Return the time that a field of type ``datetime-local`` has.

    Args:
        text: the field.
        offset: minutes by which UTC is ahead of the time that is meant, as scripts tell it.

    Raises:
        Invalid: if it is none.
    """
    try:
        found = datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(minutes=int(offset))
    except (ValueError, OverflowError) as e:
        raise Invalid("Say when: a day and a time.") from e
    return found


def number_of(text: str, what: str, least: float, most: float) -> float | None:
    """Return the number that a field has, or None if it is empty.

    Raises:
        Invalid: if it is none, or out of bounds.
    """
    if not text:
        return None
    try:
        found = float(text.replace(",", "."))
    except ValueError as e:
        raise Invalid(f"{what} is a number.") from e
    if not least <= found <= most:
        raise Invalid(f"{what} lies between {least:g} and {most:g}.")
    return found


def origin_of(visit: Visit, *, name: str = "", taken_at: datetime | None = None) -> Origin:
    """Return where an image comes from, as a form tells it.

    Raises:
        Invalid: if it doesn't tell.
    """
    provenance, basis, source = (visit.text(field) for field in ("provenance", "basis", "source"))
    if provenance not in set(Provenance):
        raise Invalid("Say where the photo comes from.")
    if not basis or not source:
        raise Invalid(
            "Say on which legal basis you hold it, and who gave it to you.",
            remedy="Whoever checks this case later has to be able to follow both.",
        )
    return Origin(
        provenance, basis, source, name=_last(name), taken_at=taken_at, sensitive=visit.has("sensitive") or None
    )


def _last(name: str) -> str:
    """Return the name of a file without folders, and with what can't be shown written out."""
    return printable(name.replace("\\", "/").rpartition("/")[2], 1000)
