# SPDX-License-Identifier: Apache-2.0
"""The tree of commands, of which only what somebody asks for is read and made.

To import every noun and to make its commands takes longer than most commands do. Typer makes the whole tree at once;
here a group is Typer's own, and its commands are made as they are looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from importlib import import_module
from typing import Any, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_command_from_info, get_command_name, get_group_from_info
from typer.models import CommandInfo, TyperInfo

__all__ = ["Places", "tree"]

Places: TypeAlias = Mapping[str, str]
"""Where commands are, by name: ``module`` whose ``add_to`` adds it, or ``module:name`` of a group."""

Command: TypeAlias = TyperCommand | TyperGroup


class _Made(Mapping[str, Command]):
    """Commands by their names, each made when it is first looked up."""

    def __init__(self, names: Mapping[str, CommandInfo | TyperInfo | str], root: typer.Typer) -> None:
        self._names = names
        self._root = root
        self._made: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._made:
            self._made[name] = _make(name, self._names[name], self._root)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def tree(root: typer.Typer, places: Places) -> TyperGroup:
    """Return the command of a program that has no commands of its own: those in ``places``, in their order.

    Args:
        root: the program, with a callback.
        places: where its commands are.
    """
    made = get_command(root)
    assert isinstance(made, TyperGroup)
    return _with(made, _Made(places, root))


def _with(group: TyperGroup, commands: Mapping[str, Any]) -> TyperGroup:
    group.commands = commands  # type: ignore[assignment]  # which Typer only reads
    return group


def _make(name: str, what: CommandInfo | TyperInfo | str, root: typer.Typer) -> Command:
    if isinstance(what, str):
        what = _found(name, what)
    if isinstance(what, TyperInfo):
        return _group(what, root)
    made = get_command_from_info(
        what, pretty_exceptions_short=root.pretty_exceptions_short, rich_markup_mode=root.rich_markup_mode
    )
    assert isinstance(made, TyperCommand)
    return made


def _found(name: str, place: str) -> CommandInfo | TyperInfo:
    module, _, attribute = place.partition(":")
    noun = import_module(f"custodes.cli.{module}")
    if attribute:
        return TyperInfo(getattr(noun, attribute), name=name)
    added = typer.Typer()
    noun.add_to(added)
    return _named(added)[name]


def _group(info: TyperInfo, root: typer.Typer) -> TyperGroup:
    """Return a group as Typer makes it, but for its commands."""
    whole = info.typer_instance
    assert whole is not None
    bare, told = copy(whole), copy(info)
    bare.registered_commands, bare.registered_groups, told.typer_instance = [], [], bare
    made = get_group_from_info(
        told,
        pretty_exceptions_short=root.pretty_exceptions_short,
        rich_markup_mode=root.rich_markup_mode,
        suggest_commands=root.suggest_commands,
    )
    return _with(made, _Made(_named(whole), root))


def _named(program: typer.Typer) -> dict[str, CommandInfo | TyperInfo]:
    """Return commands and groups by their names, in Typer's order."""
    found: dict[str, CommandInfo | TyperInfo] = {}
    for command in program.registered_commands:
        assert command.callback is not None
        found[command.name or get_command_name(command.callback.__name__)] = command
    return found | {str(group.name): group for group in program.registered_groups}
