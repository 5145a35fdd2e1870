# SPDX-License-Identifier: Apache-2.0
"""Control photos: people who are known to be nobody of any case, mixed into blind sittings. For administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from custodes.api.console.visits import Visit, Visitor, visiting
from custodes.errors import Conflict, CustodesError, Invalid
from custodes.operations.desk import Origin
from custodes.operations.pictures import PictureSize

__all__ = ["router"]

router = APIRouter(prefix="/console/review/controls")

ImageId = Annotated[str, Path(pattern=r"^img-[0-9a-f]{16}$")]
Uploader = Annotated[Visit, Depends(visiting(100_000_000))]
_HERE = "/console/review/controls"


@router.get("")
async def controls(visit: Visitor) -> Response:
    """List the control photos."""
    return await _show(visit)


async def _show(visit: Visit, error: CustodesError | None = None, status: int = 200) -> Response:
    app, caller = visit.console.app.casework, visit.caller()
    photos = await visit.quick(lambda: app.controls.photos(caller))
    return visit.page("review_controls.html.j2", {"photos": photos, "error": error}, status=status)


@router.post("")
async def add(visit: Uploader) -> Response:
    """Add control photos."""
    app, caller = visit.console.app.casework, visit.caller()
    files = await visit.uploads("photos")
    if not files:
        return await _show(visit, Invalid("Choose at least one photo."), 400)
    added = 0
    for file in files:
        origin = Origin(visit.text("provenance"), visit.text("basis"), visit.text("source"), name=file.name)
        try:
            await visit.inference(lambda data=file.data, origin=origin: app.controls.add(caller, data, origin))  # type: ignore[misc]
        except (Invalid, Conflict) as error:
            told = f"{added} were added before. " if added else ""
            return await _show(visit, Invalid(f"{told}{error.message}", remedy=error.remedy), 400)
        added += 1
    return visit.done(_HERE, f"{added} control photos are added." if added > 1 else "The control photo is added.")


@router.get("/{image}.jpg")
async def picture(visit: Visitor, image: ImageId) -> Response:
    """Show a control photo."""
    app, caller = visit.console.app.casework, visit.caller()
    data = await visit.inference(lambda: app.pictures.of_control(caller, image, PictureSize.SMALL))
    return Response(data, media_type="image/jpeg")


@router.post("/{image}/remove")
async def remove(visit: Visitor, image: ImageId) -> Response:
    """Destroy a control photo."""
    app, caller = visit.console.app.casework, visit.caller()
    await visit.quick(lambda: app.controls.remove(caller, image))
    return visit.done(_HERE, "The control photo is destroyed.")
