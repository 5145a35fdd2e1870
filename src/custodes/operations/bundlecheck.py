# SPDX-License-Identifier: Apache-2.0
"""Checking a disclosure bundle offline: its files, its proofs, that it hangs together, whether something is missing.

What holds by itself: every file is the one whose hash the manifest has, and the export's entry has committed to the
manifest; every entry is in the log; searches, candidates, reviews and leads are what the entries say, and no entry is
there without its row. That no entry of the case is missing altogether takes the published log: it is verified as a
whole, and looked through.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import orjson

from custodes.errors import IntegrityError, Invalid
from custodes.ledger import Source, verify
from custodes.operations.bundlefiles import ENTRIES, FORM, MANIFEST, SEAL, SEALED
from custodes.operations.caserows import is_review, is_search
from custodes.operations.crosscheck import Crosscheck
from custodes.operations.exhibits import Findings, Proven, at, names_case, prove, rows
from custodes.operations.leadcheck import check_seal
from custodes.operations.transparency import Heard

__all__ = ["check_bundle"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(/[A-Za-z0-9_-]{1,120})?(\.[a-z0-9]{1,5})?")
_FILES = 100_000
_FILE = 512 << 20
_ALL = 4 << 30
_ROWED = ("searches", "runs", "candidates", "unlisted", "reviews", "leads", "images")

Progress = Callable[[int, int], None]


def check_bundle(
    place: Path, vkey: str | None = None, ledger: Source | None = None, progress: Progress | None = None
) -> Findings:
    """Check a disclosure bundle.

    Args:
        place: the ZIP, or the folder.
        vkey: the log's key, from somebody one trusts; the bundle's own word if omitted.
        ledger: the published log, to look for what is missing.
        progress: told how many entries of the log are done, of how many.

    Raises:
        Invalid: if it is no bundle, or the key is malformed.
        Unavailable: if the log can't be read.
    """
    files = _read(place)
    manifest = _object(files.get(MANIFEST, b""), MANIFEST)
    if at(manifest, "form") != FORM:
        raise Invalid(f"This is no disclosure bundle: the form of {MANIFEST} isn't {FORM}.")
    key, case = vkey or str(at(manifest, "ledger", "vkey")), str(at(manifest, "case"))
    proven = _proven(files, manifest, key)
    check = Crosscheck(proven.entries, case, list(proven.problems))
    _check_files(check, files, manifest)
    _check_seal(check, files, key)
    _check_entries(check, manifest)
    tables = {name: rows(_object(files.get(f"{name}.json", b"{}"), f"{name}.json"), name) for name in _ROWED}
    _check_tables(check, tables)
    holds = _holds(check, proven, key)
    if ledger is not None:
        holds += _look_through(check, manifest, ledger, vkey, progress)
    else:
        check.remarks.append("Whether an entry of the case is missing is seen only with the published log: --ledger.")
    if vkey is None:
        check.remarks.append("The log's key is the bundle's own word: get it from elsewhere, and give it as --vkey.")
    return Findings(case, tuple(holds), tuple(check.problems), tuple(dict.fromkeys(check.remarks)))


def _holds(check: Crosscheck, proven: Proven, vkey: str) -> list[str]:
    holds = []
    if proven.size:
        holds.append(f"The checkpoint of {proven.size} entries is signed by {vkey.split('+')[0]}.")
        holds.append(f"{len(proven.entries)} entries are in the log at the checkpoint, and say what is opened of them.")
    if proven.witnesses:
        holds.append(f"The checkpoint is cosigned by {', '.join(proven.witnesses)}, by the keys in the bundle.")
    if not check.problems:
        holds.append("The files are the ones that were exported, and say what the entries say.")
    return holds


# --- files ---


def _read(place: Path) -> dict[str, bytes]:
    """Read the files of a bundle; what it names is hostile, and nothing is written.

    Raises:
        Invalid: if it is neither ZIP nor folder, or its files are too many, too large or oddly named.
    """
    try:
        if place.is_dir():
            found = [(str(p.relative_to(place)), p) for p in sorted(place.rglob("*")) if p.is_file()]
            _check_names([name for name, _ in found], [p.stat().st_size for _, p in found])
            return {name: p.read_bytes() for name, p in found}
        with zipfile.ZipFile(place) as archive:
            listed = [i for i in archive.infolist() if not i.is_dir()]
            _check_names([i.filename for i in listed], [i.file_size for i in listed])
            return {i.filename: archive.read(i) for i in listed}
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error) as e:
        raise Invalid(f"This is no bundle: it can't be read ({type(e).__name__}).") from e


def _check_names(names: list[str], sizes: list[int]) -> None:
    if len(names) > _FILES or sum(sizes) > _ALL or max(sizes, default=0) > _FILE:
        raise Invalid("This is no bundle: it has too many files, or too large ones.")
    if len(set(names)) != len(names) or not all(map(_NAME.fullmatch, names)):
        raise Invalid("This is no bundle: a file in it has a name that none has.")


def _object(data: bytes, name: str) -> Mapping[str, object]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as e:
        raise Invalid(f"This is no bundle: {name} is no JSON.") from e
    if not isinstance(value, Mapping):
        raise Invalid(f"This is no bundle: {name} is no JSON object.")
    return value


def _proven(files: Mapping[str, bytes], manifest: Mapping[str, object], vkey: str) -> Proven:
    """Check the proofs."""
    told: list[object] = []
    for number, line in enumerate(files.get(ENTRIES, b"").splitlines()):
        try:
            told.append(orjson.loads(line))
        except orjson.JSONDecodeError as e:
            raise Invalid(f"This is no bundle: line {number} of {ENTRIES} is no JSON.") from e
    witnesses = at(manifest, "ledger", "witnesses")
    names = [w for w in witnesses if isinstance(w, str)] if isinstance(witnesses, list) else []
    return prove(told, str(at(manifest, "ledger", "checkpoint")), vkey, names)


def _check_files(check: Crosscheck, files: Mapping[str, bytes], manifest: Mapping[str, object]) -> None:
    stated = at(manifest, "files")
    known = stated if isinstance(stated, Mapping) else {}
    for name in sorted(known.keys() - files.keys()):
        check.problems.append(f"The file {name} is missing.")
    for name, data in files.items():
        if name in (MANIFEST, SEAL):
            continue
        if name not in known:
            check.problems.append(f"The file {name} isn't one of the bundle's.")
        elif known[name] != hashlib.sha256(data).hexdigest():
            check.problems.append(f"The file {name} was changed since the export.")
    if at(manifest, "complete") is not True:
        differ = at(manifest, "differences")
        told = [d for d in differ if isinstance(d, str)] if isinstance(differ, list) else []
        check.problems.append(f"The bundle says itself that it isn't complete. {' '.join(told)}")
    sealed = at(manifest, "sealed")
    if isinstance(sealed, list) and sealed:
        check.remarks.append(f"What {len(sealed)} exigent searches have found is sealed, and not in the bundle.")


def _check_seal(check: Crosscheck, files: Mapping[str, bytes], vkey: str) -> None:
    try:
        seal: object = orjson.loads(files.get(SEAL, b"null"))
    except orjson.JSONDecodeError:
        seal = None
    digest = hashlib.sha256(files.get(MANIFEST, b"")).hexdigest()
    entry = check_seal(check, seal, vkey, SEALED, digest)
    if entry is not None and entry.get("complete") != at(orjson.loads(files[MANIFEST]), "complete"):
        check.problems.append("The export's entry says otherwise whether the bundle is complete.")


# --- contents ---


def _check_entries(check: Crosscheck, manifest: Mapping[str, object]) -> None:
    """Check that the entries are those that the manifest lists, and all of them about the case."""
    listed = at(manifest, "ledger", "entries")
    wanted = {i for i in listed if type(i) is int} if isinstance(listed, list) else set()
    missing = sorted(wanted - check.entries.keys())
    if missing:
        check.problems.append(f"Entries that the manifest lists are missing or not proven: {_some(missing)}.")
    extra = sorted(check.entries.keys() - wanted)
    if extra:
        check.problems.append(f"Entries are there that the manifest doesn't list: {_some(extra)}.")
    others = sorted(i for i, d in check.entries.items() if not names_case(d.entry, check.case))
    if others:
        check.problems.append(f"Entries are there that aren't about the case: {_some(others)}.")


def _check_tables(check: Crosscheck, tables: Mapping[str, tuple[Mapping[str, object], ...]]) -> None:
    """Hold every row against its entry, and look for entries without a row."""
    images = {str(i.get("image")): i for i in tables["images"]}
    check.searches(tables["searches"], images)
    check.reviews(tables["reviews"])
    for kind, is_kind in (("searches", is_search), ("reviews", is_review)):
        told = {i for r in tables[kind] if isinstance(i := r.get("entry"), int)}
        left = sorted(i for i, d in check.entries.items() if is_kind(d.entry) and i not in told)
        if left:
            check.problems.append(f"Entries are left out of the {kind}: {_some(left)}.")
    runs = {str(r.get("id")): r for r in tables["runs"]}
    grouped = {name: _by_run(tables[name]) for name in ("searches", "candidates", "unlisted")}
    for name, run in runs.items():
        mine = grouped["searches"].get(name, [])
        if run.get("state") != "running" and run.get("searches") != len(mine):
            check.problems.append(f"The run {name} has made {run.get('searches')} searches, and {len(mine)} are told.")
        check.candidates(grouped["candidates"].get(name, []), mine, grouped["unlisted"].get(name, []), run)
    strays = (grouped["searches"].keys() | grouped["candidates"].keys()) - runs.keys() - {"None"}
    if strays:
        check.problems.append(f"Runs are missing: {', '.join(sorted(strays))}.")
    known = {str(k.get("candidate")) for k in tables["candidates"]}
    for lead in tables["leads"]:
        if str(lead.get("candidate")) in known:
            check.lead(lead, tables["reviews"])
        else:
            check.remarks.append("The candidate of a lead is erased or sealed, so its reviews can't be checked.")


def _by_run(table: Sequence[Mapping[str, object]]) -> dict[str, list[Mapping[str, object]]]:
    grouped: dict[str, list[Mapping[str, object]]] = {}
    for row in table:
        grouped.setdefault(str(row.get("run")), []).append(row)
    return grouped


def _some(indexes: list[int]) -> str:
    shown = ", ".join(map(str, indexes[:20]))
    return f"{shown} and {len(indexes) - 20} more" if len(indexes) > 20 else shown


def _look_through(
    check: Crosscheck,
    manifest: Mapping[str, object],
    ledger: Source,
    vkey: str | None,
    progress: Progress | None,
) -> list[str]:
    """Verify the published log, and look for entries of the case that the bundle leaves out."""
    until = at(manifest, "ledger", "scanned_before")
    stop = until if type(until) is int else 0
    with tempfile.TemporaryDirectory() as folder:
        heard = Heard(ledger, Path(folder))
        try:
            found = verify(heard, vkey=vkey, since=str(at(manifest, "ledger", "checkpoint")), progress=progress)
        except IntegrityError as e:
            check.problems.append(f"The published log doesn't hold, or isn't the one of the bundle. {e.message}")
            return []
        about = [i for i, entry in enumerate(heard.entries(found.size)) if names_case(entry, check.case)]
    missing = [i for i in about if i < stop and i not in check.entries]
    later = [i for i in about if i >= stop]
    if missing:
        check.problems.append(f"The log has entries of the case that the bundle leaves out: {_some(missing)}.")
    if later:
        check.remarks.append(f"The log has {len(later)} later entries of the case, the export's own among them.")
    if missing:
        return []
    return [f"The published log of {found.size} entries holds, and has no other entry of the case before the export."]
