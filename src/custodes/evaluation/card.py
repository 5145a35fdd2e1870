# SPDX-License-Identifier: Apache-2.0
"""Model cards (Mitchell et al. 2019): what each network of a pack is, where it comes from, and where it fails.

A pack states it in ``card.toml``, beside its manifest; the file is read strictly, so that a misspelt key is no silent
gap. Licences and origins come from the manifest alone. Of a network without an entry the card says that nothing is
known; of one that a pack inherits it says what the pack says that brought it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from custodes.errors import Invalid
from custodes.vision.manifest import ROLES, Knot, Manifest, ModelSpec

__all__ = ["CARD", "SILENCE", "ModelCard", "NetworkCard", "card_of"]

CARD = "card.toml"
SILENCE = "Its makers say nothing of training data that is known here."
"""What is said of a network that no card tells of."""

_BYTES = 256_000
_STRICT = ConfigDict(extra="forbid")
_Text = Annotated[str, Field(min_length=1, max_length=4000)]


@dataclass(frozen=True, slots=True)
class NetworkCard:
    """One network.

    Attributes:
        role, name: what it is for, and what it is called.
        does: what it does, in a sentence.
        licence, origin, sha256: as the manifest has them.
        training: on what it was trained, as far as that is known.
        limits: where it fails, as far as that was measured.
        sources: where to read on.
    """

    role: str
    name: str
    does: str
    licence: str
    origin: str
    sha256: str
    training: str
    limits: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A pack of networks.

    Attributes:
        pack, version, licence, description: as the manifest has them.
        about: what it does, in the makers' words; empty without a card.
        networks: one for each role that is filled.
        intended, out_of_scope, limits: what it is for, what it isn't for, and where it fails; empty without a card.
        liveness: what it says of whether a living person is there.
        knots: what a similarity means, as the pack states it.
        measured_on: on what that was measured; empty where the scale is provisional.
        stated: whether the pack has a card of its own.
    """

    pack: str
    version: str
    licence: str
    description: str
    about: str
    networks: tuple[NetworkCard, ...]
    intended: tuple[str, ...]
    out_of_scope: tuple[str, ...]
    limits: tuple[str, ...]
    liveness: str
    knots: tuple[Knot, ...]
    measured_on: str
    stated: bool


@checked(frozen=True, slots=True, config=_STRICT)
class _Network:
    name: _Text
    does: _Text
    training: _Text
    limits: tuple[_Text, ...] = ()
    sources: tuple[_Text, ...] = ()


@checked(frozen=True, slots=True, config=_STRICT)
class _Card:
    about: _Text
    intended: tuple[_Text, ...]
    out_of_scope: tuple[_Text, ...]
    limits: tuple[_Text, ...]
    liveness: _Text
    networks: dict[str, _Network] = field(default_factory=dict)


def card_of(manifest: Manifest) -> ModelCard:
    """Return the card of a pack, with what it inherits.

    Raises:
        Invalid: if a ``card.toml`` can't be meant.
    """
    own = _read(manifest.folder, manifest.id)
    cards = {manifest.folder: own}
    for spec in manifest.models:
        if spec.folder not in cards:
            cards[spec.folder] = _read(spec.folder, spec.pack)
    scale = manifest.calibration
    return ModelCard(
        pack=manifest.id,
        version=manifest.version,
        licence=manifest.licence,
        description=manifest.description,
        about=own.about if own else "",
        networks=tuple(_network(spec, cards[spec.folder]) for spec in manifest.models),
        intended=own.intended if own else (),
        out_of_scope=own.out_of_scope if own else (),
        limits=own.limits if own else (),
        liveness=own.liveness if own else "The pack has no card, and Custodes knows of no liveness model in it.",
        knots=scale.knots if scale else (),
        measured_on=scale.measured_on if scale else "",
        stated=own is not None,
    )


def _network(spec: ModelSpec, card: _Card | None) -> NetworkCard:
    told = card.networks.get(spec.role) if card else None
    return NetworkCard(
        role=spec.role,
        name=told.name if told else spec.origin,
        does=told.does if told else f"Fills the role {spec.role}.",
        licence=spec.licence,
        origin=spec.origin,
        sha256=spec.sha256,
        training=told.training if told else SILENCE,
        limits=told.limits if told else (),
        sources=told.sources if told else (),
    )


def _read(folder: Path, pack: str) -> _Card | None:
    """Return the card in a pack's folder, or None where there is none."""
    path = folder / CARD
    try:
        if path.stat().st_size > _BYTES:
            raise Invalid(f"A card has at most {_BYTES} bytes; that of pack {pack} has more.")
        card = TypeAdapter(_Card).validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else e  # an OSError's own words name the whole path
        raise Invalid(f"The card of pack {pack} can't be read: {why}.") from e
    except ValidationError as e:
        first = e.errors(include_input=False, include_url=False)[0]
        raise Invalid(f"The card of pack {pack}: {'.'.join(map(str, first['loc'])) or CARD}: {first['msg']}.") from e
    if strays := sorted(set(card.networks) - set(ROLES)):
        raise Invalid(
            f"The card of pack {pack}: a network's role is one of {', '.join(ROLES)}; got {', '.join(strays)}."
        )
    return card
