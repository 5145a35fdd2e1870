# SPDX-License-Identifier: Apache-2.0
"""What the README shows works as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from custodes.errors import NotFound
from custodes.vision.engine import Engine

ROOT = Path(__file__).parents[1]


def _snippets(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _run(snippet: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_client_s_snippet_works(server) -> None:
    """With the server's endpoint and key pasted in, it prints a similarity."""
    [snippet] = [s for s in _snippets("python") if "boto3" in s]
    for shown, real in (
        ("http://127.0.0.1:8420", server.endpoint_url),
        ('"CUST..."', f'"{server.access_key_id}"'),
        ('"..."', f'"{server.secret_access_key}"'),
    ):
        assert shown in snippet
        snippet = snippet.replace(shown, real)
    assert float(_run(snippet)) > 90


def test_the_library_s_snippet_works() -> None:
    """Two photos of one person, from this repository, are alike."""
    [snippet] = [s for s in _snippets("python") if "Engine" in s]
    similarity, cosine = map(float, _run(snippet).split())
    assert similarity > 90
    assert 0.3 < cosine < 1


def test_every_command_that_is_shown_exists(custodes_here, tmp_path: Path) -> None:
    """Each line of the shell snippet that calls custodes names a command."""
    commands = re.findall(r"^custodes ([a-z]+)(?: ([a-z]+)\b(?![./]))?", "\n".join(_snippets("sh")), re.MULTILINE)
    assert len(commands) >= 8
    for noun, verb in commands:
        words = [noun, verb] if noun in ("collections", "faces", "users", "keys", "pack") else [noun]
        assert custodes_here(tmp_path, *words, "--help").returncode == 0, words


def test_the_library_reads_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Engine.default() follows the variables and the TOML file, as the command does."""
    monkeypatch.setenv("CUSTODES_VISION_PACK", "nobody")
    with pytest.raises(NotFound, match="nobody"):
        Engine.default()
    monkeypatch.delenv("CUSTODES_VISION_PACK")
    file = tmp_path / "custodes.toml"
    file.write_text('[vision]\npack = "elsewhere"\n')
    monkeypatch.setenv("CUSTODES_CONFIG", str(file))
    with pytest.raises(NotFound, match="elsewhere"):
        Engine.default()
