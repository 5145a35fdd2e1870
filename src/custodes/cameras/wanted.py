# SPDX-License-Identifier: Apache-2.0
"""What footage may be asked for: closed lists of purposes and offences, a small place, and words that are refused.

A named limit: requests that speak of assembly, strikes or migration are refused by their words
(``refused_words.toml``), and words can be avoided. The two approvers and publicity are the real check.
"""

from __future__ import annotations

import math
import re
import tomllib
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path

import regex

from custodes.cameras.model import Span
from custodes.errors import Invalid

__all__ = ["Area", "Offence", "RequestPurpose", "Wanted", "distance", "mixed_word", "refused_word"]

_MOST_AREA = 1_300_000.0  # square metres: half a square mile, as Ring's requests had it
_LEAST_RADIUS = 100  # metres, so that a place is asked and not one door
_MOST_RADIUS = 643  # what the area comes to
_ALIKE = tuple(regex.compile(rf"\p{{{a}}}") for a in ("Latin", "Cyrillic", "Greek", "Armenian", "Cherokee"))
_EARTH = 6_371_008.8  # metres, the mean radius


class RequestPurpose(StrEnum):
    """What footage may be asked for; the list is closed."""

    MISSING_PERSON = "missing-person"
    WELLBEING_CHECK = "wellbeing-check"
    CRIMINAL_INVESTIGATION = "criminal-investigation"


class Offence(StrEnum):
    """What is investigated; the list is closed, and has nothing of assembly, speech, strikes or residence."""

    NONE = "none"  # for a missing person, and for a wellbeing check
    HOMICIDE = "homicide"
    ASSAULT = "assault"
    SEXUAL_OFFENCE = "sexual-offence"
    DOMESTIC_VIOLENCE = "domestic-violence"
    STALKING = "stalking"
    KIDNAPPING = "kidnapping"
    ROBBERY = "robbery"
    BURGLARY = "burglary"
    THEFT = "theft"
    VEHICLE_THEFT = "vehicle-theft"
    ARSON = "arson"
    CRIMINAL_DAMAGE = "criminal-damage"
    FIREARMS_OFFENCE = "firearms-offence"
    HIT_AND_RUN = "hit-and-run"
    DANGEROUS_DRIVING = "dangerous-driving"
    HATE_CRIME = "hate-crime"
    ANIMAL_CRUELTY = "animal-cruelty"


@dataclass(frozen=True, slots=True)
class Area:
    """A circle on the ground, of 1.3 square kilometres at most.

    Attributes:
        latitude, longitude: of its middle, degrees (WGS 84), to a millionth.
        radius_m: 100..643 metres.
    """

    latitude: float
    longitude: float
    radius_m: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.latitude) and abs(self.latitude) <= 90):
            raise Invalid("A latitude is between -90 and 90 degrees.")
        if not (math.isfinite(self.longitude) and abs(self.longitude) <= 180):
            raise Invalid("A longitude is between -180 and 180 degrees.")
        if self.radius_m < _LEAST_RADIUS or math.pi * self.radius_m**2 > _MOST_AREA:
            raise Invalid(
                f"A place has a radius of {_LEAST_RADIUS} to {_MOST_RADIUS} m (1.3 km2), got {self.radius_m} m.",
                remedy="Ask about a smaller place, if it is too large.",
            )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for.

    Attributes:
        incident: the agency's number of it.
        purpose, offence: of closed lists; an offence is named if and only if a crime is investigated.
        text: what is looked for, in words for the public.
        contact: whom the public may call about it.
        area, span: where and when.
        expires_at: until when it is open.
    """

    incident: str
    purpose: RequestPurpose
    offence: Offence
    text: str
    contact: str
    area: Area
    span: Span
    expires_at: datetime


def distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return metres between two places (latitude and longitude in degrees), along a great circle of a round earth."""
    (la, oa), (lb, ob) = ((math.radians(x), math.radians(y)) for x, y in (a, b))
    half = math.sin((lb - la) / 2) ** 2 + math.cos(la) * math.cos(lb) * math.sin((ob - oa) / 2) ** 2
    return 2 * _EARTH * math.asin(math.sqrt(min(1.0, half)))


@cache
def _refused() -> re.Pattern[str]:
    lists = tomllib.loads((Path(__file__).parent / "refused_words.toml").read_text(encoding="utf-8"))
    words = sorted({w for language in lists.values() for about in language.values() for w in about})
    return re.compile(rf"\b(?:{'|'.join(re.escape(w).replace(re.escape('*'), '[a-z0-9]*') for w in words)})\b")


def refused_word(text: str) -> str:
    """Return a word for which a request is refused, as it is compared; nothing if there is none."""
    parts = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in parts if not unicodedata.category(c).startswith("M")).casefold()
    found = _refused().search(" ".join(re.findall(r"[^\W_]+", bare)))
    return found.group() if found else ""


def mixed_word(text: str) -> str:
    """Return a word with letters of several alphabets that look alike; nothing if there is none."""
    for word in re.findall(r"\w+", text):
        if sum(1 for alphabet in _ALIKE if alphabet.search(word)) > 1:
            return str(word)
    return ""
