# SPDX-License-Identifier: Apache-2.0
"""What the evaluator brings: photos, who is on them, and which are compared or searched for.

Tables are read strictly: all that is wrong with them is told at once, with its rows, and nothing is passed over. Who is
on a photo is told by a column or, without one, by the first folder of its path; see the readers for more. What a reader
of results should know is in ``notes``, which hold no names of people or files.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from custodes.errors import Invalid
from custodes.evaluation.labels import Float64, Groups, Labels, check_columns, read_labels
from custodes.evaluation.marks import MarkSet, read_marks
from custodes.evaluation.pairing import every_pair
from custodes.evaluation.scored import Bool, Int32, People
from custodes.evaluation.sheets import Fault, Photos, Problems, Sheet, open_sheet
from custodes.evaluation.subjects import Subjects

__all__ = ["MarkSet", "PairSet", "Party", "SearchSet", "read_marks", "read_pairs", "read_photos", "read_search"]

Int64 = npt.NDArray[np.int64]

_TRUTHS = {"1": 1, "true": 1, "0": 0, "false": 0}
_FOLD_DIGITS = 6
_BY_FOLDER = "subjects are the first folders of the photos' paths"
_BY_PAIRS = (
    "the table names no subjects, and the photos lie in no folders: a subject is whoever mated pairs join, and each "
    "other photo counts as one of its own, though some may show the same person: intervals may be too narrow"
)
_PEOPLE = "Mend the row, or name who is on each photo: in columns subject_a and subject_b, or by the first folder."

_MATED = Fault("mated is neither 1 nor 0", "Write 1 for two photos of one person, and 0 for those of two.")
_FOLD = Fault("the fold is no whole number", "Write 0, 1, 2 ..., or leave out the column.")
_ITSELF = Fault("a photo is compared with itself", "Take out the row.")
_REPEATED = Fault("two photos are compared twice", "Leave one of the rows.")
_CONTRARY = Fault("two photos are told to be mated and not to be", "Leave the row that is right.")
_MATED_TWO = Fault("mated is 1, and the photos are of two people", _PEOPLE)
_NON_MATED_ONE = Fault("mated is 0, and one person is on both photos", _PEOPLE)
_TWO_FOLDS = Fault("a person is in more than one fold", "Put all rows of a person into one fold.")
_TWICE = Fault("a photo is named twice", "Leave one of the rows.")
_IN_BOTH = Fault("a photo is in the gallery and among the probes", "Take it out of one of the tables.")


@dataclass(frozen=True, slots=True, eq=False)
class PairSet:
    """Photos and which are compared.

    Attributes:
        table: name of the file that names the photos.
        paths, names, rows: for each photo its path, its name in the table, and the row that names it first.
        subject_names: of each person; what the table calls them.
        subjects: ``(p,)`` int32, who is on each photo.
        pairs: ``(n, 2)`` int32, numbers of photos.
        mated: ``(n,)`` bool.
        folds: ``(n,)`` int32, or None.
        groups, taken: see :class:`custodes.evaluation.scored.People`.
        sha256: of each table's bytes.
        notes: for the reader of results.
    """

    table: str
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    rows: tuple[int, ...]
    subject_names: tuple[str, ...]
    subjects: Int32
    pairs: Int32
    mated: Bool
    folds: Int32 | None
    groups: Groups
    taken: Float64 | None
    sha256: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def people(self, enrolled: Bool) -> People:
        """Return who is on the photos, of which those ``enrolled`` have a template."""
        return People(self.subjects, enrolled, self.groups, self.taken)


@dataclass(frozen=True, slots=True, eq=False)
class Party:
    """A gallery, or the probes: for each photo its path, its name in the table, its row, and who is on it."""

    table: str
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    rows: tuple[int, ...]
    subjects: Int32


@dataclass(frozen=True, slots=True, eq=False)
class SearchSet:
    """A gallery and the probes that are searched for in it.

    Attributes:
        gallery, probes: see :class:`Party`. Several photos of a person are one entry of the gallery.
        subject_names: of each person, those of the gallery first.
        gallery_subjects: how many people are in the gallery: numbers below are theirs.
        sha256: of each table's bytes.
        notes: for the reader of results.
    """

    gallery: Party
    probes: Party
    subject_names: tuple[str, ...]
    gallery_subjects: int
    sha256: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def mated(self) -> Bool:
        """``(m,)`` bool, whether the person of each probe is in the gallery."""
        return self.probes.subjects < self.gallery_subjects


# --- Pairs ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Rows:
    """The rows of a table of pairs, as columns of numbers."""

    row: array[int] = field(default_factory=lambda: array("q"))
    photos: array[int] = field(default_factory=lambda: array("i"))
    mated: array[int] = field(default_factory=lambda: array("b"))
    folds: array[int] = field(default_factory=lambda: array("i"))


def read_pairs(
    pairs: Path,
    images: Path,
    *,
    labels: Path | None = None,
    by: Sequence[str] = (),
    taken: str | None = None,
    unlabelled: bool = False,
) -> PairSet:
    """Read a table of pairs: image_a, image_b, mated and, if it likes, fold, subject_a and subject_b.

    Without subjects a person is the first folder of a photo's path; where photos lie in no folders, people are whom
    mated pairs join, which a note says.

    Args:
        pairs: the table.
        images: the folder in which paths start.
        labels: a table with the column subject or image and any others.
        by: its columns whose labels are groups.
        taken: its column that tells when a photo was taken.
        unlabelled: whether there may be people without a label.

    Raises:
        NotFound: if a table or the folder isn't there.
        Invalid: if anything in the tables is wrong; what, in which rows, and what to do.
    """
    check_columns(by, taken, labels is not None)
    sheet = open_sheet(pairs, needed=("image_a", "image_b", "mated"), known=("fold", "subject_a", "subject_b"))
    label_sheet = None if labels is None else _open_labels(labels, by, taken)
    named = sheet.has("subject_a")
    if named != sheet.has("subject_b"):
        raise Invalid(f"{sheet.name} names the subject of one photo alone.", remedy="Name both: subject_a, subject_b.")
    problems, photos = Problems(), Photos(images)
    who = Subjects(sheet.name, photos)
    found = _pair_rows(sheet, who, problems)
    if not found.row:
        problems.check()
        raise Invalid(f"{sheet.name} has no rows.", remedy="Write a row for each pair of photos.")
    numbers = np.array(found.photos, np.int32).reshape(-1, 2)
    mated = np.array(found.mated, np.bool_)
    notes = _whose(who, numbers[mated], named, problems)
    folds = np.array(found.folds, np.int32) if sheet.has("fold") else None
    _check_pairs(who, np.array(found.row, np.int64), numbers, mated, folds, problems)
    told, tables = Labels(), [sheet.sha256]
    if label_sheet is not None:
        told = read_labels(label_sheet, who, by, taken, unlabelled=unlabelled, problems=problems)
        tables.append(label_sheet.sha256)
    problems.check()
    for kind, count in (("mated", mated.sum()), ("non-mated", (~mated).sum())):
        if not count:
            raise Invalid(f"{sheet.name} has no {kind} pairs.", remedy="Errors of both kinds need pairs of both kinds.")
    if folds is not None and len(np.unique(folds)) < 2:
        raise Invalid(f"{sheet.name} has one fold alone.", remedy="Leave out the column fold, or make two folds of it.")
    notes += sheet.unread(("image_a", "image_b", "mated", "fold", "subject_a", "subject_b"))
    return _pair_set(who, numbers, mated, folds, told, tables, notes)


def _pair_set(
    who: Subjects,
    pairs: Int32,
    mated: Bool,
    folds: Int32 | None,
    told: Labels,
    tables: Sequence[str],
    notes: Sequence[str],
) -> PairSet:
    return PairSet(
        table=who.table,
        paths=who.photos.paths(),
        names=tuple(who.photos.names),
        rows=tuple(who.photos.rows),
        subject_names=tuple(who.names),
        subjects=np.array(who.subjects, np.int32),
        pairs=pairs,
        mated=mated,
        folds=folds,
        groups=told.groups,
        taken=told.taken,
        sha256=tuple(tables),
        notes=(*notes, *told.notes),
    )


def _pair_rows(sheet: Sheet, who: Subjects, problems: Problems) -> _Rows:
    """Read pairs; those of which a photo, the truth or the fold can't be meant are told of and left out."""
    found, photos = _Rows(), who.photos
    a, b, mated, fold = (sheet.at(c) for c in ("image_a", "image_b", "mated", "fold"))
    persons = [sheet.at(c) for c in ("subject_a", "subject_b") if sheet.has(c)]
    for row, cells in sheet.rows(problems):
        both = [photos.number(cells[i], sheet.name, row, problems) for i in (a, b)]
        truth = _TRUTHS.get(cells[mated].lower())
        if truth is None:
            problems.add(sheet.name, _MATED, row, cells[mated])
        text = cells[fold] if fold >= 0 else "0"
        whole = text.isascii() and text.isdigit() and len(text) <= _FOLD_DIGITS
        if not whole:
            problems.add(sheet.name, _FOLD, row, text)
        for photo, at in zip(both, persons, strict=False):
            who.say(photo, cells[at], row, problems)
        if truth is not None and whole and min(both) >= 0:
            found.row.append(row)
            found.photos.extend(both)
            found.mated.append(truth)
            found.folds.append(int(text))
    return found


def _whose(who: Subjects, mated: Int32, named: bool, problems: Problems) -> tuple[str, ...]:
    """Find out who is on photos; return a note on how."""
    if named:
        return ()
    if all(len(who.photos.parts(photo)) < 2 for photo in range(len(who.photos.names))):
        who.by_pairs(mated)
        return (_BY_PAIRS,)
    who.by_folder(problems)
    return (_BY_FOLDER,)


def _check_pairs(who: Subjects, row: Int64, pairs: Int32, mated: Bool, folds: Int32 | None, problems: Problems) -> None:
    table, names = who.table, who.photos.names

    def both(i: int) -> str:
        return f"{names[pairs[i, 0]]}, {names[pairs[i, 1]]}"

    itself = pairs[:, 0] == pairs[:, 1]
    for i in np.flatnonzero(itself).tolist():
        problems.add(table, _ITSELF, row[i], names[pairs[i, 0]])
    key = pairs.min(axis=1).astype(np.int64) * len(names) + pairs.max(axis=1)
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    for i in np.flatnonzero((first[which] != np.arange(len(key))) & ~itself).tolist():
        before = int(first[which[i]])
        problems.add(table, _REPEATED if mated[i] == mated[before] else _CONTRARY, row[i], f"as in row {row[before]}")
    people = np.array(who.subjects, np.int32)[pairs]
    known, same = (people >= 0).all(axis=1), people[:, 0] == people[:, 1]
    for i in np.flatnonzero(mated & ~same & ~itself & known).tolist():
        problems.add(table, _MATED_TWO, row[i], " and ".join(who.names[p] for p in people[i]))
    for i in np.flatnonzero(~mated & same & ~itself & known).tolist():
        problems.add(table, _NON_MATED_ONE, row[i], both(i))
    if folds is not None:
        _check_folds(who, row, people, folds, problems)


def _check_folds(who: Subjects, row: Int64, people: Int32, folds: Int32, problems: Problems) -> None:
    person, fold = people.ravel(), np.repeat(folds, 2)
    key = person.astype(np.int64) * 10**_FOLD_DIGITS + fold
    _, first = np.unique(key, return_index=True)
    begun: dict[int, int] = {}
    for at in first[np.argsort(first)].tolist():
        before = begun.setdefault(int(person[at]), at)
        if before != at and person[at] >= 0:
            told = f"{who.names[person[at]]}: fold {fold[at]}, in row {row[before // 2]} fold {fold[before]}"
            problems.add(who.table, _TWO_FOLDS, int(row[at // 2]), told)


def _open_labels(labels: Path, by: Sequence[str], taken: str | None) -> Sheet:
    asked = (*by, *([taken] if taken is not None else []))
    sheet = open_sheet(labels, needed=(), known=("subject", "image"), asked=asked)
    if sheet.has("subject") == sheet.has("image"):
        raise Invalid(
            f"{sheet.name} has {'both a' if sheet.has('image') else 'neither a'} column subject "
            f"{'and' if sheet.has('image') else 'nor'} a column image.",
            remedy="One of them says whom a row is about.",
        )
    if taken is not None and not sheet.has("image"):
        raise Invalid(
            f"{sheet.name} tells when photos were taken, and has no column image.", remedy="Dates are told by photo."
        )
    return sheet


# --- Photos, and searches ---------------------------------------------------------------------------------------------


def read_photos(
    table: Path,
    images: Path,
    *,
    by: Sequence[str] = (),
    taken: str | None = None,
    most: int = 10_000_000,
    seed: int = 1,
    unlabelled: bool = False,
) -> PairSet:
    """Read a table of photos: image and, if it likes, subject and labels; all of them are compared with each other.

    Args:
        table: the table.
        images: the folder in which paths start.
        by, taken, unlabelled: as in :func:`read_pairs`, of the same table.
        most: pairs of either kind; of more so many are drawn, which a note says.
        seed: of the draw.

    Raises:
        NotFound: if the table or the folder isn't there.
        Invalid: if anything in the table is wrong; what, in which rows, and what to do.
    """
    if most < 1:
        raise Invalid(f"At least 1 pair is compared, got {most}.")
    asked = (*by, *([taken] if taken is not None else []))
    check_columns(by, taken, bool(asked))
    problems = Problems()
    sheet = open_sheet(table, needed=("image",), known=("subject",), asked=asked)
    who, notes = _party(sheet, images, problems)
    told = Labels()
    if asked:
        told = read_labels(sheet, who, by, taken, unlabelled=unlabelled, problems=problems, again=True)
    problems.check()
    subjects = np.array(who.subjects, np.int32)
    pairs, mated, drawn = every_pair(subjects, most, seed)
    for kind, count in (("mated", mated.sum()), ("non-mated", (~mated).sum())):
        if not count:
            remedy = "Bring two photos of some person." if kind == "mated" else "Bring photos of two people."
            raise Invalid(f"{sheet.name} has no {kind} pairs.", remedy=remedy)
    notes += (*drawn, *sheet.unread(("image", "subject", *asked)))
    return _pair_set(who, pairs, mated, None, told, [sheet.sha256], notes)


def read_search(gallery: Path, probes: Path, images: Path) -> SearchSet:
    """Read a gallery and probes: two tables with the columns image and, if they like, subject.

    Several photos of a person in the gallery are one entry: the highest score of them counts. A probe whose person
    isn't in the gallery is a non-mated search.

    Args:
        gallery, probes: the tables.
        images: the folder in which paths start.

    Raises:
        NotFound: if a table or the folder isn't there.
        Invalid: if anything in the tables is wrong; what, in which rows, and what to do.
    """
    sheet, other = (open_sheet(table, needed=("image",), known=("subject",)) for table in (gallery, probes))
    if sheet.has("subject") != other.has("subject"):
        raise Invalid("One of the tables names subjects, the other doesn't.", remedy="Add the column subject to both.")
    problems = Problems()
    who, notes = _party(sheet, images, problems)
    people = len(who.names)
    sought, more = _party(other, images, problems, before=who)
    for photo, name in enumerate(sought.photos.names):
        at = who.photos.find(name)
        if at >= 0:
            told = f"row {who.photos.rows[at]} of the gallery {sheet.name}: {name}"
            problems.add(other.name, _IN_BOTH, sought.photos.rows[photo], told)
    problems.check()
    told_notes = [*dict.fromkeys((*notes, *more))]
    told_notes += dict.fromkeys((*sheet.unread(("image", "subject")), *other.unread(("image", "subject"))))
    return SearchSet(
        gallery=_as_party(who),
        probes=_as_party(sought),
        subject_names=tuple(who.names),
        gallery_subjects=people,
        sha256=(sheet.sha256, other.sha256),
        notes=tuple(told_notes),
    )


def _party(
    sheet: Sheet, images: Path, problems: Problems, *, before: Subjects | None = None
) -> tuple[Subjects, tuple[str, ...]]:
    """Read photos and who is on them; people who are known from ``before`` keep their numbers."""
    photos = Photos(images)
    who = Subjects(sheet.name, photos, before)
    image, subject = sheet.at("image"), sheet.at("subject")
    count = 0
    for row, cells in sheet.rows(problems):
        count += 1
        known = len(photos.names)
        photo = photos.number(cells[image], sheet.name, row, problems)
        if photo >= 0 and len(photos.names) == known:
            problems.add(sheet.name, _TWICE, row, f"{photos.names[photo]}, as in row {photos.rows[photo]}")
        elif subject >= 0:
            who.say(photo, cells[subject], row, problems)
    if not count:
        problems.check()
        raise Invalid(f"{sheet.name} has no rows.", remedy="Write a row for each photo.")
    if subject < 0:
        who.by_folder(problems)
        if count > 1 and len(set(who.subjects)) == 1 and not problems:
            raise Invalid(
                f"{sheet.name}: all photos lie in one folder, so that all would be of one person.",
                remedy="Add a column subject, or put each person's photos in a folder.",
            )
    return who, () if subject >= 0 else (_BY_FOLDER,)


def _as_party(who: Subjects) -> Party:
    photos = who.photos
    return Party(who.table, photos.paths(), tuple(photos.names), tuple(photos.rows), np.array(who.subjects, np.int32))
