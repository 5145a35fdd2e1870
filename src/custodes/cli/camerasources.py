# SPDX-License-Identifier: Apache-2.0
"""Where a camera's video comes from, as people say it at the command line: a URL, an account, or a camera to be asked.

What is returned is a secret: the account is in it. No message here tells a URL.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

import typer

from custodes.errors import Invalid

if TYPE_CHECKING:
    from custodes.cameras.onvif import Profile

__all__ = ["PasswordFile", "User", "ask", "password_of", "sources_of", "with_account"]

_ONVIF = 80

User: TypeAlias = Annotated[str, typer.Option("--user", help="User name at the camera.")]
PasswordFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--password-file", help="File with the password there; it isn't kept in the shell's history."),
]


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


def sources_of(url: str, substream: str, user: str, password_file: Path | None) -> tuple[str, str]:
    """Return the URLs of the stream to record and of the one to look for motion in, with an account in them.

    Args:
        url: of the stream, or ``onvif://HOST``, which is asked for its streams; ``-`` reads it from standard input.
        substream: of the other one; empty for none, or for that which the camera tells of.
        user, password_file: the account; empty if there is none, or it is in the URL.

    Raises:
        Denied: if a camera that is asked doesn't accept the account.
        Invalid: if something can't be meant, or a camera says nothing that makes sense.
        Unavailable: if a camera that is asked doesn't answer.
    """
    told = typer.get_text_stream("stdin").readline().strip() if url == "-" else url
    if not told.startswith("onvif://"):
        return with_account(told, user, password_file), with_account(substream, user, password_file)
    from custodes.cameras.onvif import choose, with_credentials

    password = password_of(password_file)
    main, small = choose(ask(told.removeprefix("onvif://"), user, password))
    second = with_credentials(small.url, user, password) if small else ""
    return with_credentials(main.url, user, password), with_account(substream, user, password_file) or second


def with_account(url: str, user: str, password_file: Path | None, *, anew: bool = False) -> str:
    """Return a URL with user name and password in it.

    Args:
        url: of a stream; nothing becomes of none.
        user, password_file: the account; empty to leave the URL as it is.
        anew: whether it takes the place of one that is there.

    Raises:
        Invalid: if the URL has one already or can't be read, the file can't be read, or it isn't said whose the
            password is.
    """
    if not url or (not user and password_file is None):
        return url
    if not user:
        raise Invalid("It isn't said whose password this is.", remedy="Give --user, too.")
    parts = _split(url)
    _, found, host = parts.netloc.rpartition("@")
    if found and not anew:
        raise Invalid("The URL names a user already.", remedy="Leave out --user, or the user in the URL.")
    account = f"{quote(user, safe='')}:{quote(password_of(password_file), safe='')}"
    return urlunsplit(parts._replace(netloc=f"{account}@{host}"))


def ask(place: str, user: str, password: str) -> tuple[Profile, ...]:
    """Ask a camera for its streams.

    Args:
        place: host, or host and port; what follows a slash is ignored.
        user, password: an account of it.

    Raises:
        Denied: if the camera doesn't accept the account.
        Invalid: if the place can't be meant, or the camera says nothing that makes sense.
        Unavailable: if it doesn't answer.
    """
    from custodes.cameras.onvif import streams

    parts = _split(f"onvif://{place}")
    if "@" in parts.netloc:
        raise Invalid("The account doesn't belong there.", remedy="Give it as --user NAME --password-file FILE.")
    return streams(parts.hostname or "", parts.port or _ONVIF, user, password)


def _split(url: str) -> SplitResult:
    """Take a URL apart.

    Raises:
        Invalid: if that can't be done.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # checks it
    except ValueError as e:
        raise Invalid("A camera's URL can't be read.", remedy="It is like rtsp://192.0.2.7:554/stream1.") from e
    return parts
