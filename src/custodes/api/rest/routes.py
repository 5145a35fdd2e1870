# SPDX-License-Identifier: Apache-2.0
"""Health, metrics and model packs, with an OpenAPI description at ``/v1/openapi.json``.

These routes say how the server is, never what it knows: no collections, no faces, no keys.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

import custodes
from custodes.api.gate import Gate
from custodes.api.telemetry import Telemetry
from custodes.app import App
from custodes.errors import CustodesError, NotFound
from custodes.operations.packs import Manifest

__all__ = ["create_rest"]


class Health(BaseModel):
    """Whether the server can work."""

    status: str = Field(description="`ok`; a server that can't work answers 503 with a Problem.")
    version: str = Field(description="Version of Custodes.")
    pack: str = Field(description="Model pack of new collections.")
    waiting: int = Field(description="Requests in work or waiting.")


class PackModel(BaseModel):
    """A network of a model pack."""

    role: str
    licence: str
    origin: str
    sha256: str


class Pack(BaseModel):
    """A model pack."""

    id: str
    version: str = Field(description="Rekognition's FaceModelVersion.")
    licence: str
    description: str
    models: list[PackModel]


class Problem(BaseModel):
    """What went wrong, and what to do."""

    error: str
    message: str
    remedy: str


_REMEDY = "/v1/openapi.json lists what there is."


def _problem(status: int, error: CustodesError) -> JSONResponse:
    told = Problem(error=type(error).__name__, message=error.message, remedy=error.remedy)
    return JSONResponse(told.model_dump(), status_code=status)


def _pack(manifest: Manifest) -> Pack:
    return Pack(
        id=manifest.id,
        version=manifest.version,
        licence=manifest.licence,
        description=manifest.description,
        models=[PackModel(role=m.role, licence=m.licence, origin=m.origin, sha256=m.sha256) for m in manifest.models],
    )


def create_rest(app: App, gate: Gate, telemetry: Telemetry) -> FastAPI:
    """Make the ASGI application of the REST API."""
    rest = FastAPI(
        title="Custodes",
        version=custodes.__version__,
        summary="Face recognition in which every use answers to somebody.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )

    @rest.exception_handler(CustodesError)
    async def refuse(_: object, error: CustodesError) -> JSONResponse:
        return _problem(404 if isinstance(error, NotFound) else 503, error)

    @rest.exception_handler(HTTPException)
    async def refuse_route(_: object, error: HTTPException) -> JSONResponse:
        return _problem(error.status_code, NotFound(f"{error.detail}.", remedy=_REMEDY))

    @rest.get("/v1/health", summary="Tell whether the server can work", responses={503: {"model": Problem}})
    async def health() -> Health:
        await gate.run(app.check, inference=False)
        return Health(status="ok", version=custodes.__version__, pack=app.config.vision.pack, waiting=gate.waiting)

    @rest.get("/v1/metrics", summary="Numbers for Prometheus", response_class=Response)
    async def metrics() -> Response:
        telemetry.waiting.set(gate.waiting)
        return Response(telemetry.metrics(), media_type=CONTENT_TYPE_LATEST)

    @rest.get("/v1/packs", summary="List the model packs")
    async def packs() -> list[Pack]:
        return [_pack(m) for m in await gate.run(app.packs.list, inference=False)]

    @rest.get("/v1/packs/{pack_id}", summary="Describe a model pack", responses={404: {"model": Problem}})
    async def pack(pack_id: Annotated[str, Path(max_length=64)]) -> Pack:
        return _pack(await gate.run(lambda: app.packs.get(pack_id), inference=False))

    return rest
