# SPDX-License-Identifier: Apache-2.0
"""Rulebooks as values: where rules come from, what they ask of people, which similarity they start from.

A rulebook is a folder of data: ``rulebook.toml`` (what this module reads), ``policies.cedar`` (what
:mod:`custodes.governance.policy` decides by) and ``cases.toml`` (:mod:`custodes.governance.cases`). What a rule can't
enforce is a duty: text that a person attests to, whose id a rule may ask for among the attested ones.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from custodes.errors import Invalid, NotFound
from custodes.governance.cases import Case, read_cases
from custodes.governance.moratorium import Exemption, Moratorium
from custodes.governance.request import OrgClass, Purpose

__all__ = [
    "BASE",
    "RESERVED",
    "Duty",
    "Floor",
    "Form",
    "Rulebook",
    "Source",
    "default_moratoria",
    "floor_of",
    "load",
    "read",
    "schema_text",
    "shipped",
    "standard",
]

BASE = "base"
"""The rulebook that can't be switched off."""

RESERVED = frozenset({"moratorium", "engine"})
"""First parts of rule ids that belong to moratoria and to the engine; no rulebook bears them."""

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_FOLDER = "rulebooks"


@dataclass(frozen=True, slots=True)
class Source:
    """A text that rules come from."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Duty:
    """What software can't enforce.

    Attributes:
        id: begins with the rulebook's; what an attestation names.
        citation: where it comes from.
        text: what is to be done.
        who: who does it and attests to it; ``custodes`` if the software itself meets it.
    """

    id: str
    citation: str
    text: str
    who: str


@dataclass(frozen=True, slots=True)
class Floor:
    """The similarity that a search of these classes and purposes starts from; a caller may raise it."""

    classes: frozenset[OrgClass]
    purposes: frozenset[Purpose]
    similarity: float
    citation: str


@dataclass(frozen=True, slots=True)
class Form:
    """A moratorium that a rulebook has ready; the default one is in force from the start."""

    moratorium: Moratorium
    default: bool


@dataclass(frozen=True, slots=True)
class Rulebook:
    """A set of rules with one origin.

    Attributes:
        id: lower-case name, with which the ids of its rules and duties begin.
        title, summary: for people.
        sources: where it comes from.
        text: its policies in Cedar.
        duties, floors, moratoria: see there.
        worked: reads its worked cases.
        locked: whether it can't be switched off.
        optional: whether it is off until an overseer enables it.
    """

    id: str
    title: str
    summary: str
    sources: tuple[Source, ...]
    text: str
    duties: tuple[Duty, ...] = ()
    floors: tuple[Floor, ...] = ()
    moratoria: tuple[Form, ...] = ()
    worked: Callable[[], tuple[Case, ...]] = field(default=tuple, repr=False, compare=False)
    locked: bool = False
    optional: bool = False

    @property
    def cases(self) -> tuple[Case, ...]:
        """Return the worked cases, which are read when they are first asked for: no decision needs them.

        Raises:
            Invalid: if they are none.
        """
        return self.worked()


# --- Reading -----------------------------------------------------------------------------------------------------


class _Table:
    """A TOML table of which every key is asked for by its type; what is left over is refused."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise Invalid(f"{where} is a table.")
        self._left: dict[str, Any] = dict(value)
        self._where = where

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        """Return a value of its type.

        Raises:
            Invalid: if it is missing without a default, or of another type.
        """
        value = self._left.pop(key, default)
        if type(value) is not kind:
            raise Invalid(f"{self._where}: {key} is missing." if value is None else f"{self._where}: {key} is wrong.")
        return value

    def has(self, key: str) -> bool:
        """Tell whether a key is left."""
        return key in self._left

    def text(self, key: str) -> str:
        """Return a text that isn't empty.

        Raises:
            Invalid: if there is none.
        """
        value: str = self.take(key, str).strip()
        if not value:
            raise Invalid(f"{self._where}: {key} is empty.")
        return value

    def words(self, key: str, kind: type, default: list[str] | None = None) -> frozenset[Any]:
        """Return a set of texts, or of a :class:`~enum.StrEnum`'s values.

        Raises:
            Invalid: if one isn't of that kind.
        """
        value = self.take(key, list, default)
        try:
            if not all(isinstance(v, str) for v in value):
                raise ValueError("not a text")
            return frozenset(kind(v) for v in value)
        except ValueError as e:
            raise Invalid(f"{self._where}: {key}: {e}.") from e

    def tables(self, key: str) -> list[_Table]:
        """Return a list of tables."""
        return [_Table(v, f"{self._where}: {key}") for v in self.take(key, list, [])]

    def end(self) -> None:
        """Check that nothing is left.

        Raises:
            Invalid: if a key is left that nobody asked for.
        """
        if self._left:
            raise Invalid(f"{self._where} has no {', '.join(sorted(self._left))}.")


def _source(table: _Table) -> Source:
    made = Source(table.text("title"), table.text("url"))
    table.end()
    return made


def _duty(table: _Table) -> Duty:
    made = Duty(table.text("id"), table.text("citation"), table.text("text"), table.text("who"))
    table.end()
    return made


def _floor(table: _Table) -> Floor:
    classes, purposes = table.words("classes", OrgClass), table.words("purposes", Purpose)
    made = Floor(classes, purposes, table.take("similarity", float), table.text("citation"))
    table.end()
    if not 0 <= made.similarity <= 100:
        raise Invalid("A floor is a similarity from 0 to 100.")
    return made


def _exemption(table: _Table) -> Exemption:
    classes = table.words("classes", OrgClass)
    purposes = table.words("purposes", Purpose)
    table.end()
    if len(classes) != 1 or not purposes:
        raise Invalid("An exemption is for one class and at least one purpose.")
    return Exemption(next(iter(classes)), purposes)


def _form(table: _Table) -> Form:
    ends = table.take("ends", datetime) if table.has("ends") else None
    moratorium = Moratorium(
        id=table.text("id"),
        classes=table.words("classes", OrgClass),
        jurisdictions=table.words("jurisdictions", str, []),
        actions=table.words("actions", str),
        purposes=table.words("purposes", Purpose, []),
        begins=table.take("begins", datetime),
        ends=ends,
        exempt=tuple(_exemption(t) for t in table.tables("exempt")),
        citation=table.text("citation"),
        explain=table.text("explain"),
        remedy=table.text("remedy"),
    )
    default = table.take("default", bool, False)
    table.end()
    return Form(moratorium, default)


def _checked(book: Rulebook, folder: str) -> Rulebook:
    """Return a rulebook whose parts fit together.

    Raises:
        Invalid: if they don't.
    """
    if book.id != folder:
        raise Invalid(f"The rulebook {book.id} lies in a folder of another name, {folder}.")
    if not _ID.fullmatch(book.id) or book.id in RESERVED:
        raise Invalid("A rulebook's id has lower-case letters, digits and hyphens, and is not reserved.")
    if book.locked and book.optional:
        raise Invalid(f"{book.id}: what can't be switched off isn't optional.")
    duties = [duty.id for duty in book.duties]
    if len(set(duties)) != len(duties) or not all(d.startswith(f"{book.id}.") for d in duties):
        raise Invalid(f"{book.id}: a duty's id is its own and begins with the rulebook's.")
    if len(_forms(book.moratoria)) != len(book.moratoria):
        raise Invalid(f"{book.id}: two moratoria have one id.")
    return book


def _forms(moratoria: Iterable[Form]) -> set[str]:
    return {form.moratorium.id for form in moratoria}


def _cases(rulebook: str, text: str, forms: set[str]) -> tuple[Case, ...]:
    try:
        cases = read_cases(text)
    except Invalid as e:
        raise Invalid(f"Rulebook {rulebook}: {e.message}") from e
    for case in cases:
        if case.moratoria - forms:
            raise Invalid(f"{rulebook}: {case.name}: no moratorium is called {', '.join(sorted(case.moratoria))}.")
    return cases


def read(folder: Traversable) -> Rulebook:
    """Read the rulebook in a folder, with its worked cases.

    Raises:
        Invalid: if a file is missing, or says something that no rulebook has.
    """
    book = _read(folder)
    book.worked()
    return book


def _read(folder: Traversable) -> Rulebook:
    try:
        texts = [(folder / n).read_text(encoding="utf-8") for n in ("rulebook.toml", "policies.cedar", "cases.toml")]
        document = tomllib.loads(texts[0])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise Invalid(f"The rulebook {folder.name} can't be read: {e}.") from e
    table = _Table(document, folder.name)
    try:
        moratoria = tuple(_form(t) for t in table.tables("moratoria"))
        book = Rulebook(
            id=table.text("id"),
            title=table.text("title"),
            summary=table.text("summary"),
            sources=tuple(_source(t) for t in table.tables("sources")),
            text=texts[1],
            duties=tuple(_duty(t) for t in table.tables("duties")),
            floors=tuple(_floor(t) for t in table.tables("floors")),
            moratoria=moratoria,
            worked=cache(lambda: _cases(folder.name, texts[2], _forms(moratoria))),
            locked=table.take("locked", bool, False),
            optional=table.take("optional", bool, False),
        )
        table.end()
    except Invalid as e:
        raise Invalid(f"Rulebook {folder.name}: {e.message}") from e
    return _checked(book, folder.name)


def _shelf() -> Traversable:
    return files("custodes.governance") / _FOLDER


def load(rulebook_id: str) -> Rulebook:
    """Return one of the rulebooks that come with Custodes.

    Raises:
        NotFound: if there is none of this id.
        Invalid: if it is damaged.
    """
    for book in shipped():
        if book.id == rulebook_id:
            return book
    raise NotFound(f"There is no rulebook {rulebook_id!r}.", remedy="custodes rules list names them.")


@cache
def shipped() -> tuple[Rulebook, ...]:
    """Return all rulebooks that come with Custodes, ``base`` first.

    Raises:
        Invalid: if one is damaged.
    """
    names = [f.name for f in _shelf().iterdir() if f.is_dir() and _ID.fullmatch(f.name)]
    return tuple(_read(_shelf() / name) for name in sorted(names, key=lambda name: (name != BASE, name)))


def schema_text() -> str:
    """Return the facts that rules may ask for, as Cedar declares them."""
    return (_shelf() / "schema.cedarschema").read_text(encoding="utf-8")


def standard(rulebooks: Iterable[Rulebook], states: Mapping[str, bool] | None = None) -> tuple[Rulebook, ...]:
    """Return the rulebooks that are in force.

    Args:
        rulebooks: all there are.
        states: which were enabled or disabled, by id; without them, those that are in force from the start.
    """
    told = states or {}
    return tuple(b for b in rulebooks if b.locked or told.get(b.id, not b.optional))


def default_moratoria(rulebooks: Iterable[Rulebook]) -> tuple[Moratorium, ...]:
    """Return the moratoria that are in force from the start."""
    return tuple(form.moratorium for book in rulebooks for form in book.moratoria if form.default)


def floor_of(rulebooks: Iterable[Rulebook], org_class: str, purpose: str) -> float:
    """Return the least similarity from which a search starts if its caller names none; 0 without a floor."""
    floors = (floor for book in rulebooks for floor in book.floors)
    return max((f.similarity for f in floors if org_class in f.classes and purpose in f.purposes), default=0.0)
