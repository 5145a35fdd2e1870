# SPDX-License-Identifier: Apache-2.0
"""How a failure reads in the REST API: a Problem, and for what the rules forbid a Denial, which names them all."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from custodes.errors import Conflict, CustodesError, Denied, IntegrityError, Invalid, NotFound, Throttled, TooLarge
from custodes.governance import Refused

__all__ = ["Denial", "Forbidding", "Problem", "entry_headers", "problem", "status_of"]


class Problem(BaseModel):
    """What went wrong, and what to do."""

    error: str
    message: str
    remedy: str


class Forbidding(BaseModel):
    """A rule that forbids it."""

    id: str
    citation: str
    explain: str
    remedy: str


class Denial(Problem):
    """What is forbidden, and by which rules."""

    rules: list[Forbidding] = Field(description="All rules that forbid it; empty if something else than a rule does.")


_STATUS: dict[type[CustodesError], int] = {
    NotFound: 404,
    TooLarge: 413,
    Invalid: 400,
    Conflict: 409,
    Denied: 403,
    Throttled: 429,
    IntegrityError: 500,
}


def status_of(error: CustodesError) -> int:
    """Return the HTTP status of an error."""
    return next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 503)


def entry_headers(entries: Iterable[int]) -> list[tuple[str, str]]:
    """Return the headers that say where the ledger has an answer."""
    return [("x-custodes-entry", str(index)) for index in entries]


def problem(error: CustodesError, status: int = 0, entries: Iterable[int] = ()) -> JSONResponse:
    """Return the answer that tells of an error.

    Args:
        error: what was raised.
        status: HTTP status; 0 takes the kind's usual one.
        entries: where the ledger has it.
    """
    told = Problem(error=type(error).__name__, message=error.message, remedy=error.remedy)
    if isinstance(error, Denied):
        rules = error.decision.rules if isinstance(error, Refused) else ()
        named = [Forbidding(id=r.id, citation=r.citation, explain=r.explain, remedy=r.remedy) for r in rules]
        told = Denial(error="Denied", message=error.message, remedy=error.remedy, rules=named)
    answer = JSONResponse(told.model_dump(), status_code=status or status_of(error))
    for name, value in entry_headers(entries):
        answer.headers.append(name, value)
    return answer
