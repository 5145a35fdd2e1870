# SPDX-License-Identifier: Apache-2.0
"""Who is on the photos of a table: by its columns, by the photos' folders, or by its mated pairs."""

from __future__ import annotations

import unicodedata

from custodes.evaluation.scored import Int32
from custodes.evaluation.sheets import NO_VALUES, Fault, Photos, Problems

__all__ = ["Subjects"]

_NO_SUBJECT = Fault("a subject is empty or a word for a missing value", "Name the person, by any word or number.")
_TWO_SUBJECTS = Fault("a photo has two subjects", "Give a photo the same subject in all rows.")
_NO_FOLDER = Fault(
    "a photo lies in no folder, and no column tells its subject", "Put each person's photos in a folder."
)


class Subjects:
    """People, numbered from 0 as they are first named, and who is on which photo.

    Args:
        table: name of the file, for messages.
        photos: that it names.
        before: people of another table, who keep their numbers and are joined by those of this one.

    Attributes:
        table, photos: see above.
        names: of people, by number.
        subjects: who is on each photo, by number; -1 where a problem was told instead.
    """

    def __init__(self, table: str, photos: Photos, before: Subjects | None = None) -> None:
        self.table = table
        self.photos = photos
        self.names: list[str] = [] if before is None else before.names
        self.subjects: list[int] = []
        self._numbers: dict[str, int] = {} if before is None else before._numbers

    def find(self, name: str) -> int:
        """Return the number of a person, or -1."""
        return self._numbers.get(unicodedata.normalize("NFC", name), -1)

    def number(self, name: str) -> int:
        """Return the number of a person, who may be new."""
        name = unicodedata.normalize("NFC", name)  # so that nobody is two people for how an accent is written
        found = self._numbers.setdefault(name, len(self.names))
        if found == len(self.names):
            self.names.append(name)
        return found

    def say(self, photo: int, name: str, row: int, problems: Problems) -> None:
        """Take what a row says about who is on a photo."""
        self.subjects.extend([-1] * (len(self.photos.names) - len(self.subjects)))
        if not name or name.lower() in NO_VALUES:
            problems.add(self.table, _NO_SUBJECT, row, name)
            return
        if photo < 0:
            return
        person, before = self.number(name), self.subjects[photo]
        if before not in (-1, person):
            told = f"{self.photos.names[photo]}: {name}, in row {self.photos.rows[photo]} {self.names[before]}"
            problems.add(self.table, _TWO_SUBJECTS, row, told)
        elif before < 0:
            self.subjects[photo] = person

    def by_folder(self, problems: Problems) -> None:
        """Let the first folder of each photo say who is on it."""
        for photo, row in enumerate(self.photos.rows):
            parts = self.photos.parts(photo)
            if len(parts) < 2:
                problems.add(self.table, _NO_FOLDER, row, self.photos.names[photo])
            self.subjects.append(self.number(parts[0]) if len(parts) > 1 else -1)

    def by_pairs(self, pairs: Int32) -> None:
        """Let mated pairs say which photos show one person."""
        root = list(range(len(self.photos.names)))

        def find(photo: int) -> int:
            while root[photo] != photo:
                root[photo] = photo = root[root[photo]]
            return photo

        for a, b in pairs.tolist():
            root[find(a)] = find(b)
        self.subjects = [self.number(self.photos.names[find(photo)]) for photo in range(len(root))]
