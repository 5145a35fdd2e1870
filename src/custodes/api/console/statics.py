# SPDX-License-Identifier: Apache-2.0
"""Style sheets, scripts and pictures: read once, served under a hash of them all, kept for ever by browsers.

One hash stands for all files, so that a script may import another by a relative path.
"""

from __future__ import annotations

import hashlib
from importlib import resources

from fastapi import Response

from custodes.errors import NotFound

__all__ = ["Statics"]

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOREVER = "public, max-age=31536000, immutable"


class Statics:
    """All static files, in memory.

    Attributes:
        digest: of all of them.
    """

    def __init__(self) -> None:
        folder = resources.files(__package__) / "static"
        found = sorted((f for f in folder.iterdir() if f.name[f.name.rfind(".") :] in _TYPES), key=lambda f: f.name)
        self._files = {f.name: f.read_bytes() for f in found}
        sums = (f"{name} {hashlib.sha256(data).hexdigest()}\n" for name, data in self._files.items())
        self.digest = hashlib.sha256("".join(sums).encode()).hexdigest()[:16]

    def url(self, name: str) -> str:
        """Return where a file is served.

        Raises:
            KeyError: if there is none of this name.
        """
        if name not in self._files:
            raise KeyError(name)
        return f"/console/static/{self.digest}/{name}"

    def answer(self, digest: str, name: str) -> Response:
        """Return a file, if it is of this version.

        Raises:
            NotFound: if it isn't.
        """
        if digest != self.digest or name not in self._files:
            raise NotFound("There is no such file.")
        media = _TYPES[name[name.rfind(".") :]]
        return Response(self._files[name], media_type=media, headers={"cache-control": _FOREVER})
