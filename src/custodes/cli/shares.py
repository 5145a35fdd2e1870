# SPDX-License-Identifier: Apache-2.0
"""``custodes share``: what police ask the public for near one's cameras, and sharing clips for it, or not.

Looking leaves no trace: no entry (not even that of a login: ``who(app, silent=True)``), no line of a log, no request to
anybody. So boards aren't fetched here, for that would be seen on the wire just when somebody looks: the server has
read them in any case, and its console shows what they say; here the installation's own board is read, and any that one
has fetched oneself (``--board``).
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from custodes.cli.arguments import Json, moment
from custodes.cli.output import console, installation, print_done, print_rows, read, warn, when, write
from custodes.cli.who import who
from custodes.errors import Invalid

if TYPE_CHECKING:
    from custodes.app import App
    from custodes.cameras.model import Span
    from custodes.operations.previews import Preview

__all__ = ["program"]

program = typer.Typer(help="Sharing clips that police ask for, or not: doing nothing declines.", no_args_is_help=True)
process = typer.Typer(help="Warrants, subpoenas and court orders that one was served with.", no_args_is_help=True)
program.add_typer(process, name="process")

Code: TypeAlias = Annotated[str, typer.Argument(help="The request's code.", show_default=False)]
Boards: TypeAlias = Annotated[
    list[Path] | None, typer.Option("--board", help="A board that you have fetched; may be repeated.")
]
Camera: TypeAlias = Annotated[str, typer.Option("--camera", help="Which camera, by name or id.")]
Begins: TypeAlias = Annotated[str, typer.Option("--from", help="From when: 2027-01-31T18:00:00Z.")]
Ends: TypeAlias = Annotated[str, typer.Option("--to", help="Until when.")]
Shown: TypeAlias = Annotated[bool, typer.Option("--faces-shown", help="Don't hide faces.")]
ShareId: TypeAlias = Annotated[str, typer.Argument(help="The share.", show_default=False)]


def _take(app: App, boards: list[Path] | None) -> None:
    for path in boards or ():
        app.boards.take(read(path))


def _span(begins: str, ends: str) -> Span:
    from custodes.cameras.model import Span
    from custodes.cameras.moments import to_ms  # here, so that --help doesn't wait

    return Span(to_ms(moment(begins)), to_ms(moment(ends)))


def _check_free(path: Path | None) -> None:
    if path is not None and path.exists():
        raise Invalid(f"{path} is there already.", remedy="Name another file.")


# --- looking ----------------------------------------------------------------------------------------------------------


@program.command()
def inbox(boards: Boards = None, as_json: Json = False) -> None:
    """Show the requests that concern your cameras. Nobody, including us, can tell that you have looked."""
    from custodes.cameras.moments import from_ms  # here, so that --help doesn't wait

    with installation() as app:
        _take(app, boards)
        found = app.requests.inbox(who(app, silent=True))
    rows = [
        {
            "code": i.request.code,
            "agency": i.request.agency.name,
            "officer": i.request.officer.name,
            "incident": i.request.incident,
            "offence": str(i.request.offence),
            "text": i.request.text,
            "contact": i.request.contact,
            "from": when(from_ms(i.request.span.start)),
            "to": when(from_ms(i.request.span.end)),
            "until": when(i.request.expires_at),
            "cameras": [k.camera.name for k in i.cameras],
        }
        for i in found
    ]
    columns = {"code": "Code", "agency": "Agency", "incident": "Incident", "from": "From", "to": "To"}
    print_rows(rows, columns | {"cameras": "Your cameras", "until": "Open until"}, as_json=as_json)
    if not as_json:
        console.print("Doing nothing declines. Nobody, including us, can tell.", style="dim")


@program.command()
def preview(
    code: Code,
    camera: Camera,
    begins: Begins,
    ends: Ends,
    output: Annotated[Path, typer.Option("--output", "-o", help="The MP4 to write.")],
    shown: Shown = False,
    boards: Boards = None,
    as_json: Json = False,
) -> None:
    """Write what you would share to a file, to look at it; nothing else is written anywhere."""
    _check_free(output)
    with installation() as app:
        _take(app, boards)
        made = app.requests.preview(who(app, silent=True), code, camera, _span(begins, ends), blurred=not shown)
        _wait(made, as_json=as_json)
        write(output, made.result().data, private=True)
    print_done({"file": str(output)}, f"{output} is what you would share.", as_json=as_json)


def _wait(made: Preview, *, as_json: bool) -> None:
    """Wait for a preview, and show how far it is."""
    from rich.progress import Progress  # here, so that --help doesn't wait

    with Progress(console=console, disable=as_json, transient=True) as progress:
        task = progress.add_task("Making the clip", total=1.0)
        while not made.ended.wait(0.2):
            progress.update(task, completed=made.done / made.of)


# --- sharing ----------------------------------------------------------------------------------------------------------


@program.command()
def make(
    code: Code,
    camera: Camera,
    begins: Begins,
    ends: Ends,
    look: Annotated[Path | None, typer.Option("--look", help="First write it to this file, to be looked at.")] = None,
    label: Annotated[str, typer.Option(help="What the clip is called in the package.")] = "",
    days: Annotated[int, typer.Option(help="For how many days it can be fetched.", min=1, max=30)] = 14,
    shown: Shown = False,
    no_proofs: Annotated[
        bool, typer.Option("--no-proofs", help="Leave the ledger's proof out, which links two shares of yours.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask: you have looked at it.")] = False,
    boards: Boards = None,
    as_json: Json = False,
) -> None:
    """Share a clip with the officer who asks; you see it first, and are asked."""
    from custodes.operations.sharing import RECALL, ClipChosen  # here, so that --help doesn't wait

    _check_free(look)
    if look is None and not yes:
        raise Invalid(
            "Look at the clip first.", remedy="Name a file for it (--look FILE), or say that you have: --yes."
        )
    with installation() as app:
        _take(app, boards)
        span = _span(begins, ends)
        made = app.requests.preview(who(app, silent=True), code, camera, span, blurred=not shown)
        _wait(made, as_json=as_json)
        if look is not None:
            write(look, made.result().data, private=True)
        if not yes:
            typer.confirm(f"{look} is what is shared. {RECALL} Share it?", abort=True, err=True)
        contact = app.requests.item(who(app, silent=True), code).request.contact
        found = app.sharing.share(
            who(app),  # from here on it is on record
            code,
            [ClipChosen(camera, span, label, made.id)],
            blurred=not shown,
            expires=timedelta(days=days),
            with_proofs=not no_proofs,
            digest=made.subject.digest,
        )
        public = bool(app.config.server.endpoint)
    told = {"id": found.id, "link": found.link, "expires_at": when(found.expires_at), "contact": contact}
    sentence = f"{found.id} is shared until {when(found.expires_at)}. The link, for the officer ({contact}):\n"
    print_done(told, sentence + found.link, as_json=as_json)
    if not public:
        warn(
            "This server has no public address ([server] endpoint), so the link may not reach it from outside. To hand "
            f"the sealed package over by other means: custodes share hand-over {found.id} -o {found.id}.sealed"
        )


@program.command("list")
def list_shares(as_json: Json = False) -> None:
    """List what was shared, with whom, and whether it was fetched."""
    with installation() as app:
        rows = [
            {
                "id": s.id,
                "code": s.code,
                "agency": s.recipient.agency,
                "officer": s.recipient.officer,
                "made_at": when(s.made_at),
                "expires_at": when(s.expires_at),
                "revoked_at": when(s.revoked_at),
                "fetched_at": when(s.fetched_at),
                "link": s.link,
            }
            for s in app.sharing.list(who(app))
        ]
    columns = {"id": "Share", "code": "Request", "officer": "Officer", "expires_at": "Until", "fetched_at": "Fetched"}
    print_rows(rows, columns | {"revoked_at": "Revoked"}, as_json=as_json)


@program.command()
def revoke(share: ShareId, as_json: Json = False) -> None:
    """End a share at once; a copy that was fetched before can't be recalled."""
    from custodes.operations.sharing import RECALL  # here, so that --help doesn't wait

    with installation() as app:
        app.sharing.revoke(who(app), share)
    print_done({"id": share, "revoked": True}, f"{share} is over. {RECALL}", as_json=as_json)


@program.command("hand-over")
def hand_over(
    share: ShareId,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    as_json: Json = False,
) -> None:
    """Save the sealed package of a share, to give it to the officer by other means than the link."""
    _check_free(output)
    with installation() as app:
        place = app.sharing.hand_over(who(app), share)
        shutil.copyfile(place, output)
    opens = f"custodes footage open {output.name} --share {share} --key officer.key"
    sentence = f"{output} is for the officer's key alone. Tell the officer how it is opened:\n{opens}"
    print_done({"id": share, "file": str(output), "opened_by": opens}, sentence, as_json=as_json)


# --- legal process ----------------------------------------------------------------------------------------------------


@process.command("record")
def record_process(
    kind: Annotated[str, typer.Argument(help="warrant, subpoena or court-order.", show_default=False)],
    issuer: Annotated[str, typer.Option(help="Which court gave it.")],
    reference: Annotated[str, typer.Option(help="Its reference there.")],
    document: Annotated[Path, typer.Option("--document", help="The document; only its SHA-256 is kept.")],
    organisation: Annotated[
        str | None, typer.Option("--org", help="Who was served; your own organisation unless given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Record legal process; its owner is told, and nothing is released by it."""
    from custodes.operations.process import ProcessKind  # here, so that --help doesn't wait

    if kind not in list(ProcessKind):
        raise Invalid("It is a warrant, a subpoena or a court-order.")
    data = read(document)
    with installation() as app:
        made = app.process.record(
            who(app),
            ProcessKind(kind),
            issuer=issuer,
            reference=reference,
            document=data,
            organisation=organisation,
        )
    told = {"id": made.id, "kind": kind, "sha256": made.document_hash}
    print_done(told, f"{made.id} is on record, and its owner is told. Nothing is released by it.", as_json=as_json)


@process.command("list")
def list_process(as_json: Json = False) -> None:
    """List what your organisation was served with."""
    with installation() as app:
        rows = [
            {
                "id": p.id,
                "kind": str(p.kind),
                "issuer": p.issuer,
                "reference": p.reference,
                "recorded_at": when(p.recorded_at),
                "seen_at": when(p.seen_at),
                "sha256": p.document_hash,
            }
            for p in app.process.list(who(app))
        ]
    columns = {"id": "Process", "kind": "Kind", "issuer": "From", "reference": "Reference", "recorded_at": "Recorded"}
    print_rows(rows, columns | {"seen_at": "Seen"}, as_json=as_json)


@process.command("seen")
def see_process(process_id: Annotated[str, typer.Argument(show_default=False)], as_json: Json = False) -> None:
    """Say that you have seen it."""
    with installation() as app:
        app.process.see(who(app), process_id)
    print_done({"id": process_id, "seen": True}, f"It is noted that you have seen {process_id}.", as_json=as_json)
