# SPDX-License-Identifier: Apache-2.0
"""The store of cameras: all settings of one are sealed together, bound to its id.

The columns beside them are there to find rows by; a row whose columns tell another story than its settings was
changed by somebody else and doesn't open. Every method works in the transaction that it is given; what is deleted
leaves the files with the scrub that the caller asks for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import asdict, replace
from typing import Any

import orjson
import sqlalchemy as sa

from custodes.cameras.model import Camera, Retention, Spot, Zone, camera_name
from custodes.cameras.schema import cameras
from custodes.db import Vault, hold
from custodes.db.sealing import Sealer
from custodes.errors import Conflict, IntegrityError, Invalid, NotFound

__all__ = ["CameraStore"]

_ID = re.compile(r"cam-[0-9a-f]{16}")
_REMEDY = "custodes camera list shows all."


class CameraStore:
    """The store of cameras.

    Args:
        vault: seals their settings.
    """

    def __init__(self, vault: Vault) -> None:
        self._sealer = Sealer(vault)
        self._key = vault.derive("camera-name")

    def add(self, c: sa.Connection, camera: Camera) -> None:
        """Keep a new camera.

        Raises:
            Conflict: if the organisation has a camera of this name, in upper or lower case, or there is one of this id.
            Invalid: if its id has no valid form.
        """
        if not _ID.fullmatch(camera.id):
            raise Invalid("A camera's id is cam- and 16 hexadecimal digits.")
        self._claim(c, camera)
        if c.execute(sa.select(cameras.c.id).where(cameras.c.id == camera.id)).first():
            raise Conflict("There is a camera of this id.")
        c.execute(sa.insert(cameras).values(self._row(camera)))

    def get(self, c: sa.Connection, camera: str) -> Camera:
        """Read a camera.

        Raises:
            NotFound: if there is none of this id.
            IntegrityError: if its row was changed by somebody else.
        """
        row = c.execute(sa.select(cameras).where(cameras.c.id == camera)).one_or_none()
        if row is None:
            raise NotFound("There is no such camera.", remedy=_REMEDY)
        return self._read(row)

    def find(self, c: sa.Connection, organisation: str, name_or_id: str) -> Camera:
        """Read an organisation's camera by its id or its name, in upper or lower case.

        Raises:
            NotFound: if it has none of these.
            IntegrityError: if its row was changed by somebody else.
        """
        mine = cameras.c.organisation == organisation
        told = name_or_id.strip()
        for is_it in (cameras.c.id == told, cameras.c.name_hash == self._digest(organisation, told)):
            row = c.execute(sa.select(cameras).where(mine, is_it)).one_or_none()
            if row is not None:
                return self._read(row)
        raise NotFound("There is no such camera.", remedy=_REMEDY)

    def list(
        self, c: sa.Connection, *, organisation: str | None = None, enabled: bool | None = None
    ) -> tuple[Camera, ...]:
        """Read all cameras, or those of an organisation, or those that run (or don't); by name.

        Raises:
            IntegrityError: if a row was changed by somebody else.
        """
        query = sa.select(cameras)
        if organisation is not None:
            query = query.where(cameras.c.organisation == organisation)
        if enabled is not None:
            query = query.where(cameras.c.enabled.is_(enabled))
        return tuple(sorted((self._read(r) for r in c.execute(query)), key=lambda m: (m.name.casefold(), m.id)))

    def put(self, c: sa.Connection, camera: Camera) -> Camera:
        """Change a camera's settings, and return it as it is then: its revision has risen.

        Args:
            c: the transaction.
            camera: as it shall be, with the revision that was read.

        Raises:
            NotFound: if its organisation has no camera of this id.
            Conflict: if it was changed since it was read, or the organisation has another camera of this name.
        """
        mine = (cameras.c.id == camera.id) & (cameras.c.organisation == camera.organisation)
        if not c.execute(sa.select(cameras.c.id).where(mine)).first():
            raise NotFound("There is no such camera.", remedy=_REMEDY)
        self._claim(c, camera)
        changed = replace(camera, revision=camera.revision + 1)
        unchanged = mine & (cameras.c.revision == camera.revision)
        if not c.execute(sa.update(cameras).where(unchanged).values(self._row(changed))).rowcount:
            raise Conflict("The camera was changed meanwhile.", remedy="Read it again, and change that.")
        return changed

    def remove(self, c: sa.Connection, camera: str) -> None:
        """Destroy a camera's settings, and with them its index, motions and events; files of video stay.

        Raises:
            NotFound: if there is none of this id.
        """
        if not c.execute(sa.delete(cameras).where(cameras.c.id == camera)).rowcount:
            raise NotFound("There is no such camera.", remedy=_REMEDY)

    def _digest(self, organisation: str, name: str) -> bytes:
        told = f"{organisation}\0{name.casefold()}"
        return hmac.digest(self._key, told.encode("utf-8", "surrogatepass"), hashlib.sha256)

    def _claim(self, c: sa.Connection, camera: Camera) -> None:
        """Check that no other camera of the organisation has this name; nobody can take it meanwhile."""
        hold(c, f"custodes.cameras/{camera.organisation}")
        same = cameras.c.name_hash == self._digest(camera.organisation, camera_name(camera.name))
        other = (cameras.c.organisation == camera.organisation) & same & (cameras.c.id != camera.id)
        if c.execute(sa.select(cameras.c.id).where(other)).first():
            raise Conflict("There is a camera of this name.", remedy="Give it another name.")

    def _row(self, m: Camera) -> dict[str, object]:
        told = asdict(m)
        told.pop("id")
        told["name"] = camera_name(m.name)
        return {
            "id": m.id,
            "organisation": m.organisation,
            "name_hash": self._digest(m.organisation, told["name"]),
            "enabled": m.enabled,
            "revision": m.revision,
            "created": m.created,
            **self._sealer.seal(m.id, orjson.dumps(told)),
        }

    def _read(self, r: sa.Row[Any]) -> Camera:
        told = orjson.loads(self._sealer.open(r.id, r.secret, r.secret_key))
        told["zones"] = tuple(_zone(z) for z in told["zones"])
        told["retention"] = Retention(**told["retention"])
        told["place"] = None if told["place"] is None else tuple(told["place"])
        read = Camera(id=r.id, **told)
        columns = (r.organisation, r.name_hash, bool(r.enabled), r.revision, r.created)
        sealed = (
            read.organisation,
            self._digest(read.organisation, read.name),
            read.enabled,
            read.revision,
            read.created,
        )
        if columns != sealed:
            raise IntegrityError("A camera's row doesn't agree with its settings.", remedy="Restore it from a backup.")
        return read


def _zone(told: dict[str, Any]) -> Zone:
    return Zone(told["name"], tuple((x, y) for x, y in told["points"]), Spot(told["spot"]))
