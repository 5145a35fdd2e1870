# SPDX-License-Identifier: Apache-2.0
"""Readers compiled from the shapes of a botocore service model: JSON values in, checked values out.

A reader does what AWS's own framework does, in its two tones. A value of the wrong JSON type ends the reading
with ``SerializationException``; a value of the right type that breaks a constraint is noted as a
violation and the reading goes on, so that the caller learns everything at once. Unknown members are
dropped (an SDK may be newer than the server), ``null`` means absent, numbers become what Java's would (a fraction
for an integer is cut off, an integer too large is clamped), blobs become bytes.

The order keeps a hostile body cheap: lengths come first, a list or blob over its length isn't looked into, and only
so many violations are gathered. For an element of a list or a map that breaks a rule, AWS names the container and
lists all rules of the element.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pybase64
import regex

from custodes.api.aws.errors import serialization_error
from custodes.api.aws.violations import MAX_VIOLATIONS, NOT_NULL, Buffer, Violation, mistyped, move, violation

__all__ = ["MAX_ELEMENTS", "Compiler", "Reader", "Shape"]

MAX_ELEMENTS = 10_000
"""Longest list where the model sets no limit; every list that it does limit is shorter."""
_INSANE_LENGTH = 4096
"""Characters from which on a string gets one reason only."""

Shape = Mapping[str, Any]
"""A shape as botocore's JSON model holds it: ``type`` and, depending on it, ``members``, ``min``, ``pattern`` ..."""


# --- Rules ----------------------------------------------------------------------------------------------------


class _Rule(NamedTuple):
    """A constraint: a predicate whose result is true or false by its truth, and AWS's sentence for it."""

    holds: Callable[[Any], object]
    sentence: str


def _length_rules(shape: Shape) -> list[_Rule]:
    rules = []
    if "max" in shape:
        most = int(shape["max"])
        rules.append(
            _Rule(lambda v: len(v) <= most, f"Member must have length less than or equal to {most}"),
        )
    if "min" in shape:
        least = int(shape["min"])
        rules.append(
            _Rule(lambda v: len(v) >= least, f"Member must have length greater than or equal to {least}"),
        )
    return rules


def _list_rules(shape: Shape) -> list[_Rule]:
    return _length_rules({"max": MAX_ELEMENTS, **shape})


def _range_rules(shape: Shape) -> list[_Rule]:
    rules = []
    if "max" in shape:
        most = shape["max"]
        rules.append(_Rule(lambda v: v <= most, f"Member must have value less than or equal to {most}"))
    if "min" in shape:
        least = shape["min"]
        rules.append(_Rule(lambda v: v >= least, f"Member must have value greater than or equal to {least}"))
    return rules


def _pattern(java: str) -> Callable[[str], object]:
    """Compile a Java pattern. Only ``regex`` knows ``\\p{L}``; the others are faster and ASCII as in Java."""
    return regex.compile(java).fullmatch if r"\p{" in java else re.compile(java, re.ASCII).fullmatch


def _string_rules(shape: Shape) -> list[_Rule]:
    rules = _length_rules(shape)
    if "pattern" in shape:
        rules.append(
            _Rule(
                _pattern(shape["pattern"]),
                f"Member must satisfy regular expression pattern: {shape['pattern']}",
            ),
        )
    if "enum" in shape:
        words = frozenset(shape["enum"])
        rules.append(
            _Rule(words.__contains__, f"Member must satisfy enum value set: [{', '.join(shape['enum'])}]"),
        )
    return rules


def _element_rule(rules: Iterable[_Rule]) -> str:
    return f"[{', '.join([*(rule.sentence for rule in rules), NOT_NULL])}]"


def _broken(rules: Iterable[_Rule], value: object) -> list[str]:
    return [rule.sentence for rule in rules if not rule.holds(value)]


# --- Readers --------------------------------------------------------------------------------------------------


class Reader(Protocol):
    """Turns a JSON value of one shape into a Python value."""

    @property
    def rules(self) -> tuple[_Rule, ...]:
        """The constraints on the value itself."""

    def read(self, value: object, found: list[Violation]) -> Any:
        """Return the value converted; note violations in ``found`` with paths relative to it.

        Raises:
            WireError: SerializationException when the JSON type is wrong.
        """


@dataclass(frozen=True, slots=True)
class _String:
    rules: tuple[_Rule, ...]

    def read(self, value: object, found: list[Violation]) -> object:
        if type(value) is not str:
            raise mistyped(value, "String")
        for holds, sentence in self.rules:
            if not holds(value):
                found.append(violation(value, sentence))
                if len(value) > _INSANE_LENGTH:
                    break
        return value


@dataclass(frozen=True, slots=True)
class _Boolean:
    rules: tuple[_Rule, ...] = ()

    def read(self, value: object, found: list[Violation]) -> object:
        if type(value) is not bool:
            raise mistyped(value, "Boolean")
        return value


@dataclass(frozen=True, slots=True)
class _Integer:
    """A Java ``Integer`` or ``Long``."""

    name: str
    limit: int
    rules: tuple[_Rule, ...]

    def read(self, value: object, found: list[Violation]) -> object:
        if type(value) is not int:
            if type(value) is not float:
                raise mistyped(value, self.name)
            value = int(value)
        value = max(-self.limit - 1, min(self.limit, value))
        found.extend(violation(value, sentence) for sentence in _broken(self.rules, value))
        return value


@dataclass(frozen=True, slots=True)
class _Float:
    """A Java ``Float``; never infinite or NaN, which orjson doesn't read."""

    name: str
    rules: tuple[_Rule, ...]

    def read(self, value: object, found: list[Violation]) -> object:
        if type(value) is not float:
            if type(value) is not int:
                raise mistyped(value, self.name)
            value = float(value)
        found.extend(violation(value, sentence) for sentence in _broken(self.rules, value))
        return value


@dataclass(frozen=True, slots=True)
class _Blob:
    """Base64 to bytes; one that is too long is measured and not decoded."""

    most: int | None
    rules: tuple[_Rule, ...]

    def read(self, value: object, found: list[Violation]) -> object:
        if type(value) is not str:
            raise mistyped(value, "Blob")
        size = len(value) // 4 * 3 - value.endswith("=") - value.endswith("==")
        if self.most is not None and size > self.most:
            found.append(violation(Buffer(size), self.rules[0].sentence))
            return b""
        try:
            decoded = pybase64.b64decode(value, validate=True)
        except ValueError as error:
            raise serialization_error("A blob cannot be decoded: it is not valid Base64") from error
        found.extend(violation(Buffer(size), sentence) for sentence in _broken(self.rules, decoded))
        return decoded


@dataclass(frozen=True, slots=True)
class _ScalarList:
    """A list whose elements have no members; AWS names the list when one of them is wrong."""

    element: Reader
    rules: tuple[_Rule, ...]

    def read(self, value: object, found: list[Violation]) -> object:
        if type(value) is not list:
            raise mistyped(value, "List")
        broken = _broken(self.rules, value)
        if broken:
            found.extend(violation(value, sentence) for sentence in broken)
            return value
        wrong: list[Violation] = []
        elements = []
        for item in value:
            if item is None:
                wrong.append(violation(None, NOT_NULL))
            else:
                elements.append(self.element.read(item, wrong))
            if wrong:
                rule = f"Member must satisfy constraint: {_element_rule(self.element.rules)}"
                found.append(violation(value, rule))
                break
        return elements


@dataclass(frozen=True, slots=True)
class _StructureList:
    """A list of structures; a wrong member is named by its own path, ``polygon.1.member.x``."""

    element: Reader
    rules: tuple[_Rule, ...]

    def read(self, value: object, found: list[Violation]) -> object:
        if type(value) is not list:
            raise mistyped(value, "List")
        broken = _broken(self.rules, value)
        if broken:
            found.extend(violation(value, sentence) for sentence in broken)
            return value
        elements = []
        for number, item in enumerate(value, 1):
            if len(found) >= MAX_VIOLATIONS:
                break
            since = len(found)
            if item is None:
                found.append(violation(None, NOT_NULL))
            else:
                elements.append(self.element.read(item, found))
            if len(found) > since:
                move(found, since, f"{number}.member")
        return elements


@dataclass(frozen=True, slots=True)
class _Map:
    key: Reader
    element: Reader
    rules: tuple[_Rule, ...]

    def read(self, value: object, found: list[Violation]) -> object:
        if type(value) is not dict:
            raise mistyped(value, "Map")
        broken = _broken(self.rules, value)
        result = {}
        if not broken:
            wrong_keys: list[Violation] = []
            wrong: list[Violation] = []
            for key, item in value.items():
                self.key.read(key, wrong_keys)
                if item is None:
                    wrong.append(violation(None, NOT_NULL))
                else:
                    result[key] = self.element.read(item, wrong)
            if wrong_keys:
                broken.append(f"Map keys must satisfy constraint: {_element_rule(self.key.rules)}")
            if wrong:
                broken.append(f"Map value must satisfy constraint: {_element_rule(self.element.rules)}")
        found.extend(violation(value, sentence) for sentence in broken)
        return result


class _Member(NamedTuple):
    name: str
    shown: str  # with a lower first letter, as AWS's messages have it
    required: bool
    read: Callable[[object, list[Violation]], Any]


@dataclass(frozen=True, slots=True)
class _Structure:
    members: tuple[_Member, ...]
    rules: tuple[_Rule, ...] = ()

    def read(self, value: object, found: list[Violation]) -> dict[str, object]:
        if type(value) is not dict:
            raise mistyped(value, "Structure")
        result: dict[str, object] = {}
        for name, shown, required, read in self.members:
            item = value.get(name)
            if item is None:
                if required:
                    found.append(violation(None, NOT_NULL, shown))
                continue
            since = len(found)
            result[name] = read(item, found)
            if len(found) > since:
                move(found, since, shown)
        return result


class Compiler:
    """Compiles the shapes of one service model, each once and when it is first asked for.

    Args:
        shapes: the model's ``shapes`` by name. Recursive shapes are not supported; Rekognition has none.
    """

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self._shapes = shapes
        self._readers: dict[str, Reader] = {}

    def reader(self, name: str) -> Reader:
        """Return the reader of the shape ``name``.

        Raises:
            KeyError: the model has no such shape.
            NotImplementedError: the shape is of a kind that the protocol doesn't have.
        """
        found = self._readers.get(name)
        if found is None:
            found = self._readers[name] = self._compile(self._shapes[name])
        return found

    def _compile(self, shape: Shape) -> Reader:
        match shape["type"]:
            case "structure":
                required = frozenset(shape.get("required", ()))
                return _Structure(
                    tuple(
                        _Member(n, n[0].lower() + n[1:], n in required, self.reader(m["shape"]).read)
                        for n, m in shape["members"].items()
                    )
                )
            case "string":
                return _String(tuple(_string_rules(shape)))
            case "blob":
                return _Blob(shape.get("max"), tuple(_length_rules(shape)))
            case "boolean":
                return _Boolean()
            case "integer":
                return _Integer("Integer", 2**31 - 1, tuple(_range_rules(shape)))
            case "long":
                return _Integer("Long", 2**63 - 1, tuple(_range_rules(shape)))
            case "float" | "double" | "timestamp" as name:
                return _Float(name.capitalize(), tuple(_range_rules(shape)))
            case "list":
                member = shape["member"]["shape"]
                rules = tuple(_list_rules(shape))
                nested = self._shapes[member]["type"] in ("structure", "list", "map")
                return (_StructureList if nested else _ScalarList)(self.reader(member), rules)
            case "map":
                key, element = (self.reader(shape[part]["shape"]) for part in ("key", "value"))
                return _Map(key, element, tuple(_length_rules(shape)))
            case other:
                raise NotImplementedError(f"Shapes of type {other} are not part of JSON 1.1.")
