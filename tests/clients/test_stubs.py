# SPDX-License-Identifier: Apache-2.0
"""A typed program (``typed_session.py``): what boto3's stubs promise is what the server keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "typed_session.py"


def test_typed_program_checks(tmp_path) -> None:
    """mypy finds nothing to say about the program, in its strict mode."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", PROGRAM],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_typed_program_runs(server, people, tmp_path) -> None:
    """The program runs against the server, and finds whom it enrolled."""
    (tmp_path / "ann.jpg").write_bytes(people.ann)
    done = subprocess.run(
        [
            *(sys.executable, PROGRAM, server.endpoint_url, server.region),
            *(server.access_key_id, server.secret_access_key, tmp_path / "ann.jpg"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr
