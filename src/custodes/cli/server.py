# SPDX-License-Identifier: Apache-2.0
"""``custodes serve``: the service."""

from __future__ import annotations

import ipaddress
import signal
import sys
from typing import TYPE_CHECKING

import typer

from custodes.cli.console import link
from custodes.cli.endpoint import kept
from custodes.cli.output import configuration, console
from custodes.config import Config, Server

if TYPE_CHECKING:
    from custodes.app import App
    from custodes.governance import AccessKey
    from custodes.operations.identity import Identity

__all__ = ["add_to"]

_WITH_KEY = """import boto3

custodes = boto3.client(
    "rekognition",
    endpoint_url="{endpoint}",
    region_name="{region}",
    aws_access_key_id="{key}",
    aws_secret_access_key="{secret}",
)
print(custodes.list_collections())"""

_WITH_FILE = """import os
import boto3

os.environ["AWS_SHARED_CREDENTIALS_FILE"] = {file!r}  # access key {key}
custodes = boto3.Session(profile_name="custodes").client(
    "rekognition",
    endpoint_url="{endpoint}",
    region_name="{region}",
)
print(custodes.list_collections())"""


def _first_key(identity: Identity, region: str) -> tuple[AccessKey, bool]:
    """Return the first key, and whether to show its secret: when it is new, or when a person looks.

    Later starts of a service write to a journal, which keeps what it gets.
    """
    known = identity.known_first_key()
    return known or identity.first_key(region), known is None or sys.stdout.isatty()


def _snippet(identity: Identity, endpoint: str, region: str) -> str:
    key, shown = _first_key(identity, region)
    return (_WITH_KEY if shown else _WITH_FILE).format(
        endpoint=endpoint,
        region=region,
        key=key.access_key_id,
        secret=key.secret,
        file=str(identity.credentials.resolve()),
    )


def _invitation(app: App, endpoint: str) -> str:
    """Return a link by which the operator sets a password, or an empty string.

    There is one as long as the operator has no login, and it is shown as the first key's secret is: when it is the
    first, or when a person looks. Each ends those before it.
    """
    invitations = app.invitations
    if not invitations.operator_waits() or (invitations.operator_was_invited() and not sys.stdout.isatty()):
        return ""
    operator = app.identity.operator()
    made = invitations.invite(operator, operator.principal, invitations.suited(operator.principal))
    return link(endpoint, made.token)


def _announce(config: Config, endpoint: str, snippet: str, invitation: str) -> None:
    console.print(f"\n[bold]Custodes[/bold] answers at [bold]{endpoint}[/bold]", highlight=False)
    console.print(f"Console: {endpoint.rstrip('/')}/console", highlight=False, soft_wrap=True, markup=False)
    if invitation:
        console.print("Set the operator's password there with this link, which works once:", style="dim")
        console.print(invitation, highlight=False, soft_wrap=True, markup=False)
    console.print(f"Data folder: {config.data.resolve()}", highlight=False, soft_wrap=True, markup=False)
    if _is_open(config.server):
        console.print(
            f"It listens on {config.server.host or 'all addresses'} and speaks plain HTTP: requests are signed, but "
            "photos and answers can be read on the way. Put a TLS proxy in front, and name its URL in "
            "CUSTODES_ENDPOINT.",
            style="yellow",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    console.print("\nPaste this into Python (pip install boto3):\n", style="dim")
    console.print(snippet, highlight=False, soft_wrap=True, markup=False)
    console.print("\nctrl-c ends it; logs follow on standard error.\n", style="dim")


def _is_open(server: Server) -> bool:
    """Tell whether other machines can reach the server, and none that speaks TLS is said to stand in front of it."""
    if server.endpoint.startswith("https://"):
        return False
    try:
        return not ipaddress.ip_address(server.host).is_loopback
    except ValueError:
        return server.host != "localhost"


def add_to(program: typer.Typer) -> None:
    """Add the command."""
    program.command("serve")(run)


def _leave(*_: object) -> None:
    """End the process with what is open closed."""
    raise SystemExit(0)


def run() -> None:
    """Run the service until ctrl-c."""
    from custodes.api.server import bind, serve  # here, so that the other commands start without a web server
    from custodes.api.telemetry import configure_logging
    from custodes.app import App
    from custodes.worker import Boards, Housekeeper, Importer, Watchers, notify

    config = configuration()
    configure_logging(config.log)
    listener = bind(config.server.host, config.server.port)
    app = App.open(config, notify=notify)
    try:
        endpoint = config.at_port(listener.getsockname()[1]).endpoint_url
        snippet = _snippet(app.identity, endpoint, config.server.region)
        invitation = _invitation(app, endpoint)
        for way in (signal.SIGINT, signal.SIGTERM):  # the server raises them again when it has answered what it began
            signal.signal(way, _leave)
        housekeeper = Housekeeper(app, config.ledger.retention_seconds)
        importer = Importer(app, config.imports.poll_seconds)
        boards = Boards(app, config.sharing.poll_seconds)
        watchers = Watchers(app) if config.cameras.run else None

        def ready() -> None:
            _announce(config, endpoint, snippet, invitation)
            housekeeper.start()
            importer.start()
            boards.start()
            if watchers is not None:
                watchers.start()

        try:
            with kept(config, endpoint):
                serve(app, listener, ready)
            housekeeper.stop()
        finally:  # however it ends, no image is left half looked at
            importer.stop()
            boards.stop()
            if watchers is not None:
                watchers.stop()
    finally:
        app.close()
