# SPDX-License-Identifier: Apache-2.0
"""Health, readiness, metrics and model packs, with an OpenAPI description at ``/v1/openapi.json``.

These routes say how the server is, never what it knows: how many faces, but no face, no name, no key. ``/ledger/`` is
the ledger, for whoever wants to check it. What testers ask is in ``testing``, requests for footage are in ``board``,
what was shared for them in ``shares``.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Annotated

from fastapi import FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

import custodes
from custodes.api.aws.admission import Door
from custodes.api.gate import Gate
from custodes.api.rest.board import create_board
from custodes.api.rest.problems import Problem, problem, status_of
from custodes.api.rest.shares import create_shares
from custodes.api.rest.testing import create_testing
from custodes.api.telemetry import Telemetry
from custodes.api.warmup import Warmth, WarmUp
from custodes.app import App
from custodes.errors import CustodesError, Invalid, NotFound, Unavailable
from custodes.operations.packs import Calibration, Manifest

__all__ = ["create_rest"]


class Health(BaseModel):
    """That the server lives."""

    status: str = Field(description="`ok`, whenever there is an answer: it asks nothing that could be busy.")
    version: str = Field(description="Version of Custodes.")
    pack: str = Field(description="Model pack of new collections.")
    waiting: int = Field(description="Requests in work or waiting.")


class Ready(BaseModel):
    """That the server can work."""

    status: str = Field(description="`ok`; a server that can't work answers 503 with a Problem.")
    warm_up: Warmth = Field(
        description="`warm` when models and indexes are in memory; `failed` if some couldn't be loaded: see the log."
    )


class PackModel(BaseModel):
    """A network of a model pack."""

    role: str
    licence: str
    origin: str
    sha256: str


class PackKnot(BaseModel):
    """A point of a calibration."""

    cosine: float
    similarity: float = Field(description="0 to 100.")
    false_match_rate: float | None = Field(
        description="Share of comparisons of two different people that reach it; null where it wasn't measured."
    )


class PackCalibration(BaseModel):
    """The map from cosine to similarity, straight between its knots."""

    measured_on: str = Field(description="The data behind the false-match rates; empty while the map is provisional.")
    knots: list[PackKnot]


class Pack(BaseModel):
    """A model pack."""

    id: str
    version: str = Field(description="Rekognition's FaceModelVersion.")
    licence: str
    description: str
    models: list[PackModel]
    calibration: PackCalibration | None = Field(
        description="The pack's own; one that was made on local data may be in force, and is nowhere easier."
    )
    local_map: bool | None = Field(
        description="Whether such a local one is in force here instead; null where the pack can't be used."
    )


_REMEDY = "/v1/openapi.json lists what there is."


def _count(app: App, telemetry: Telemetry) -> None:
    """Tell telemetry how much is enrolled."""
    held = app.collections.enrolled()
    telemetry.enrolled(collections=held.collections, faces=held.faces, users=held.users)


def _calibration(own: Calibration | None) -> PackCalibration | None:
    if own is None:
        return None
    knots = [PackKnot(cosine=k.cosine, similarity=k.similarity, false_match_rate=k.false_match_rate) for k in own.knots]
    return PackCalibration(measured_on=own.measured_on, knots=knots)


def _is_local(app: App, pack: str) -> bool | None:
    try:
        return app.engines.pack(pack).is_local
    except CustodesError:
        return None


def _pack(app: App, manifest: Manifest) -> Pack:
    return Pack(
        id=manifest.id,
        version=manifest.version,
        licence=manifest.licence,
        description=manifest.description,
        models=[PackModel(role=m.role, licence=m.licence, origin=m.origin, sha256=m.sha256) for m in manifest.models],
        calibration=_calibration(manifest.calibration),
        local_map=_is_local(app, manifest.id),
    )


_OF_ONE_PACK: dict[int | str, dict[str, object]] = {404: {"model": Problem}, 422: {"model": Problem}}


def _add_refusals(rest: FastAPI, telemetry: Telemetry) -> None:
    """Have all that fails told by a Problem, and logged if it isn't the client's."""

    @rest.exception_handler(CustodesError)
    async def refuse(request: Request, error: CustodesError) -> JSONResponse:
        if status_of(error) >= 500:
            telemetry.failure(error, operation=f"{request.method} {request.scope['route'].path}", request_id="")
        return problem(error)

    @rest.exception_handler(HTTPException)
    async def refuse_route(_: object, error: HTTPException) -> JSONResponse:
        return problem(NotFound(f"{error.detail}.", remedy=_REMEDY), error.status_code)

    @rest.exception_handler(RequestValidationError)
    async def refuse_parameters(_: object, error: RequestValidationError) -> JSONResponse:
        names = sorted({str(e["loc"][-1]) for e in error.errors()})
        return problem(Invalid(f"A value is out of bounds: {', '.join(names)}.", remedy=_REMEDY), 422)


def create_rest(app: App, gate: Gate, door: Door, telemetry: Telemetry, warm_up: WarmUp) -> FastAPI:
    """Make the ASGI application of the REST API."""
    rest = FastAPI(
        title="Custodes",
        version=custodes.__version__,
        summary="Face recognition in which every use answers to somebody.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )

    _add_refusals(rest, telemetry)
    rest.include_router(create_testing(app, gate, door, telemetry))
    rest.include_router(create_board(app, gate))
    rest.include_router(create_shares(app, gate))

    @rest.get("/v1/health", summary="Tell that the server lives")
    async def health() -> Health:
        return Health(status="ok", version=custodes.__version__, pack=app.config.vision.pack, waiting=gate.waiting)

    @rest.get("/v1/ready", summary="Tell whether the server can work", responses={503: {"model": Problem}})
    async def ready() -> Ready:
        if warm_up.state in (Warmth.COLD, Warmth.WARMING):
            raise Unavailable("Models and indexes are being loaded.", remedy="Wait.")
        await gate.probe.run(app.check)
        return Ready(status="ok", warm_up=warm_up.state)

    @rest.get("/v1/metrics", summary="Numbers for Prometheus", response_class=Response)
    async def metrics() -> Response:
        with contextlib.suppress(CustodesError):  # without the database the other numbers matter all the more
            await gate.probe.run(partial(_count, app, telemetry))
        return Response(telemetry.metrics(), media_type=CONTENT_TYPE_LATEST)

    @rest.get("/v1/packs", summary="List the model packs")
    async def packs() -> list[Pack]:
        return await gate.probe.run(lambda: [_pack(app, m) for m in app.packs.list()])

    @rest.get("/v1/packs/{pack_id}", summary="Describe a model pack", responses=_OF_ONE_PACK)
    async def pack(pack_id: Annotated[str, Path(max_length=64)]) -> Pack:
        return await gate.probe.run(lambda: _pack(app, app.packs.get(pack_id)))

    @rest.get(
        "/ledger/{path:path}",
        summary="Read the ledger as a C2SP tlog-tiles client does",
        response_class=Response,
        responses={404: {"model": Problem}},
    )
    async def ledger(path: str) -> Response:
        data = await gate.quick.run(lambda: app.ledger.read(path))
        return Response(data, media_type=_media(path), headers={"cache-control": _caching(path)})

    return rest


def _media(path: str) -> str:
    return "application/octet-stream" if path.startswith("tile/") else "text/plain; charset=utf-8"


def _caching(path: str) -> str:
    """Full tiles and partial ones never change; checkpoints do."""
    return "public, max-age=31536000, immutable" if path.startswith("tile/") else "no-cache"
