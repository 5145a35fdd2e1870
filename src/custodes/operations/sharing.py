# SPDX-License-Identifier: Apache-2.0
"""Sharing clips for a public request: an owner begins it, clip by clip, and nobody else can.

A share is for one officer, whose key alone opens it; it ends by itself, and its owner ends it when they like, which
can't recall a copy that was fetched before. Nothing that isn't on record ever leaves: the entry of the ledger commits
before there is a file to fetch, and each fetch (:mod:`~custodes.operations.releasing`) is an entry before its first
byte. If the machine stops in between, there is an entry and nothing to fetch. The file is sealed for the officer as it
is written, so that what lies here is of no use to anybody else, this machine included.

There is no way here to ask for video, and no record of who didn't share.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

import custodes
from custodes.cameras.evidence import MOST_CLIPS, Draft, Part, Pictures, draft
from custodes.cameras.footagestore import FootageStore
from custodes.cameras.links import make_link
from custodes.cameras.model import Camera, Segment, Span
from custodes.cameras.shares import Recipient, Share, SharedClip, ShareStore
from custodes.cameras.sharing import FootageRequest, seal_stream
from custodes.db import Database, make_private_folder
from custodes.db.sealing import words
from custodes.errors import Conflict, Invalid, NotFound, Unavailable
from custodes.governance import Action, Caller
from custodes.ledger import Log, commit
from custodes.operations.boards import ClockOffset
from custodes.operations.guard import Guard
from custodes.operations.previews import Preview
from custodes.operations.redactor import Clip
from custodes.operations.requests import RequestInbox

__all__ = ["HELD", "LASTS", "RECALL", "ClipChosen", "ShareOperations", "share_file", "why_over"]

LASTS = (timedelta(days=1), timedelta(days=14), timedelta(days=30))
"""A share can be fetched for so long: least, unless stated, most."""
HELD = timedelta(days=90)
"""The recording of what was shared is kept for so long after a share's end, unless it is revoked."""
RECALL = "Revoking ends a share at once. A copy that was fetched before can't be recalled."
"""What owners are told."""

_LABEL = 64
_SHARE = "share"
_MANIFEST = "manifest"
_OPENED = (_SHARE, _MANIFEST, "for_request", "for_officer")
"""Names of what an entry commits to, in the order in which the package opens it."""
_UNFINISHED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ClipChosen:
    """A clip that an owner has chosen.

    Attributes:
        camera: by id or name.
        span: from when to when.
        label: what it is called in the package; empty for its number.
        preview: id of the preview that they have looked at, or empty: what is shared must be just that.
    """

    camera: str
    span: Span
    label: str = ""
    preview: str = ""


def share_file(folder: Path, share: str) -> Path:
    """Return where the package of a share lies, sealed."""
    return folder / f"{share}.sealed"


def why_over(c: sa.Connection, footage: FootageStore, share: Share, now: datetime) -> str:
    """Return why a share can't be fetched any more, in a word; nothing if it can.

    Args:
        c: a connection to what is kept.
        footage: knows which agencies and officers are trusted here.
        share: which.
        now: the time.
    """
    if share.revoked_at is not None:
        return "revoked"
    if now >= share.expires_at:
        return "expired"
    told = share.recipient
    return footage.why_untrusted(c, told.agency_id, told.certificate, told.not_after, now)


class ShareOperations:
    """Use cases of owners who share, and of what was shared.

    Args:
        guard: authorises and records.
        database: where all is.
        store: of shares.
        footage: knows which agencies and officers are trusted here.
        inbox: requests, and clips for them.
        log: the ledger.
        folder: where sealed packages lie.
        endpoint: URL of this server, for links.
        offset: tells how far this machine's clock is off, as far as that is known.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        store: ShareStore,
        footage: FootageStore,
        inbox: RequestInbox,
        log: Log,
        folder: Path,
        endpoint: str,
        offset: Callable[[], ClockOffset | None] = lambda: None,
    ) -> None:
        self._guard = guard
        self._db = database
        self._store = store
        self._footage = footage
        self._inbox = inbox
        self._log = log
        self._folder = folder
        self._endpoint = endpoint
        self._offset = offset

    # --- owners ---

    def share(
        self,
        caller: Caller,
        code: str,
        clips: Sequence[ClipChosen],
        *,
        blurred: bool = True,
        expires: timedelta = LASTS[1],
        with_proofs: bool = True,
        server: str = "",
        digest: str = "",
    ) -> Share:
        """Share clips with the officer who has made a request; each was made to be looked at before.

        Args:
            caller: an administrator of the organisation whose the cameras are.
            code: of the request.
            clips: what is shared, 1 to 8.
            blurred: whether faces are hidden.
            expires: after how long it can't be fetched any more; at the end of the officer's certificate if that comes
                before.
            with_proofs: whether the proof that the ledger has it is in the package. It names the ledger, and so tells
                that two shares come from the same installation.
            server: URL of this server as others reach it, if the caller knows it better than the configuration.
            digest: of the request that was looked at, if the caller has it: what is answered must be just that.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such request or camera, or no video then.
            Invalid: if something isn't said as it should be, or is too large.
            Conflict: if the camera or the request was changed since the clip was looked at, or that isn't kept any
                more, or isn't ready yet.
            Unavailable: if the clip can't be made, or the package not written.
        """
        if not 0 < len(clips) <= MOST_CLIPS:
            raise Invalid(f"A share has 1 to {MOST_CLIPS} clips.")
        if not LASTS[0] <= expires <= LASTS[2]:
            raise Invalid(f"A share lasts for {LASTS[0].days} to {LASTS[2].days} days.")
        made = [self._clip(caller, code, k, number, blurred=blurred) for number, k in enumerate(clips)]
        item = self._inbox.item(caller, code)
        if {item.request.digest, digest or item.request.digest} != {preview.subject.digest for preview, _ in made}:
            raise _changed()
        share = f"share-{secrets.token_hex(16)}"
        with self._db.read() as c:
            now = self._guard.now(c)
        package = draft(
            share,
            item.request,
            [part for _, part in made],
            now,
            custodes.__version__,
            offset=self._measured(),
            vkey=self._log.vkey if with_proofs else None,
        )
        until = min(now + expires, item.request.officer.not_after)
        link = make_link(server or self._endpoint, share, until, item.request.officer.id, package)
        told = Share(
            share,
            made[0][0].subject.organisation,
            item.request.code,
            item.request.digest,
            _recipient(item.request),
            tuple(_shared(preview.subject.camera, part) for preview, part in made),
            link,
            with_proofs,
            now,
            until,
        )
        self._record(caller, item.request, told, package)
        proof = None
        if with_proofs:
            [entry] = self._guard.written
            proof = self._log.disclose(entry, _OPENED).to_json()
        self._place(told, item.request, package.signed(proof))
        return told

    def _clip(
        self, caller: Caller, code: str, chosen: ClipChosen, number: int, *, blurred: bool
    ) -> tuple[Preview, Part]:
        """Return a clip: the very one that was looked at, if that is kept yet. Nobody's thread waits for one here."""
        label = words(chosen.label, "What a clip is called", _LABEL) or f"Camera {number + 1}"
        preview = self._inbox.preview(caller, code, chosen.camera, chosen.span, blurred=blurred)
        if chosen.preview and chosen.preview != preview.id:
            raise _changed()
        if not preview.ended.is_set():
            raise Conflict("The clip isn't ready yet.", remedy="Wait until you can look at it.")
        clip = preview.result(0)
        return preview, _part(label, clip, preview.segments, preview.subject.camera, blurred=blurred)

    def _measured(self) -> tuple[int, datetime] | None:
        found = self._offset()
        return None if found is None else (found.milliseconds, found.at)

    def _record(self, caller: Caller, request: FootageRequest, share: Share, package: Draft) -> None:
        with self._guard.acting(caller, Action.SHARE_VIDEO) as acting:
            self._inbox.check(acting.connection, request.digest, acting.now)
            if acting.permit.organisation != share.organisation:
                raise Conflict("You have come to another organisation meanwhile.", remedy="Begin again.")
            self._store.add(acting.connection, share)
            acting.note(change="video-shared", clips=len(share.clips), proofs=share.with_proofs)
            acting.note(blurred=all(k.blurred for k in share.clips))
            acting.openings += [
                commit(_SHARE, share.id.encode()),
                commit(_MANIFEST, package.digest),
                commit("for_request", share.code.encode()),
                commit("for_officer", share.recipient.certificate.encode()),
            ]

    def _place(self, share: Share, request: FootageRequest, package: bytes) -> None:
        """Write a package, sealed for the officer; it has its name when it is complete."""
        place = share_file(self._folder, share.id)
        part = place.with_suffix(".part")
        make_private_folder(self._folder)
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                seal_stream(request.officer.encryption_key, io.BytesIO(package), out, share.id.encode())
                out.flush()
                os.fsync(out.fileno())
            part.rename(place)
        except OSError as e:
            part.unlink(missing_ok=True)
            raise Unavailable(
                f"The package can't be written: {e.strerror}.", remedy="Make room, and share again."
            ) from e

    def list(self, caller: Caller) -> tuple[Share, ...]:
        """List what the caller's organisation has shared, the newest first.

        Raises:
            Denied: if a rule forbids it.
        """
        self._guard.check(caller, Action.SHARE_VIDEO)
        own = self._guard.organisation_of(caller)
        with self._db.read() as c:
            return self._store.list(c, own)

    def get(self, caller: Caller, share: str) -> Share:
        """Return something that the caller's organisation has shared.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is nothing of this id.
        """
        self._guard.check(caller, Action.SHARE_VIDEO)
        own = self._guard.organisation_of(caller)
        with self._db.read() as c:
            return self._store.get(c, own, share)

    def is_there(self, share: Share, now: datetime) -> bool:
        """Tell whether it can be fetched: it is open, its officer is trusted yet, and its package lies here."""
        with self._db.read() as c:
            over = why_over(c, self._footage, share, now)
        return not over and share_file(self._folder, share.id).is_file()

    def revoke(self, caller: Caller, share: str) -> None:
        """End a share at once; its package is deleted. A copy that was fetched before can't be recalled.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if the caller's organisation has shared nothing of this id.
        """
        with self._guard.acting(caller, Action.SHARE_VIDEO) as acting:
            found = self._store.get(acting.connection, acting.permit.organisation, share)
            self._store.revoke(acting.connection, found.id, acting.now)
            acting.note(change="share-revoked")
            acting.openings.append(commit(_SHARE, found.id.encode()))
        share_file(self._folder, found.id).unlink(missing_ok=True)

    def hand_over(self, caller: Caller, share: str) -> Path:
        """Return where the sealed package of a share lies, for handing it over by other means than the link.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such share, or not any more.
        """
        with self._guard.acting(caller, Action.SHARE_VIDEO) as acting:
            found = self._store.get(acting.connection, acting.permit.organisation, share)
            if not self.is_there(found, acting.now):
                raise NotFound("This share is over.", remedy="Share again.")
            acting.note(change="share-handed-over")
            acting.openings.append(commit(_SHARE, found.id.encode()))
        return share_file(self._folder, found.id)

    # --- the installation ---

    def holds(self, camera: str) -> tuple[Span, ...]:
        """Return which stretches of a camera's video are kept yet since they were shared."""
        with self._db.read() as c:
            now = self._guard.now(c)
            found = self._store.list(c)
        kept = [s for s in found if s.revoked_at is None and now < s.expires_at + HELD]
        return tuple(
            Span(min(k.asked.start, k.real.start), max(k.asked.end, k.real.end))
            for s in kept
            for k in s.clips
            if k.camera == camera
        )

    def sweep(self) -> int:
        """Delete packages that are over, and what is left of such as never were complete; return how many."""
        with self._db.read() as c:
            now = self._guard.now(c)
            known = {s.id: s for s in self._store.list(c)}
        gone = 0
        for file in self._folder.glob("share-*") if self._folder.is_dir() else ():
            share = known.get(file.stem)
            lasting = share is not None and share.is_open(now) and file.suffix == ".sealed"
            if not lasting and self._is_stale(file, now):
                file.unlink(missing_ok=True)
                gone += 1
        old = [s.id for s in known.values() if now >= s.expires_at + HELD]
        if old:
            with self._db.transaction() as c:
                self._forget(c, old)
            self._db.scrub()
        return gone

    def _forget(self, c: sa.Connection, old: Sequence[str]) -> None:
        for share in old:
            self._store.remove(c, share)

    @staticmethod
    def _is_stale(file: Path, now: datetime) -> bool:
        """Tell whether nobody can be writing a file any more."""
        try:
            return file.suffix == ".sealed" or now.timestamp() - file.stat().st_mtime > _UNFINISHED.total_seconds()
        except FileNotFoundError:
            return False


def _part(label: str, clip: Clip, segments: Sequence[Segment], camera: Camera, *, blurred: bool) -> Part:
    made = clip.derivative
    needed = tuple(s for s in segments if s.span.overlaps(clip.asked))
    return Part(
        label=label,
        asked=clip.asked,
        real=clip.real,
        original=Pictures(clip.codec, clip.width, clip.height, clip.packets, clip.packets_sha256),
        derivative=None
        if made is None
        else Pictures("vp9", made.width, made.height, made.packets, made.packets_sha256),
        blurred=blurred,
        masked=bool(camera.masks),
        segments=needed,
        data=clip.data,
    )


def _shared(camera: Camera, part: Part) -> SharedClip:
    return SharedClip(camera.id, part.label, part.asked, part.real, part.blurred, part.masked)


def _recipient(request: FootageRequest) -> Recipient:
    officer = request.officer
    return Recipient(
        request.agency.name,
        request.agency.id,
        officer.name,
        officer.badge,
        officer.id,
        officer.signing_key.hex(),
        officer.not_after,
    )


def _changed() -> Conflict:
    return Conflict(
        "What you have looked at isn't kept any more, or the camera or the request was changed since.",
        remedy="Look again.",
    )
