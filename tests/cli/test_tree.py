# SPDX-License-Identifier: Apache-2.0
"""The tree of commands: whatever the table says is there, and only what is asked for is read."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.core import TyperCommand, TyperGroup

from custodes.cli import _COMMANDS, program

_READ = """
import sys
from custodes.cli import program
tree = program()
nouns = {name for name in sys.modules if name.startswith("custodes.cli.")}
assert nouns == {"custodes.cli.output", "custodes.cli.tree"}, nouns
tree.commands["keys"].commands["create"]
nouns = {name for name in sys.modules if name.startswith("custodes.cli.")}
assert "custodes.cli.keys" in nouns
assert not nouns & {"custodes.cli.cases", "custodes.cli.rules", "custodes.cli.server"}, nouns
"""


def test_only_what_is_asked_for_is_read() -> None:
    """Until somebody asks no noun is read, and then that one alone, with what it needs."""
    done = subprocess.run([sys.executable, "-c", _READ], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_place_has_its_command(name: str) -> None:
    """A command or a group is where the table says, bears that name, says what it does, and is the same each time."""
    made = program().commands[name]
    assert isinstance(made, TyperGroup if ":" in _COMMANDS[name] else TyperCommand)
    assert made.name == name
    assert made.help
    assert program().commands[name] is made


def test_a_typing_error_is_told_what_was_meant(custodes_here, tmp_path) -> None:
    """In a tree that isn't made as in one that is."""
    done = custodes_here(tmp_path / "data", "colections", "list")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"collections" in done.stderr
    done = custodes_here(tmp_path / "data", "collections", "lst")
    assert (done.returncode, b"list" in done.stderr) == (2, True)
