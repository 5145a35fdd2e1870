# SPDX-License-Identifier: Apache-2.0
"""``custodes camera discover|streams|doctor|people|hooks``: what helps to set cameras up, and whom they know."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from custodes.cli.arguments import Json
from custodes.cli.output import configuration, console, installation, print_done, print_rows, read, when
from custodes.cli.who import who
from custodes.errors import Invalid

if TYPE_CHECKING:
    from custodes.cameras.doctor import Findings
    from custodes.cameras.onvif import Profile
    from custodes.operations.library import PersonView

__all__ = ["PasswordFile", "User", "add_to", "from_onvif", "password_of"]

hooks = typer.Typer(help="Webhooks: where news of cameras are sent.", no_args_is_help=True)
people = typer.Typer(help="People whom cameras recognise, on their consent.", no_args_is_help=True)

User: TypeAlias = Annotated[str, typer.Option("--user", help="User name at the camera.")]
PasswordFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--password-file", help="File with the password there; it isn't kept in the shell's history."),
]


def add_to(program: typer.Typer) -> None:
    """Add the commands."""
    program.command()(discover)
    program.command()(streams)
    program.command()(doctor)
    program.add_typer(hooks, name="hooks")
    program.add_typer(people, name="people")


def password_of(file: Path | None) -> str:
    """Read a password.

    Raises:
        Invalid: if that isn't possible.
    """
    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise Invalid(f"{file.name} can't be read.") from e


def from_onvif(place: str, user: str, password: str) -> tuple[str, str]:
    """Ask a camera for its streams, and return the URLs of the one to record and of one to look for motion in.

    Args:
        place: host, or host and port.
        user, password: an account of it.

    Raises:
        Denied: if the camera doesn't accept the account.
        Invalid: if it says nothing that makes sense.
        Unavailable: if it doesn't answer.
    """
    from custodes.cameras.onvif import choose, with_credentials

    main, sub = choose(_asked(place, user, password))
    second = with_credentials(sub.url, user, password) if sub else ""
    return with_credentials(main.url, user, password), second


def _asked(place: str, user: str, password: str) -> tuple[Profile, ...]:
    from custodes.cameras.onvif import streams as ask

    host, colon, port = place.rpartition(":") if not place.endswith("]") else (place, "", "")
    if not colon:
        host, port = place, "80"
    if not port.isdigit():
        raise Invalid("A camera is at a host, or a host and a port: 192.168.1.20:8000.")
    return ask(host.strip("[]"), int(port), user, password)


def discover(
    seconds: Annotated[float, typer.Option("--for", min=0.1, max=60, help="How long to wait for answers.")] = 3.0,
    as_json: Json = False,
) -> None:
    """Look for cameras in the local network (ONVIF)."""
    from custodes.cameras.finding import discover as find

    with console.status("Asking who is there ...") if not as_json else nullcontext():
        found = find(seconds)
    rows = [{"host": f.host, "port": f.port, "name": f.name, "model": f.model} for f in found]
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
    found = _asked(place, user, password_of(password_file))
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
    print_done({"id": hook, "outcome": outcome.code, "status": outcome.status}, f"{hook}: {text}.", as_json=as_json)
    if outcome.code != "done":
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
