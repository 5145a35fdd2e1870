# SPDX-License-Identifier: Apache-2.0
"""Local calibrations: maps from cosine to similarity that were made on the operator's own data.

A pack has at most one, ``<data>/calibrations/<pack>.json``: JSON rather than TOML, because every text and every float
has one safe way to be written in it. ``calibration`` has the keys that a manifest's has, and the pack's own
similarities with the false-match rates that they stand for: only cosines differ::

    {"form": "custodes-calibration/1", "pack": "custodes-1", "embedder": "<its SHA-256>", "calibration":
     {"measured_on": "...", "knots": [{"cosine": -1.0, "similarity": 0.0}, ...]}}

Invariant: a map in force is nowhere easier than the pack's own. A threshold is a promise ("99" stands for a false-match
rate), and no file in the data folder may break it: one that would, that belongs to another embedder or that can't be
read is refused, and not passed over in favour of the pack's own, which would let more through than was meant. That
somebody deletes it by hand is not noticed here: the fingerprint changes, and with it every evaluation is void.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from custodes.config import Config
from custodes.errors import IntegrityError, Invalid, NotFound, Unavailable
from custodes.vision import manifest as manifests
from custodes.vision.files import write_whole
from custodes.vision.manifest import PACK_ID, Calibration, Manifest

__all__ = ["FORM", "has_local", "read_local", "remove_local", "write_local"]

FORM = "custodes-calibration/1"

_KEYS = ("form", "pack", "embedder", "calibration")
_BYTES = 256_000  # as a manifest
_REMEDY = "custodes calibrate --remove takes it away; then measure again with custodes calibrate."


def read_local(config: Config, manifest: Manifest) -> Calibration | None:
    """Return the local calibration of a pack, or None if there is none.

    Args:
        config: says where the data folder is.
        manifest: of the pack, with what it inherits.

    Raises:
        IntegrityError: if it is damaged, is of another embedder, or is easier than the pack's own anywhere.
        Unavailable: if it can't be read.
    """
    try:
        with _path(config, manifest.id).open("rb") as f:
            raw = f.read(_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise Unavailable(f"The local calibration of pack {manifest.id} can't be read: {e.strerror}.") from e
    try:
        found = _parsed(raw, manifest)
    except Invalid as e:
        raise IntegrityError(
            f"The local calibration of pack {manifest.id} can't be used. {e.message}", remedy=_REMEDY
        ) from e
    return found


def write_local(config: Config, manifest: Manifest, calibration: Calibration) -> None:
    """Keep a calibration for a pack, in place of an earlier one; packs that are opened from now on have it in force.

    Args:
        config: says where the data folder is.
        manifest: of the pack, with what it inherits.
        calibration: see :func:`custodes.evaluation.calibration.stricter`.

    Raises:
        Invalid: if the pack has no embedder, or the calibration is easier than the pack's own anywhere.
        Unavailable: if it can't be written.
    """
    _check(calibration, manifest)
    told = {
        "form": FORM,
        "pack": manifest.id,
        "embedder": _embedder(manifest),
        "calibration": {
            "measured_on": calibration.measured_on,
            "knots": [
                {"cosine": k.cosine, "similarity": k.similarity}
                | ({} if k.false_match_rate is None else {"false_match_rate": k.false_match_rate})
                for k in calibration.knots
            ],
        },
    }
    path = _path(config, manifest.id)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except OSError as e:
        raise Unavailable(f"The local calibration of pack {manifest.id} can't be written: {e.strerror}.") from e


def has_local(config: Config, pack: str) -> bool:
    """Tell whether a pack has a local calibration, of whatever worth."""
    return PACK_ID.fullmatch(pack) is not None and _path(config, pack).exists()


def remove_local(config: Config, pack: str) -> None:
    """Take the local calibration of a pack away; packs that are opened from now on have their own in force.

    Raises:
        NotFound: if there is none.
        Unavailable: if it can't be taken away.
    """
    try:
        if not PACK_ID.fullmatch(pack):
            raise FileNotFoundError
        _path(config, pack).unlink()
    except FileNotFoundError as e:
        raise NotFound(f"There is no local calibration of a pack {pack!r}.") from e
    except OSError as e:
        raise Unavailable(f"The local calibration of pack {pack} can't be taken away: {e.strerror}.") from e


def _path(config: Config, pack: str) -> Path:
    return config.data / "calibrations" / f"{pack}.json"


def _parsed(raw: bytes, manifest: Manifest) -> Calibration:
    """Read what :func:`write_local` wrote.

    Raises:
        Invalid: if it is anything else, or may not be in force for this pack.
    """
    if len(raw) > _BYTES:
        raise Invalid(f"It has more than {_BYTES} bytes.")
    try:
        values = orjson.loads(raw)
    except orjson.JSONDecodeError as e:
        raise Invalid(f"It is no JSON: {e}.") from e
    if not isinstance(values, dict) or set(values) != set(_KEYS):
        raise Invalid(f"It must have the keys {', '.join(_KEYS)} and no others.")
    meant = {"form": FORM, "pack": manifest.id, "embedder": _embedder(manifest)}
    for key, value in meant.items():
        if values[key] != value:
            raise Invalid(f"Expected {key} {value}, got {values[key]!r:.100}.")
    found = manifests.calibration(values["calibration"])
    _check(found, manifest)
    return found


def _embedder(manifest: Manifest) -> str:
    spec = manifest.spec("embedder")
    if spec is None:
        raise Invalid(f"Pack {manifest.id} has no embedder.")
    return spec.sha256


def _check(calibration: Calibration, manifest: Manifest) -> None:
    """Refuse a map that is easier than the pack's own.

    Raises:
        Invalid: if it is, or there is no own.
    """
    own = manifest.calibration
    if own is None:
        raise Invalid(f"Pack {manifest.id} has no embedder, so no calibration.")
    promised = [(k.similarity, k.false_match_rate) for k in own.knots]
    if [(k.similarity, k.false_match_rate) for k in calibration.knots] != promised:
        raise Invalid(
            "Its similarities, or the false-match rates that they stand for, aren't those of the pack's own map."
        )
    easier = calibration.easier_at(own)
    if easier is not None:
        raise Invalid(
            f"At cosine {easier:.4f} the map gives similarity {calibration.similarity(easier):.2f}, more than "
            f"{own.similarity(easier):.2f} of the pack's own; a local map can only be stricter."
        )
