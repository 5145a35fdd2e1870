# SPDX-License-Identifier: Apache-2.0
"""What runs here, in a form that changes when a score may: its fingerprint makes evaluations of anything else void."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import orjson

import custodes
from custodes.evaluation.results import Deployed, Network
from custodes.vision.manifest import Calibration
from custodes.vision.pack import Pack
from custodes.vision.session import runtime_version

__all__ = ["SCORING", "deployed", "differences", "sha256_of"]

SCORING = ("detector", "landmarks", "embedder")
"""Roles of the networks that a score depends on."""


def _sha256(value: object) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def sha256_of(calibration: Calibration) -> str:
    """Return the hash of a calibration, with all that it says of itself."""
    return _sha256(asdict(calibration))


def deployed(pack: Pack, detail: int) -> Deployed:
    """Describe a pack as it runs here.

    The fingerprint is the SHA-256 of pack, version, networks, calibration, thresholds, provider and detail as JSON with
    sorted keys.

    Args:
        pack: with the calibration that is in force.
        detail: the setting ``vision.detail``, which decides how small a face is found.

    Raises:
        NotFound: if the pack lacks a network that a score depends on.
    """
    manifest, specs = pack.manifest, [pack.spec(role) for role in SCORING]
    told = {
        "pack": manifest.id,
        "pack_version": manifest.version,
        "networks": [{"role": s.role, "sha256": s.sha256} for s in specs],
        "calibration": sha256_of(pack.calibration),
        "thresholds": _sha256(asdict(manifest.thresholds)),
        "provider": pack.provider,
        "detail": detail,
    }
    return Deployed(
        pack=manifest.id,
        pack_version=manifest.version,
        networks=tuple(Network(s.role, s.sha256) for s in specs),
        calibration=str(told["calibration"]),
        thresholds=str(told["thresholds"]),
        provider=pack.provider,
        detail=detail,
        runtime=runtime_version(),
        software=custodes.__version__,
        fingerprint=_sha256(told),
    )


def differences(measured: Deployed, running: Deployed) -> tuple[str, ...]:
    """Return in a few words each in what two things that run differ, as far as a score depends on it."""
    found = []
    packs = [f"{d.pack} {d.pack_version}" for d in (measured, running)]
    if packs[0] != packs[1]:
        found.append(f"the pack ({packs[0]}, now {packs[1]})")
    ours, now = ({n.role: n.sha256 for n in d.networks} for d in (measured, running))
    found += [f"the {role}" for role in sorted(ours.keys() | now.keys()) if ours.get(role) != now.get(role)]
    if measured.calibration != running.calibration:
        found.append("the scale of similarity")
    if measured.thresholds != running.thresholds:
        found.append("the thresholds of the pack")
    if measured.provider != running.provider:
        found.append(f"what runs the models ({measured.provider}, now {running.provider})")
    if measured.detail != running.detail:
        found.append(f"the setting vision.detail ({measured.detail}, now {running.detail})")
    return tuple(found)
