# SPDX-License-Identifier: Apache-2.0
"""Scores are written whole or not at all, for their owner alone, and no spreadsheet runs what is in them."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from custodes.errors import Unavailable
from custodes.evaluation.scorefile import scores_sha256, write_scores


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    """Of its bytes as they are written: quotes, ends of lines, odd names and formulas included."""
    path = tmp_path / "scores.csv"
    for header, rows in (
        (("photo", "score"), [('x,"y"\nz', np.float32(0.1)), ("\udcff.jpg", float("-inf")), ("=1", -0.25)]),
        (("photo",), []),
        ((), []),
    ):
        assert write_scores(path, header, rows) == len(rows)
        assert scores_sha256(header, iter(rows)) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.read_bytes() == b"\r\n"


def test_numbers_stay_numbers(tmp_path: Path) -> None:
    """A score has the digits that give the same float32, a truth is 1 or 0, and what is missing an empty cell."""
    score = np.float32(0.1) + np.float32(0.2)
    path = tmp_path / "scores.csv"
    rows = [("a.jpg", np.int32(3), score, True, None), ("b.jpg", -1, float("-inf"), np.bool_(False), -0.25)]
    assert write_scores(path, ("photo", "subject", "score", "mated", "note"), rows) == 2
    told = read(path)
    assert told[0] == ["photo", "subject", "score", "mated", "note"]
    assert np.float32(told[1][2]) == score
    assert told[1] == ["a.jpg", "3", str(score), "1", ""]
    assert told[2] == ["b.jpg", "-1", "", "0", "-0.25"]


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-2.jpg", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_name_is_no_formula(tmp_path: Path, name: str) -> None:
    """A file's name that a spreadsheet would run, in a row or as a header, is a text that begins with an apostrophe."""
    path = tmp_path / "scores.csv"
    write_scores(path, (name,), [(name,)])
    assert read(path) == [[f"'{name}"], [f"'{name}"]]


def test_names_of_any_bytes_are_written(tmp_path: Path) -> None:
    """Names with commas, quotes, newlines and bytes that are no UTF-8 come out in one field each."""
    path = tmp_path / "scores.csv"
    write_scores(path, ("a", "b"), [('x,"y"\nz', "\udcff.jpg")])
    assert read(path)[1] == ['x,"y"\nz', "\\udcff.jpg"]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    """It names photos and people: nobody else may read it, whatever was there before."""
    path = tmp_path / "scores.csv"
    path.write_text("old")
    path.chmod(0o644)
    write_scores(path, ("a",), [])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "a\n"


def test_nothing_is_left_of_what_fails(tmp_path: Path) -> None:
    """A table that breaks off leaves the old file as it was, and no draft."""
    path = tmp_path / "scores.csv"
    path.write_text("old")

    def rows() -> Iterator[tuple[int]]:
        yield (1,)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write_scores(path, ("a",), rows())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """What can't be written is an error with a reason, not a traceback."""
    with pytest.raises(Unavailable, match=r"scores\.csv can't be written"):
        write_scores(tmp_path / "none" / "scores.csv", ("a",), [])
