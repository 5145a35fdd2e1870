# SPDX-License-Identifier: Apache-2.0
"""``custodes camera household|discover|streams|doctor|people|hooks``: what helps to set cameras up; whom they know."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from custodes.cli.arguments import Json
from custodes.cli.camerasources import PasswordFile, User, ask, password_of
from custodes.cli.output import configuration, console, installation, print_done, print_json, print_rows, read, when
from custodes.cli.who import who
from custodes.errors import Invalid

if TYPE_CHECKING:
    from custodes.cameras.doctor import Findings
    from custodes.operations.library import PersonView

__all__ = ["add_to"]

hooks = typer.Typer(help="Webhooks: where news of cameras are sent.", no_args_is_help=True)
people = typer.Typer(help="People whom cameras recognise, on their consent.", no_args_is_help=True)

_MOST_LINE = 200
_HELPS = {
    "status": "The other side is there, and doesn't take it: look at its log, and whether it has the key that signs.",
    "timeout": "The other side is too slow: it should answer first, and work afterwards.",
    "unreachable": "Nothing listens there: look at its address and its port, and at a firewall in between.",
    "certificate": "Its certificate doesn't hold: give it a valid one, or use http:// at home.",
    "unknown-host": "The name in its URL isn't known here: look how it is written, or give an address.",
    "barred": "No webhook goes to this server itself or to a link-local address: give it another address.",
}
"""What to do about a test that failed, by what became of it."""


def add_to(program: typer.Typer) -> None:
    """Add the commands."""
    program.command()(household)
    program.command()(discover)
    program.command()(streams)
    program.command()(doctor)
    program.add_typer(hooks, name="hooks")
    program.add_typer(people, name="people")


def household(
    name: Annotated[str, typer.Argument(help="What the household is called.", show_default=False)],
    person: Annotated[str, typer.Option("--person", help="Who sets up its cameras: their name.")],
    identifier: Annotated[str, typer.Option("--id", help="What tells them from all others: an e-mail address.")],
    jurisdiction: Annotated[str, typer.Option(help="Where it is: a country or a part of one, such as US-WA.")] = "ZZ",
    credentials: Annotated[
        Path | None, typer.Option("--credentials", help="Write a key for the command line to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a household with a person who sets up its cameras, and a link by which they set their password."""
    from custodes.cli.console import link
    from custodes.cli.endpoint import endpoint_of
    from custodes.governance import OrgClass, Purpose, Role
    from custodes.governance.model import one_line

    if credentials is not None and credentials.exists():
        raise Invalid(f"{credentials.name} is there already.", remedy="Choose another name.")
    if credentials is not None and not credentials.absolute().parent.is_dir():
        raise Invalid(f"There is no folder for {credentials.name}.")
    for told, what in ((person, "A name"), (identifier, "An identifier")):  # all of it, or nothing
        one_line(told, what, _MOST_LINE)
    with installation(make=True) as app:
        caller, endpoint = who(app), endpoint_of(app.config)
        made = app.people.add_organisation(caller, name, OrgClass.HOUSEHOLD, jurisdiction)
        owner = app.people.add(caller, made.id, identifier, person, [Role.ADMIN, Role.USER])
        invited = app.invitations.invite(caller, owner.id, [Purpose.HOME_SECURITY])
        url = link(endpoint, invited.token)
        done = {"organisation": made.id, "person": owner.id, "url": url, "expires_at": when(invited.expires_at)}
        if as_json:
            print_json(done)
        else:
            told = f"{name} is {made.id}; {person} is {owner.id}. The link sets their password, once:"
            console.print(told, markup=False)
            console.print(url, highlight=False, markup=False, soft_wrap=True)
        if credentials is not None:  # the last of all, and after the link is told: with a key the household is its own
            key = app.identity.create_key(caller, "cameras", principal=owner.id, purpose=Purpose.HOME_SECURITY)
            app.identity.write_credentials(credentials, key, app.config.server.region)
    if credentials is not None and not as_json:
        console.print(f"At the command line: export CUSTODES_CREDENTIALS={credentials}", markup=False, style="dim")


def discover(
    seconds: Annotated[float, typer.Option("--for", min=0.1, max=60, help="How long to wait for answers.")] = 3.0,
    as_json: Json = False,
) -> None:
    """Look for cameras in the local network (ONVIF)."""
    from custodes.cameras.finding import discover as find

    with console.status("Asking who is there ...") if not as_json else nullcontext():
        found = find(seconds)
    rows = [{"host": f.host, "port": f.port, "name": f.name, "model": f.model} for f in found]
    if rows or as_json:
        print_rows(rows, {"host": "Host", "port": "Port", "name": "Name", "model": "Model"}, as_json=as_json)
    if not as_json:
        told = "custodes camera add NAME onvif://HOST:PORT --user USER --password-file FILE sets one up."
        console.print(told if rows else "Nobody answered: some cameras have ONVIF switched off.", style="dim")


def streams(
    place: Annotated[str, typer.Argument(help="Host, or host and port.", show_default=False)],
    user: User = "",
    password_file: PasswordFile = None,
    as_json: Json = False,
) -> None:
    """Ask a camera for its streams (ONVIF)."""
    found = ask(place, user, password_of(password_file))
    rows = [
        {"name": p.name, "url": p.url, "width": p.width, "height": p.height, "fps": p.fps, "codec": p.codec}
        for p in found
    ]
    columns = {"name": "Stream", "url": "URL", "width": "Width", "height": "Height", "fps": "Pictures/s"}
    print_rows(rows, columns | {"codec": "Codec"}, as_json=as_json)


def doctor(
    camera: Annotated[str, typer.Argument(help="A camera, by name or id, or a URL.", show_default=False)],
    substream: Annotated[str, typer.Option("--substream", help="With a URL: the stream to look for motion in.")] = "",
    as_json: Json = False,
) -> None:
    """Look at what a camera gives, and say what to mend. Status 1 if something is bad."""
    from custodes.cameras.doctor import Verdict, examine

    config = configuration()
    days = 1.0
    url = camera
    if "://" not in camera and not camera.startswith("file:"):
        with installation() as app:
            found = app.cameras.get(who(app), camera)
        url, substream, days = found.url, found.substream, found.retention.continuous_days
    settings = config.cameras
    with console.status("Looking at the camera ...") if not as_json else nullcontext():
        told = examine(
            url,
            substream,
            file_root=settings.files,
            folder=config.video,
            free_bytes=settings.free_bytes,
            days=days,
            most_pixels=settings.most_pixels,
        )
    _tell(told, as_json=as_json)
    if any(f.verdict == Verdict.BAD for f in told.findings):
        raise typer.Exit(1)


def _tell(told: Findings, *, as_json: bool) -> None:
    rows = [{"what": f.what, "verdict": str(f.verdict), "finding": f.told, "remedy": f.remedy} for f in told.findings]
    columns = {"what": "What", "verdict": "Verdict", "finding": "Finding", "remedy": "What helps"}
    print_rows(rows, columns, as_json=as_json)


# --- webhooks ---


@hooks.command("add")
def add_hook(
    url: Annotated[str, typer.Argument(help="https://..., or http://... at home.", show_default=False)],
    pictures: Annotated[bool, typer.Option("--pictures", help="Send pictures too.")] = False,
    as_json: Json = False,
) -> None:
    """Have news of your cameras sent to a URL, signed as Standard Webhooks says; the key is shown once."""
    with installation() as app:
        made = app.hooks.add(who(app), url, pictures=pictures)
    print_done({"id": made.id, "secret": made.secret}, f"{made.id}; the key that signs: {made.secret}", as_json=as_json)


@hooks.command("list")
def list_hooks(as_json: Json = False) -> None:
    """List your webhooks."""
    with installation() as app:
        rows = [{"id": h.id, "url": h.url, "pictures": h.pictures} for h in app.hooks.list(who(app))]
    print_rows(rows, {"id": "Webhook", "url": "URL", "pictures": "Pictures"}, as_json=as_json)


@hooks.command("remove")
def remove_hook(hook: str, as_json: Json = False) -> None:
    """Send nothing there any more."""
    with installation() as app:
        app.hooks.remove(who(app), hook)
    print_done({"id": hook, "removed": True}, f"{hook} is gone.", as_json=as_json)


@hooks.command("test")
def try_hook(hook: str, as_json: Json = False) -> None:
    """Send a test message, and tell what became of it. Status 1 if it failed."""
    with installation() as app:
        outcome = app.hooks.test(who(app), hook)
    text = outcome.code if outcome.code != "status" else f"status {outcome.status}"
    remedy = "" if outcome.done else _HELPS[outcome.code]
    told = {"id": hook, "outcome": outcome.code, "status": outcome.status, "remedy": remedy}
    print_done(told, f"{hook}: {text}. {remedy}".strip(), as_json=as_json)
    if not outcome.done:
        raise typer.Exit(1)


# --- people ---


@people.command("list")
def list_people(as_json: Json = False) -> None:
    """List whom your cameras recognise, and until when they have agreed to it."""
    with installation() as app:
        rows = [_person(p) for p in app.library.people(who(app))]
    columns = {"name": "Person", "photos": "Photos", "consent": "Consent", "until": "Until"}
    print_rows(rows, columns, as_json=as_json)


@people.command("add")
def add_person(
    name: Annotated[str, typer.Argument(help="Letters without accents, digits, and _ . - :", show_default=False)],
    photos: Annotated[list[Path], typer.Argument(help="1 to 20 photos of them alone.", show_default=False)],
    by: Annotated[str, typer.Option("--by", help="Who has agreed: the person, or whoever may for a child.")],
    days: Annotated[int, typer.Option("--days", min=1, max=1095, help="For how long.")] = 365,
    document: Annotated[
        Path | None, typer.Option("--document", help="The written release; its hash is kept, not the file.")
    ] = None,
    statement: Annotated[
        Path | None,
        typer.Option("--statement", help="Without a document: write the statement of consent here."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a person who has agreed to be recognised; the photos are not kept."""
    import hashlib

    from custodes.cli.output import write
    from custodes.governance import ConsentKind
    from custodes.operations.agreements import Agreement

    kind = ConsentKind.EXPLICIT if document is None else ConsentKind.WRITTEN_RELEASE
    digest = "" if document is None else hashlib.sha256(read(document)).hexdigest()
    agreement = Agreement(by, kind, datetime.now(UTC) + timedelta(days=days), digest)
    with installation() as app:
        made = app.library.add(who(app), name, agreement, [read(p) for p in photos])
    if statement is not None and made.statement:
        write(statement, made.statement, private=True)
    print_done(_person(made.person), f"{name} is known from {made.person.photos} photos.", as_json=as_json)


@people.command("photos")
def add_photos(
    name: Annotated[str, typer.Argument(help="Who is known already.", show_default=False)],
    photos: Annotated[list[Path], typer.Argument(help="Photos of them alone.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Add photos of a person on the consent that is on file; they are not kept. What comes before a bad one stays."""
    read_all = [read(p) for p in photos]
    with installation() as app:
        caller = who(app)
        made = [app.library.add_photo(caller, name, photo) for photo in read_all][-1]
    print_done(_person(made), f"{name} is known from {made.photos} photos.", as_json=as_json)


@people.command("remove")
def remove_person(name: str, as_json: Json = False) -> None:
    """Forget a person: faces, name, and the name wherever your cameras have seen them."""
    with installation() as app:
        app.library.remove(who(app), name)
    print_done({"name": name, "removed": True}, f"{name} is forgotten.", as_json=as_json)


def _person(person: PersonView) -> dict[str, object]:
    return {
        "name": person.name,
        "photos": person.photos,
        "consent": person.consent,
        "until": when(person.until),
        "floor": person.floor,
    }
