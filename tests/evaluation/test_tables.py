# SPDX-License-Identifier: Apache-2.0
"""Tables of pairs, photos, searches and marks, good ones and all kinds of bad ones; no photo is decoded here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from custodes.errors import Invalid, NotFound
from custodes.evaluation import sheets
from custodes.evaluation.pairing import every_pair
from custodes.evaluation.scored import NOBODY
from custodes.evaluation.tables import PairSet, SearchSet, read_marks, read_pairs, read_photos, read_search

PEOPLE = {"ann": 3, "bob": 2, "cat": 2, "dan": 1}
GOOD = "image_a,image_b,mated\nann/1.jpg,ann/2.jpg,1\nbob/1.jpg,bob/2.jpg,true\nann/1.jpg,bob/1.jpg,0\n"


class Room:
    """A folder with photos, and tables that are written for a test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = root / "images"
        for person, count in PEOPLE.items():
            (self.images / person).mkdir(parents=True)
            for i in range(1, count + 1):
                (self.images / person / f"{i}.jpg").write_bytes(b"a photo")
        for i in range(1, 7):
            (self.images / f"{i}.png").write_bytes(b"a photo")

    def table(self, text: str | bytes, name: str = "pairs.csv") -> Path:
        path = self.root / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def pairs(self, text: str | bytes, **more: object) -> PairSet:
        return read_pairs(self.table(text), self.images, **more)

    def labelled(self, labels: str, text: str = GOOD, **more: object) -> PairSet:
        return self.pairs(text, labels=self.table(labels, "labels.csv"), **more)

    def search(self, gallery: str, probes: str) -> SearchSet:
        return read_search(self.table(gallery, "gallery.csv"), self.table(probes, "probes.csv"), self.images)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def refusal(call: Callable[[], object]) -> str:
    """Return what a refusal says."""
    with pytest.raises(Invalid) as caught:
        call()
    assert caught.value.remedy
    return caught.value.diagnostics()


# --- Pairs ------------------------------------------------------------------------------------------------------------


def test_pairs_are_read_with_people_by_folder(room: Room) -> None:
    """Photos are numbered as they are named, and a person is the first folder."""
    data = room.pairs(GOOD)
    assert data.names == ("ann/1.jpg", "ann/2.jpg", "bob/1.jpg", "bob/2.jpg")
    assert data.paths[2] == room.images / "bob" / "1.jpg"
    assert data.rows == (2, 2, 3, 3)
    assert data.subject_names == ("ann", "bob")
    assert data.subjects.tolist() == [0, 0, 1, 1]
    assert data.pairs.tolist() == [[0, 1], [2, 3], [0, 2]]
    assert data.mated.tolist() == [True, True, False]
    assert (data.folds, data.taken, data.groups) == (None, None, {})
    assert data.notes == ("subjects are the first folders of the photos' paths",)
    assert data.people(np.ones(4, np.bool_)).count == 2


def test_what_a_spreadsheet_adds_does_no_harm(room: Room) -> None:
    """A byte-order mark, blank lines, line ends, other cases and unknown columns are read; a note counts those."""
    rows = (
        "\ufeff Image_A ,image_b,MATED,remark,",
        "./ann/1.jpg,ann//2.jpg,TRUE,x,",
        "",
        "ann/1.jpg, bob/1.jpg ,False,,7",
    )
    data = room.pairs("".join(f"{row}\r\n" for row in rows))
    assert data.names == ("ann/1.jpg", "ann/2.jpg", "bob/1.jpg")
    assert data.rows == (2, 2, 4)
    assert data.notes[-1] == "columns of the table that aren't read: 2"


def test_people_by_columns(room: Room) -> None:
    """Columns go before folders."""
    text = "image_a,image_b,mated,subject_a,subject_b\nann/1.jpg,bob/1.jpg,1,7,7\nann/1.jpg,ann/2.jpg,0,7,8\n"
    data = room.pairs(text)
    assert (data.subject_names, data.subjects.tolist(), data.notes) == (("7", "8"), [0, 0, 1], ())


def test_an_accent_makes_nobody_two_people(room: Room) -> None:
    """However it is written, as one character or as two; nor one group two."""
    text = "image,subject,sex\n1.png,Jos\u00e9,m\u00e9\n2.png,Jose\u0301,me\u0301\n3.png,ann,f\n"
    data = read_photos(room.table(text), room.images, by=("sex",))
    assert data.subject_names == ("Jos\u00e9", "ann")
    assert data.groups["sex"][0] == ("f", "m\u00e9")


def test_people_by_pairs(room: Room) -> None:
    """Without folders and columns people are whom mated pairs join, and a note says so."""
    data = room.pairs("image_a,image_b,mated\n1.png,2.png,1\n3.png,2.png,1\n4.png,1.png,0\n5.png,6.png,0\n")
    assert data.names == ("1.png", "2.png", "3.png", "4.png", "5.png", "6.png")
    assert len(set(data.subjects[:3].tolist())) == 1
    assert len(set(data.subjects.tolist())) == len(data.subject_names) == 4
    assert "each other photo counts as one of its own" in data.notes[0]
    told = refusal(lambda: room.pairs("image_a,image_b,mated\n1.png,2.png,1\n2.png,3.png,1\n1.png,3.png,0\n"))
    assert "mated is 0, and one person is on both photos: row 4 (1.png, 3.png)" in told


HEAD = "image_a,image_b,mated\n"
SUBJECTS = "image_a,image_b,mated,subject_a,subject_b\n"
FOLDS = "fold,image_a,image_b,mated\n"
BAD_PAIRS = {
    "no photos": (
        HEAD + "ann/1.jpg,ann/9.jpg,1\nzoe/1.jpg,ann/9.jpg,0\nann/1.jpg,zoe/1.jpg,0\n",
        "pairs.csv: a photo isn't there, or can't be read: row 2 (ann/9.jpg), row 3 (zoe/1.jpg).",
    ),
    "a folder": (HEAD + "ann/1.jpg,ann,1\n", "isn't there, or can't be read: row 2 (ann)"),
    "a name too long": (HEAD + f"ann/1.jpg,{'x' * 5000},1\n", f"isn't there, or can't be read: row 2 ({'x' * 200}...)"),
    "absolute": (HEAD + "/etc/passwd,ann/1.jpg,0\n", "lies outside the folder of images: row 2 (/etc/passwd)"),
    "dots": (HEAD + "ann/1.jpg,ann/../../x.jpg,0\n", "lies outside the folder of images: row 2 (ann/../../x.jpg)"),
    "nameless": (HEAD + "ann/1.jpg,,0\n.,ann/1.jpg,1\n", "no photo is named: row 2, row 3 (.)"),
    "not mated": (
        HEAD + "ann/1.jpg,ann/2.jpg,1\nann/1.jpg,ann/2.jpg,yes\nann/1.jpg,bob/1.jpg,\n",
        "mated is neither 1 nor 0: row 3 (yes), row 4.",
    ),
    "ragged": (
        HEAD + "ann/1.jpg,ann/2.jpg\nann/1.jpg,ann/2.jpg,1\nann/1.jpg,bob/1.jpg,0,0\n",
        "more or fewer cells than the heading: row 2 (2 instead of 3), row 4 (4 instead of 3)",
    ),
    "NUL": (GOOD + "ann/1\0.jpg,bob/1.jpg,0\n", "a cell holds a NUL byte: row 5"),
    "NUL in the heading": (GOOD.replace("mated", "mat\0ed"), "row 1 holds a NUL byte"),
    "quotes": (HEAD + 'ann/1.jpg,"ann/2.jpg,1\n', "row 2 is no CSV"),
    "Latin": (
        GOOD.encode() + "zoë/1.jpg,ann/1.jpg,0\n".encode("latin-1"),
        "line 5 is no UTF-8. Save the table as CSV in UTF-8",
    ),
    "UTF-16": (GOOD.encode("utf-16"), "line 1 is no UTF-8"),
    "empty": (
        "",
        "pairs.csv has no column image_a and no column image_b and no column mated. Its first row is empty, and should",
    ),
    "blank": ("\n" + GOOD, "no column mated. Its first row is empty, and should name the columns."),
    "no rows": (HEAD, "pairs.csv has no rows"),
    "a column too few": ("image_a,image_b\nann/1.jpg,ann/2.jpg\n", "no column mated. Its first row names the columns"),
    "semicolons": (
        GOOD.replace(",", ";"),
        "pairs.csv: its cells are parted by semicolons. Save the table as CSV in UTF-8, with commas between cells",
    ),
    "tabs": (GOOD.replace(",", "\t"), "its cells are parted by tabs. Save the table as CSV"),
    "semicolons and quotes": (
        '"image_a";"image_b"\n',
        "row 1 is no CSV: ',' expected after '\"'. Save the table as CSV",
    ),
    "twice": ("image_a,image_b,mated,Mated\nann/1.jpg,ann/2.jpg,1,1\n", "row 1 names a column twice: mated"),
    "a slip": (
        FOLDS.replace("fold", "folds") + "1,ann/1.jpg,ann/2.jpg,1\n",
        "a column folds, which isn't known and may be meant for fold",
    ),
    "another slip": (
        "image_a,image_b,mated,Subject A,SubjectB\n",
        "a column Subject A, which isn't known and may be meant for subject_a",
    ),
    "one subject": ("image_a,image_b,mated,subject_a\nann/1.jpg,ann/2.jpg,1,ann\n", "the subject of one photo alone"),
    "mated and two": (
        HEAD + "ann/1.jpg,bob/1.jpg,1\n",
        "mated is 1, and the photos are of two people: row 2 (ann and bob)",
    ),
    "not mated and one": (
        GOOD + "ann/1.jpg,ann/3.jpg,0\n",
        "mated is 0, and one person is on both photos: row 5 (ann/1.jpg, ann/3.jpg)",
    ),
    "itself": (GOOD + "ann/3.jpg,ann/3.jpg,1\n", "a photo is compared with itself: row 5 (ann/3.jpg)"),
    "repeated": (GOOD + "ann/2.jpg,ann/1.jpg,1\n", "two photos are compared twice: row 5 (as in row 2)"),
    "contrary": (GOOD + "ann/2.jpg,ann/1.jpg,0\n", "told to be mated and not to be: row 5 (as in row 2)"),
    "two folds": (
        FOLDS + "0,ann/1.jpg,ann/2.jpg,1\n1,bob/1.jpg,bob/2.jpg,1\n1,bob/1.jpg,ann/3.jpg,0\n",
        "a person is in more than one fold: row 4 (ann: fold 1, in row 2 fold 0)",
    ),
    "no fold": (FOLDS + ",ann/1.jpg,ann/2.jpg,1\n1.5,bob/1.jpg,bob/2.jpg,1\n", "no whole number: row 2, row 3 (1.5)"),
    "one fold": (FOLDS + "0,ann/1.jpg,ann/2.jpg,1\n0,bob/1.jpg,ann/2.jpg,0\n", "pairs.csv has one fold alone"),
    "none mated": (HEAD + "ann/1.jpg,bob/1.jpg,0\n", "pairs.csv has no mated pairs"),
    "all mated": (HEAD + "ann/1.jpg,ann/2.jpg,1\n", "pairs.csv has no non-mated pairs"),
    "two subjects": (
        SUBJECTS + "ann/1.jpg,ann/2.jpg,1,a,a\nann/1.jpg,bob/1.jpg,0,c,b\n",
        "a photo has two subjects: row 3 (ann/1.jpg: c, in row 2 a)",
    ),
    "no subject": (
        SUBJECTS + "ann/1.jpg,ann/2.jpg,1,,a\nann/3.jpg,bob/1.jpg,0,NaN,b\n",
        "a subject is empty or a word for a missing value: row 2, row 3 (NaN)",
    ),
    "no folder": (HEAD + "1.png,ann/1.jpg,0\n", "lies in no folder, and no column tells its subject: row 2 (1.png)"),
}


@pytest.mark.parametrize("name", BAD_PAIRS)
def test_a_bad_table_of_pairs_is_refused_with_its_rows(room: Room, name: str) -> None:
    """The message names file, rows and kind, and says what to do."""
    text, says = BAD_PAIRS[name]
    assert says in refusal(lambda: room.pairs(text))


def test_all_that_is_wrong_is_told_at_once(room: Room) -> None:
    """Kinds are told side by side; of a kind twenty rows are named, and the rest are counted."""
    rows = "".join(f"ann/1.jpg,none/{i}.jpg,0\n" for i in range(30))
    told = refusal(lambda: room.pairs(HEAD + rows + "ann/1.jpg,bob/1.jpg,maybe\n")).splitlines()
    assert len(told) == 2
    assert "row 21 (none/19.jpg), and 10 more." in told[0]
    assert "row 22" not in told[0]
    assert "Put it into the folder" in told[0]
    assert told[1] == (
        "pairs.csv: mated is neither 1 nor 0: row 32 (maybe). "
        "Write 1 for two photos of one person, and 0 for those of two."
    )


def test_a_missing_photo_hides_no_other_fault(room: Room) -> None:
    """Faults of the other rows, of people, folds and labels are told with it, and no fault that isn't one."""
    (room.images / "ann" / "out.jpg").symlink_to(room.table("secret", "secret.jpg"))
    rows = (
        "ann/1.jpg,ann/2.jpg,1,0\nann/1.jpg,ann/out.jpg,1,0\nbob/1.jpg,bob/2.jpg,1,1\nann/1.jpg,bob/1.jpg,1,0\n"
        "cat/1.jpg,cat/1.jpg,1,1\nann/2.jpg,ann/1.jpg,1,0\ncat/1.jpg,cat/2.jpg,1,x\n"
    )
    labels = "subject,sex\nann,f\nbob,n/a\nann,m\n"
    told = refusal(lambda: room.labelled(labels, "image_a,image_b,mated,fold\n" + rows, by=("sex",))).splitlines()
    for line, says in zip(
        told,
        (
            "pairs.csv: a photo lies outside the folder of images: row 3 (ann/out.jpg). Write paths",
            "pairs.csv: the fold is no whole number: row 8 (x). Write 0",
            "pairs.csv: a photo is compared with itself: row 6 (cat/1.jpg). Take out",
            "pairs.csv: two photos are compared twice: row 7 (as in row 2). Leave one",
            "pairs.csv: mated is 1, and the photos are of two people: row 5 (ann and bob). Mend",
            "pairs.csv: a person is in more than one fold: row 5 (bob: fold 0, in row 4 fold 1). Put",
            "labels.csv: a label is a word for a missing value: row 3 (column sex: n/a). Write what",
            "labels.csv: a person has two labels in one column: row 4 (ann: m, in row 2 f). Give",
            "pairs.csv: a person isn't in the table of labels: row 4 (bob), row 6 (cat). Add them",
        ),
        strict=True,
    ):
        assert line.startswith(says), line


def test_a_photo_that_is_missing_makes_no_faults_of_its_own(room: Room) -> None:
    """Neither of people whom only its rows would join or label, nor of rows that are read a second time."""
    for call in (
        lambda: room.pairs(HEAD + "1.png,2.png,1\n9.png,2.png,1\n9.png,3.png,1\n1.png,4.png,0\n"),
        lambda: room.labelled("image,sex\nann/9.jpg,f\n", HEAD + "ann/1.jpg,ann/9.jpg,1\n", by=("sex",)),
        lambda: room.pairs(SUBJECTS + "ann/9.jpg,ann/1.jpg,1,ann,ann\n1.png,ann/1.jpg,0,bob,ann\n"),
        lambda: read_photos(
            room.table("image,subject,sex\nann/9.jpg,ann,f\nann/1.jpg,ann,\n"), room.images, by=["sex"]
        ),
    ):
        told = refusal(call).splitlines()
        assert len(told) == 1, told
        assert "isn't there, or can't be read" in told[0]
    text = "image,subject,sex\nann/1.jpg,ann\nann/2.jpg,,f\nbob/1.jpg,bob,NaN\n"
    told = refusal(lambda: read_photos(room.table(text), room.images, by=("sex",))).splitlines()
    assert [line.split(": ")[1] for line in told] == [
        "a row has more or fewer cells than the heading",
        "a subject is empty or a word for a missing value",
        "a label is a word for a missing value",
    ]


def test_hostile_names_are_told_in_one_printable_line(room: Room) -> None:
    """What can't be printed is written out."""
    told = refusal(lambda: room.pairs(HEAD + '"ann/\x1b[31m\nx.jpg",ann/1.jpg,1\n'))
    assert r"row 2 (ann/\x1b[31m\x0ax.jpg)" in told


def test_a_link_may_not_lead_out_of_the_folder(room: Room) -> None:
    """One that stays inside is followed; the folder itself may be a link."""
    secret = room.table("secret", "secret.jpg")
    (room.images / "ann" / "out.jpg").symlink_to(secret)
    (room.images / "eve").symlink_to(room.root)
    (room.images / "bob" / "in.jpg").symlink_to(room.images / "bob" / "1.jpg")
    (room.images / "bob" / "loop.jpg").symlink_to(room.images / "bob" / "loop.jpg")
    text = (
        HEAD + "ann/1.jpg,ann/out.jpg,1\nann/1.jpg,eve/secret.jpg,0\nbob/1.jpg,bob/in.jpg,1\nbob/2.jpg,bob/loop.jpg,1\n"
    )
    told = refusal(lambda: room.pairs(text))
    assert "outside the folder of images: row 2 (ann/out.jpg), row 3 (eve/secret.jpg)." in told
    assert "isn't there, or can't be read: row 5 (bob/loop.jpg)" in told
    (room.root / "link").symlink_to(room.images)
    assert len(read_pairs(room.table(GOOD), room.root / "link").names) == 4


def test_a_pipe_and_a_huge_file_are_no_photos(room: Room) -> None:
    """Neither is opened."""
    os.mkfifo(room.images / "ann" / "pipe.jpg")
    with (room.images / "ann" / "huge.jpg").open("wb") as file:
        file.truncate(2**40)
    told = refusal(lambda: room.pairs(HEAD + "ann/1.jpg,ann/pipe.jpg,1\nann/1.jpg,ann/huge.jpg,1\n"))
    assert "isn't there, or can't be read: row 2 (ann/pipe.jpg)" in told
    assert "has more than 200,000,000 bytes: row 3 (ann/huge.jpg)" in told


def test_tables_have_limits(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of bytes, rows and columns."""
    monkeypatch.setattr(sheets, "_ROWS", 2)
    assert "pairs.csv has more than 2 rows" in refusal(lambda: room.pairs(GOOD))
    with pytest.raises(Invalid, match="more than 1000 columns"):
        room.pairs(",".join(f"c{i}" for i in range(1001)))
    monkeypatch.setattr(sheets, "_BYTES", len(GOOD) - 1)
    assert f"pairs.csv has more than {len(GOOD) - 1} bytes" in refusal(lambda: room.pairs(GOOD))


def test_what_is_not_there_is_not_found(room: Room) -> None:
    """Of tables and of the folder."""
    for call in (
        lambda: read_pairs(room.root / "none.csv", room.images),
        lambda: read_pairs(room.images, room.images),
        lambda: read_pairs(room.table(GOOD), room.root / "none"),
        lambda: room.pairs(GOOD, labels=room.root / "none.csv", by=("sex",)),
    ):
        with pytest.raises(NotFound):
            call()


def test_what_is_of_the_other_kind_is_told_so(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder where a table is meant, a table where the folder is, and what is neither."""
    table = room.table(GOOD)
    os.mkfifo(room.root / "pipe")
    monkeypatch.chdir(room.root)
    for first, second, says in (
        (room.images, table, f"{room.images} is a folder, not a table."),
        (Path(), room.images, ". is a folder, not a table."),
        (table, Path("pairs.csv"), "pairs.csv is a file, not a folder."),
        (Path("pipe"), room.images, "pipe is a pipe or a device, not a table."),
        (Path("none.csv"), room.images, "There is no table none.csv."),
        (table, Path("no\0ne"), "There is no folder no\\x00ne."),
    ):
        with pytest.raises(NotFound) as caught:
            read_pairs(first, second)
        assert caught.value.message == says


# --- Labels -----------------------------------------------------------------------------------------------------------


def test_labels_are_of_people(room: Room) -> None:
    """By subject or by image; rows about others are counted in a note."""
    data = room.labelled("subject,sex,age\nann,f,old\nbob,m,old\nzoe,f,old\n", by=("sex", "age"))
    assert data.groups["sex"][0] == ("f", "m")
    assert data.groups["sex"][1].tolist() == [0, 1]
    assert data.groups["age"][0] == ("old",)
    assert "rows of the table of labels that are about others, and weren't used: 1" in data.notes
    assert len(data.sha256) == 2
    by_image = room.labelled("image,sex\n./ann/1.jpg,f\nann/2.jpg,f\nbob/1.jpg,m\nbob/2.jpg,m\n", by=("sex",))
    assert by_image.groups["sex"][1].tolist() == [0, 1]


def test_people_without_a_label_are_in_no_group_if_there_may_be_some(room: Room) -> None:
    """They are counted in a note."""
    data = room.labelled("subject,sex\nann,f\nbob,\n", by=("sex",), unlabelled=True)
    assert data.groups["sex"][1].tolist() == [0, NOBODY]
    assert "people without a label in the column sex: 1 of 2" in data.notes


BAD_LABELS = {
    "absent": ("subject,sex\nann,f\n", "pairs.csv: a person isn't in the table of labels: row 3 (bob)"),
    "empty": ("subject,sex\nann,f\nbob,\n", "labels.csv: a person's label is empty: row 3 (column sex: bob)"),
    "NaN": (
        "subject,sex\nann,NaN\nbob,null\nzoe,N/A\ndan,None\n",
        "a word for a missing value: row 2 (column sex: NaN), row 3 (column sex: null), row 4 (column sex: N/A), row 5",
    ),
    "two": (
        "image,sex\nann/1.jpg,f\nann/2.jpg,m\nbob/1.jpg,m\n",
        "a person has two labels in one column: row 3 (ann: m, in row 2 f)",
    ),
    "long": (f"subject,sex\nann,{'f' * 101}\nbob,a\x07b\n", "can't be printed: row 2"),
    "both keys": ("subject,image,sex\nann,ann/1.jpg,f\n", "both a column subject and a column image"),
    "no key": ("name,sex\nann,f\n", "neither a column subject nor a column image"),
    "no such column": (
        "subject,gender\nann,f\nbob,m\n",
        "no column sex. Its first row names the columns; there are: subject, gender.",
    ),
    "nobody": ("subject,sex\nzoe,f\n", "row 2 (ann), row 3 (bob)"),
    "ragged": ("subject,sex\nann,f\nbob\n", "labels.csv: a row has more or fewer cells than the heading: row 3"),
}


@pytest.mark.parametrize("name", BAD_LABELS)
def test_bad_labels_are_refused_with_their_rows(room: Room, name: str) -> None:
    """A person without a group would make a denominator smaller, and a word for nothing would be a group."""
    text, says = BAD_LABELS[name]
    assert says in refusal(lambda: room.labelled(text, by=("sex",)))


def test_labels_that_differ_by_letters_or_spaces_alone_are_taken_for_a_slip(room: Room) -> None:
    """``A`` and ``a`` would be two groups; both are named, with their rows, whosever they are."""
    text = "subject,sex,place\nann,F,New York\nbob,f,new  york\n"
    told = refusal(lambda: room.labelled(text, by=("sex", "place")))
    assert "labels.csv: two labels differ by nothing but small letters or spaces: " in told
    assert "row 3 (column sex: f, in row 2 F), row 3 (column place: new  york, in row 2 New York)." in told
    assert "Write a group the same in all its rows" in told
    told = refusal(lambda: room.labelled("subject,sex\nann,f\nbob,m\nann,F\n", by=("sex",)))
    assert told.startswith("labels.csv: two labels differ by nothing but small letters or spaces: row 4 (column sex: F")
    assert "two labels in one column" not in told
    fine = room.labelled("subject,age\nann,18-25\nbob,18+25 \nzoe,18-25\ndan,18+25\n", by=("age",))
    assert fine.groups["age"][0] == ("18+25", "18-25")
    fine = room.labelled("subject,sex\nann,f\nbob,m\nzoe,F\n", by=("sex",))
    assert fine.groups["sex"][0] == ("f", "m"), "those of others don't count"


def test_words_for_nothing_are_no_labels_even_if_there_may_be_people_without(room: Room) -> None:
    """Only an empty cell is."""
    told = refusal(lambda: room.labelled("subject,sex\nann,f\nbob,nan\n", by=("sex",), unlabelled=True))
    assert "row 3 (column sex: nan)" in told
    told = refusal(lambda: room.labelled("subject,sex\nann,\n", by=("sex",), unlabelled=True))
    assert "nobody has a label in the column sex" in told


def test_a_column_of_names_is_no_column_of_groups(room: Room) -> None:
    """More than fifty labels, or one for almost each person, are refused; a few are groups however few people are."""
    for i in range(120):
        (room.images / f"p{i}").mkdir()
        (room.images / f"p{i}" / "1.jpg").write_bytes(b"a photo")
    rows = [(f"p{i}/1.jpg", f"p{i}") for i in range(120)]
    table = "image,subject,few,many,halves\nann/1.jpg,ann,a,b,c\nann/2.jpg,ann,a,b,c\n"
    table += "".join(
        f"{image},{who},{i % 3},{i % 51},{i % 50 if i < 90 else 0}\n" for i, (image, who) in enumerate(rows)
    )
    path = room.table(table)
    assert len(read_photos(path, room.images, by=("few",)).groups["few"][0]) == 4
    with pytest.raises(Invalid, match="column many has 52 different labels for 121 people"):
        read_photos(path, room.images, by=("many",))
    with pytest.raises(Invalid, match="column halves has 51"):
        read_photos(path, room.images, by=("halves",))
    few = "image,subject,name\nann/1.jpg,ann,A\nann/2.jpg,ann,A\n" + "".join(
        f"p{i}/1.jpg,p{i},N{i}\n" for i in range(8)
    )
    with pytest.raises(Invalid, match="column name has 9 different labels for 9 people, which are no groups"):
        read_photos(room.table(few), room.images, by=("name",))


def test_columns_are_asked_for_sensibly(room: Room) -> None:
    """Once each, not the keys, from a table that is there."""
    labels = room.table("image,sex\nann/1.jpg,f\nbob/1.jpg,m\n", "labels.csv")
    for more, says in (
        ({"by": ("sex", "sex"), "labels": labels}, "asked for twice"),
        ({"by": ("subject",), "labels": labels}, "no groups"),
        ({"by": ("sex",)}, "need a table of labels"),
        ({"labels": labels}, "No column of the table of labels is asked for"),
    ):
        assert says in refusal(lambda more=more: room.pairs(GOOD, **more))


def test_dates_of_photos(room: Room) -> None:
    """A year, a month or a day; those without one are counted in a note."""
    labels = "image,taken\nann/1.jpg,2019\nann/2.jpg,2020-07-02\nbob/1.jpg,2001-01\nbob/2.jpg,\n"
    data = room.labelled(labels, taken="taken")
    assert data.taken is not None
    assert data.taken[:3] == pytest.approx([2019.5, 2020 + 183.5 / 366, 2001 + 0.5 / 12])
    assert np.isnan(data.taken[3])
    assert "photos of which it isn't known when they were taken: 1 of 4" in data.notes


def test_bad_dates_are_refused_with_their_rows(room: Room) -> None:
    """So are two of one photo, those of people, and none at all."""
    labels = "image,taken\nann/1.jpg,31.5.2019\nann/2.jpg,2019-13\nbob/1.jpg,2019-02-30\nbob/2.jpg,NaN\n"
    told = refusal(lambda: room.labelled(labels, taken="taken"))
    assert "no date: row 2 (31.5.2019), row 3 (2019-13), row 4 (2019-02-30), row 5 (NaN)" in told
    told = refusal(lambda: room.labelled("image,taken\nann/1.jpg,2019\nann/1.jpg,2020\n", taken="taken"))
    assert "a photo has two dates: row 3 (2020)" in told
    assert "has no column image" in refusal(lambda: room.labelled("subject,taken\nann,2019\n", taken="taken"))
    assert "no date of any photo" in refusal(lambda: room.labelled("image,taken\nann/1.jpg,\n", taken="taken"))


# --- Photos -----------------------------------------------------------------------------------------------------------


def test_photos_make_every_pair(room: Room) -> None:
    """Each with each, the mated ones first."""
    data = read_photos(room.table("image\nann/1.jpg\nbob/1.jpg\nann/2.jpg\ncat/1.jpg\n"), room.images)
    assert data.pairs[data.mated].tolist() == [[0, 2]]
    assert sorted(data.pairs[~data.mated].tolist()) == [[0, 1], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert data.folds is None


def test_too_many_pairs_are_drawn_and_told(room: Room) -> None:
    """A seed gives the same draw again."""
    table = room.table("image,subject\n" + "".join(f"{n}.png,{n % 3}\n" for n in range(1, 7)))
    draws = [read_photos(table, room.images, most=5, seed=seed) for seed in (1, 1, 2)]
    assert [len(d.pairs) for d in draws] == [8, 8, 8]
    assert draws[0].pairs.tolist() == draws[1].pairs.tolist() != draws[2].pairs.tolist()
    assert draws[0].notes == ("of 12 non-mated pairs 5 were drawn (seed 1)",)


@pytest.mark.parametrize("most", [1, 30, 199, 100_000])
def test_pairs_are_drawn_without_repetition(most: int) -> None:
    """Whatever share is drawn, no pair comes twice, and mated ones are those of one person."""
    subjects = np.random.default_rng(5).integers(0, 8, 40).astype(np.int32)
    pairs, mated, _ = every_pair(subjects, most, 1)
    keys = pairs[:, 0] * 40 + pairs[:, 1]
    assert len(np.unique(keys)) == len(keys)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert ((subjects[pairs[:, 0]] == subjects[pairs[:, 1]]) == mated).all()
    total = [sum(n * (n - 1) // 2 for n in np.bincount(subjects).tolist()), 40 * 39 // 2]
    assert mated.sum() == min(most, total[0])
    assert (~mated).sum() == min(most, total[1] - total[0])


def test_every_pair_is_equally_likely_to_be_drawn() -> None:
    """Over many draws each comes about equally often."""
    subjects = np.array([0, 0, 1, 1, 1, 2, 3], np.int32)
    counts: dict[tuple[int, int], int] = {}
    for seed in range(600):
        pairs, mated, _ = every_pair(subjects, 4, seed)
        for a, b in pairs[~mated].tolist():
            counts[a, b] = counts.get((a, b), 0) + 1
    assert len(counts) == 17
    assert min(counts.values()) > 90  # 141 are expected; four standard deviations are 42
    assert max(counts.values()) < 192


BAD_PHOTOS = {
    "twice": ("image\nann/1.jpg\nbob/1.jpg\n./ann/1.jpg\n", "a photo is named twice: row 4 (ann/1.jpg, as in row 2)"),
    "no rows": ("image\n", "pairs.csv has no rows"),
    "one folder": ("image\nann/1.jpg\nann/2.jpg\n", "all photos lie in one folder"),
    "no folder": (
        "image\n1.png\nann/1.jpg\n",
        "a photo lies in no folder, and no column tells its subject: row 2 (1.png)",
    ),
    "none mated": ("image\nann/1.jpg\nbob/1.jpg\n", "no mated pairs"),
    "all mated": ("image,subject\nann/1.jpg,ann\nann/2.jpg,ann\n", "no non-mated pairs"),
    "no subject": ("image,subject\nann/1.jpg,\nbob/1.jpg,null\n", "a word for a missing value: row 2, row 3 (null)"),
    "missing": ("image\nann/9.jpg\nbob/1.jpg\n", "isn't there, or can't be read: row 2 (ann/9.jpg)"),
}


@pytest.mark.parametrize("name", BAD_PHOTOS)
def test_a_bad_table_of_photos_is_refused_with_its_rows(room: Room, name: str) -> None:
    """As one of pairs is."""
    text, says = BAD_PHOTOS[name]
    assert says in refusal(lambda: read_photos(room.table(text), room.images))


# --- Searches ---------------------------------------------------------------------------------------------------------


def test_a_search_is_mated_if_its_person_is_in_the_gallery(room: Room) -> None:
    """People of the gallery have the lower numbers."""
    data = room.search(
        "image\nbob/1.jpg\nann/1.jpg\nann/2.jpg\n", "image\ncat/1.jpg\nann/3.jpg\nbob/2.jpg\ndan/1.jpg\n"
    )
    assert data.gallery.subjects.tolist() == [0, 1, 1]
    assert data.gallery_subjects == 2
    assert data.probes.subjects.tolist() == [2, 1, 0, 3]
    assert data.subject_names == ("bob", "ann", "cat", "dan")
    assert data.mated.tolist() == [False, True, True, False]
    assert data.notes == ("subjects are the first folders of the photos' paths",)
    assert len(data.sha256) == 2


BAD_SEARCHES = {
    "faults of both": (
        "image,subject\nann/9.jpg,ann\nann/1.jpg,ann\n",
        "image,subject\nann/1.jpg,\n",
        "by '/'.\nprobes.csv: a subject is empty or a word for a missing value: row 2. Name the person, by any word or "
        "number.\nprobes.csv: a photo is in the gallery",
    ),
    "a heading first": ("image\nann/9.jpg\n", "picture\nann/1.jpg\n", "probes.csv has no column image"),
    "in both": (
        "image\nbob/1.jpg\nann/1.jpg\n",
        "image\ncat/1.jpg\n./ann/1.jpg\n",
        "probes.csv: a photo is in the gallery and among the probes: "
        "row 3 (row 3 of the gallery gallery.csv: ann/1.jpg)",
    ),
    "twice": (
        "image\nann/1.jpg\nann/1.jpg\nbob/1.jpg\n",
        "image\ncat/1.jpg\ndan/1.jpg\ncat/1.jpg\n",
        "probes.csv: a photo is named twice: row 4 (cat/1.jpg, as in row 2)",
    ),
    "no probes": ("image\nann/1.jpg\nbob/1.jpg\n", "image\n", "probes.csv has no rows"),
    "no gallery": ("image\n", "image\nann/1.jpg\n", "gallery.csv has no rows"),
    "one names subjects": (
        "image,subject\nann/1.jpg,ann\nbob/1.jpg,bob\n",
        "image\nann/2.jpg\ncat/1.jpg\n",
        "One of the tables names subjects, the other doesn't",
    ),
    "one folder": ("image\nann/1.jpg\nann/2.jpg\n", "image\nbob/1.jpg\n", "gallery.csv: all photos lie in one folder"),
    "two subjects missing": (
        "image,subject\nann/1.jpg,ann\nbob/1.jpg,\n",
        "image,subject\nann/2.jpg,nan\n",
        "gallery.csv: a subject is empty or a word for a missing value: row 3.",
    ),
}


@pytest.mark.parametrize("name", BAD_SEARCHES)
def test_bad_tables_of_searches_are_refused_with_their_rows(room: Room, name: str) -> None:
    """Both tables are looked at, and a photo in both is named with both rows."""
    gallery, probes, says = BAD_SEARCHES[name]
    assert says in refusal(lambda: room.search(gallery, probes))


# --- Marks ------------------------------------------------------------------------------------------------------------


def test_marks_are_points_or_boxes(room: Room) -> None:
    """A photo that shows nobody has a row with the image alone; photos that no row names are told."""
    points = read_marks(room.table("image,x,y\n1.png,3,4.5\n2.png,,\n1.png,7,8\n"), room.images)
    assert points.by == "points"
    assert [m.tolist() for m in points.marks] == [[[3.0, 4.5], [7.0, 8.0]], []]
    assert points.marks[1].shape == (0, 2)
    assert points.rows == ((2, 4), (3,))
    assert points.notes == ("photos of the folder that no row names, and that weren't evaluated: 12",)
    boxes = read_marks(room.table("image,left,top,width,height,who\n1.png,-3,4,5,6,x\n"), room.images)
    assert boxes.by == "boxes"
    assert boxes.marks[0].tolist() == [[-3.0, 4.0, 5.0, 6.0]]
    assert boxes.notes[1] == "columns of the table that aren't read: 1"


BAD_MARKS = {
    "numbers": (
        "image,x,y\n1.png,nan,1\n2.png,1,inf\n3.png,1e9,1\n4.png,1_0,1\n5.png,3,\n6.png,x,1\n",
        "plain numbers of pixels: row 2 (nan, 1), row 3 (1, inf), row 4 (1e9, 1), row 5 (1_0, 1), row 6 (3,), row 7",
    ),
    "no size": (
        "image,left,top,width,height\n1.png,1,1,0,5\n2.png,1,1,5,-1\n",
        "has no size: row 2 (1, 1, 0, 5), row 3",
    ),
    "negative": ("image,x,y\n1.png,-1,5\n", "left of the picture or above it: row 2 (-1, 5)"),
    "twice": ("image,x,y\n1.png,1,5\n2.png,,\n1.png,1.0,5\n2.png,,\n", "row 4 (1.png, as in row 2), row 5 (2.png, as"),
    "contrary": ("image,x,y\n1.png,1,5\n1.png,,\n2.png,,\n2.png,1,1\n", "row 3 (1.png, see row 2), row 5 (2.png, see"),
    "no rows": ("image,x,y\n", "pairs.csv has no rows"),
    "both kinds": ("image,x,y,left,top,width,height\n1.png,1,1,1,1,1,1\n", "neither points"),
    "half a kind": ("image,left,top\n1.png,1,1\n", "neither points"),
    "missing": ("image,x,y\n9.png,1,5\n", "isn't there, or can't be read: row 2 (9.png)"),
}


@pytest.mark.parametrize("name", BAD_MARKS)
def test_bad_marks_are_refused_with_their_rows(room: Room, name: str) -> None:
    """Whatever isn't a place in a picture."""
    text, says = BAD_MARKS[name]
    assert says in refusal(lambda: read_marks(room.table(text), room.images))
