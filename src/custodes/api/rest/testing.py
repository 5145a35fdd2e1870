# SPDX-License-Identifier: Apache-2.0
"""``/v1/testing``: raw scores for organisations that test this installation, as signed results (docs/testing.md).

Requests are signed as Rekognition's are, by the same keys and for the same service, and come through the same door:
head, body, signature, copies, grounds. What the body may hold is said by the models below; nothing else is taken. It is
parsed for testers alone, and not if it holds more than any that can be meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, TypeVar

import pybase64
from fastapi import APIRouter, Request, Response, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from custodes.api.aws.admission import Door, Visitor, hung_up
from custodes.api.aws.errors import WireError
from custodes.api.gate import Gate, HungUp, Pool
from custodes.api.rest.problems import Denial, Problem, entry_headers, problem, status_of
from custodes.api.telemetry import Telemetry
from custodes.app import App
from custodes.errors import Code, CustodesError, Denied, IntegrityError, Invalid, TooLarge
from custodes.governance import Caller
from custodes.operations.testing import MOST_CANDIDATES, MOST_PAIRS

__all__ = ["create_testing"]

_HUNG_UP = 499  # as other servers log it; nobody gets it
_IMAGE = 5_242_880  # bytes of an image in a request; Rekognition's own
_ENCODED = _IMAGE // 3 * 4 + 4
_ERRORS = 3  # of a body's that are told
_TOLD = 80  # characters of what one is told to be
_PLACE = re.compile(r"[A-Za-z0-9_.-]{1,80}")  # where one is, if that is plain
_MEMBERS = 16  # of a body that is parsed; more than any has, so that it is told which aren't known
_SIGN = "Sign it with AWS Signature Version 4 for the service rekognition, with a key for testing: docs/testing.md."

_Collection = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.\-]{1,255}$", description="A collection of your own.")]
_FaceId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
_Image = Annotated[str, Field(max_length=_ENCODED, description="A JPEG or PNG file in base64.")]
_Pairs = Annotated[
    list[tuple[_FaceId, _FaceId]],
    Field(min_length=1, max_length=MOST_PAIRS, description="Pairs of face ids, as IndexFaces has given them."),
    FailFast(),
]
_Limit = Annotated[int, Field(ge=1, le=MOST_CANDIDATES, description="Length of the candidate list.")]


class _Asked(BaseModel):
    """A body: these members, of these types, and no others. No text in it has a colon, a comma or a bracket."""

    most_pairs: ClassVar[int] = 0
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _ScoresAsked(_Asked):
    """Pairs of faces of one collection."""

    most_pairs: ClassVar[int] = MOST_PAIRS
    collection: _Collection
    pairs: _Pairs


class _CompareAsked(_Asked):
    """Two photos: the largest face of the one is compared with every face of the other."""

    source: _Image
    target: _Image


class _SearchAsked(_Asked):
    """A search for a face of the collection, which is left out, or for the largest face of a photo."""

    collection: _Collection
    face_id: _FaceId | None = None
    image: _Image | None = None
    limit: _Limit = MOST_CANDIDATES


class Signed(BaseModel):
    """A result with its proof; `custodes testing verify` checks it."""

    form: str = Field(description="`custodes-signed/1`.")
    document: str = Field(description="The result: JSON, as a text, whose SHA-256 the entry commits to.")
    seal: dict[str, Any] = Field(description="Disclosure of the entry, with the proof that the ledger has it.")
    vkey: str = Field(description="The ledger's key, by its own word; have it from elsewhere.")


A = TypeVar("A", bound=_Asked)


def _parsed(kind: type[A], body: bytes) -> A:
    """Read a body.

    Raises:
        Invalid: if it is no JSON object of this kind; the message says where, and repeats nothing of it but names.
    """
    _check_extent(body, kind.most_pairs)
    try:
        return kind.model_validate_json(body)
    except ValidationError as e:
        found = e.errors(include_url=False, include_context=False, include_input=False)
        raise _unlike("; ".join(f"{_where(one['loc'])}: {one['msg'][:_TOLD]}" for one in found[:_ERRORS])) from e


def _check_extent(body: bytes, pairs: int) -> None:
    """Refuse a body with too many members or values, by the signs between them: an error of each would take gigabytes.

    Raises:
        Invalid: if it has more than one of so many pairs can have.
    """
    for sign, most in ((b":", _MEMBERS), (b"[", 1 + pairs), (b",", _MEMBERS + 2 * pairs)):
        if body.count(sign) > most:
            raise _unlike(f"it has more than {_MEMBERS} members{f', or than {pairs} pairs' if pairs else ''}")


def _unlike(why: str) -> Invalid:
    return Invalid(f"The body isn't what is asked for: {why}.", remedy="/v1/openapi.json describes it.")


def _where(place: tuple[int | str, ...]) -> str:
    """Return where something is in a body; names that nobody would use are left out."""
    names = ".".join(map(str, place))
    return names if _PLACE.fullmatch(names) else "it"


def _decoded(image: str, name: str) -> bytes:
    """Return the bytes of an image.

    Raises:
        Invalid: if it is no base64.
        TooLarge: if they are too many.
    """
    try:
        data = pybase64.b64decode(image, validate=True)
    except ValueError as e:
        raise Invalid(f"The {name} is no base64.") from e
    if len(data) > _IMAGE:
        raise TooLarge(f"The {name} has more than {_IMAGE} bytes.", code=Code.IMAGE_BYTES)
    return data


@dataclass(slots=True)
class _Served:
    """What became of a request in its thread: the answer, and where the ledger has it."""

    answer: bytes = b""
    entries: tuple[int, ...] = ()


Serve = Callable[[Caller, bytes], bytes]


class _Testing:
    """Answers the requests.

    Args:
        app: what is tested.
        gate, door, telemetry: threads, admission, the log.
    """

    def __init__(self, app: App, gate: Gate, door: Door, telemetry: Telemetry) -> None:
        self._app = app
        self._gate = gate
        self._door = door
        self._telemetry = telemetry

    async def answer(self, request: Request, pool: Pool, serve: Serve) -> Response:
        """Let a request in, have it served in a thread, and tell what came of it."""
        visitor, served = None, _Served()
        try:
            visitor = await self._door.admit(request.scope)
            body = await self._door.read(visitor, request.receive)
            await pool.run(partial(self._run, visitor, body, serve, served), partial(hung_up, request.receive))
        except HungUp:
            return Response(status_code=_HUNG_UP)
        except WireError as error:
            return _unsigned(error)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever fails inside is answered, and logged
            return self._failed(request, error, served)
        finally:
            if visitor is not None:
                self._door.leave(visitor)
        answer = Response(served.answer, media_type="application/json")
        for name, value in entry_headers(served.entries):
            answer.headers.append(name, value)
        return answer

    def _run(self, visitor: Visitor, body: bytes, serve: Serve, served: _Served) -> None:
        caller = self._door.authenticate(visitor, body)
        try:
            served.answer = serve(caller, body)
        finally:
            served.entries = self._app.guard.taken()

    def _failed(self, request: Request, error: Exception, served: _Served) -> Response:
        known: CustodesError = IntegrityError("Something is wrong here.", remedy="The operator's log says what.")
        if isinstance(error, CustodesError) and not isinstance(error, IntegrityError):
            known = error
        if status_of(known) >= 500:
            route = request.scope["route"].path
            self._telemetry.failure(error, operation=f"{request.method} {route}", request_id="")
        return problem(known, entries=served.entries)

    # --- in a thread ---

    def describe(self, caller: Caller, _: bytes) -> bytes:
        """Tell what runs here."""
        return self._app.testing.describe(caller)

    def scores(self, caller: Caller, body: bytes) -> bytes:
        """Compare pairs."""
        asked = self._asked(caller, _ScoresAsked, body)
        return self._app.testing.scores(caller, asked.collection, asked.pairs)

    def compare(self, caller: Caller, body: bytes) -> bytes:
        """Compare two photos."""
        asked = self._asked(caller, _CompareAsked, body)
        return self._app.testing.compare(caller, _decoded(asked.source, "source"), _decoded(asked.target, "target"))

    def search(self, caller: Caller, body: bytes) -> bytes:
        """Search a collection."""
        asked = self._asked(caller, _SearchAsked, body)
        if (asked.face_id is None) == (asked.image is None):
            raise Invalid("A search is for a face_id or for an image.")
        probe = asked.face_id if asked.image is None else _decoded(asked.image, "image")
        assert probe is not None
        return self._app.testing.search(caller, asked.collection, probe, asked.limit)

    def _asked(self, caller: Caller, kind: type[A], body: bytes) -> A:
        self._app.testing.check(caller)
        return _parsed(kind, body)


def _unsigned(error: WireError) -> Response:
    """Tell of a request that doesn't come through the door."""
    if error.status != 400:
        return problem(Invalid(error.message), error.status)
    answer = problem(Denied(error.message, remedy=_SIGN), 401)
    answer.headers["www-authenticate"] = "AWS4-HMAC-SHA256"
    return answer


def _answers() -> dict[int | str, dict[str, Any]]:
    told: dict[int | str, dict[str, Any]] = {200: {"model": Signed, "description": "A signed result."}}
    told |= {status: {"model": Problem} for status in (400, 404, 408, 413, 429, 503)}
    return told | {status: {"model": Denial} for status in (401, 403)}


def _takes(kind: type[_Asked]) -> dict[str, Any]:
    """Describe a body, which is read by hand, after the head is checked."""
    content = {"application/json": {"schema": kind.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def create_testing(app: App, gate: Gate, door: Door, telemetry: Telemetry) -> APIRouter:
    """Make the routes below ``/v1/testing``."""
    testing = _Testing(app, gate, door, telemetry)
    signature = APIKeyHeader(
        name="Authorization", scheme_name="SigV4", description="AWS Signature Version 4.", auto_error=False
    )
    router = APIRouter(prefix="/v1/testing", dependencies=[Security(signature)], responses=_answers())

    @router.get("", summary="Describe what runs here")
    async def describe(request: Request) -> Response:
        return await testing.answer(request, gate.quick, testing.describe)

    @router.post("/scores", summary="Compare pairs of enrolled faces", openapi_extra=_takes(_ScoresAsked))
    async def scores(request: Request) -> Response:
        return await testing.answer(request, gate.inference, testing.scores)

    @router.post("/compare", summary="Compare two photos", openapi_extra=_takes(_CompareAsked))
    async def compare(request: Request) -> Response:
        return await testing.answer(request, gate.inference, testing.compare)

    @router.post("/search", summary="Search a collection", openapi_extra=_takes(_SearchAsked))
    async def search(request: Request) -> Response:
        return await testing.answer(request, gate.inference, testing.search)

    return router
