# SPDX-License-Identifier: Apache-2.0
"""``custodes serve``: the service."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import typer

from custodes.cli.output import configuration, console
from custodes.config import Config

if TYPE_CHECKING:
    from custodes.governance import AccessKey

__all__ = ["add_to"]

_SNIPPET = """import boto3

custodes = boto3.client(
    "rekognition",
    endpoint_url="{endpoint}",
    region_name="{region}",
    aws_access_key_id="{key}",
    aws_secret_access_key="{secret}",
)
print(custodes.list_collections())"""


def _announce(config: Config, endpoint: str, key: AccessKey) -> None:
    console.print(f"\n[bold]Custodes[/bold] answers at [bold]{endpoint}[/bold]", highlight=False)
    console.print(f"Data folder: {config.data.resolve()}", highlight=False, soft_wrap=True, markup=False)
    console.print("\nPaste this into Python (pip install boto3):\n", style="dim")
    snippet = _SNIPPET.format(endpoint=endpoint, region=config.server.region, key=key.access_key_id, secret=key.secret)
    console.print(snippet, highlight=False, soft_wrap=True, markup=False)
    console.print("\nctrl-c ends it; logs follow on standard error.\n", style="dim")


def add_to(program: typer.Typer) -> None:
    """Add the command."""
    program.command("serve")(run)


def run() -> None:
    """Run the service until ctrl-c."""
    from custodes.api.server import bind, serve  # here, so that the other commands start without a web server
    from custodes.api.telemetry import configure_logging
    from custodes.app import App

    config = configuration()
    configure_logging(config.log)
    listener = bind(config.server.host, config.server.port)
    app = App.open(config)
    key = app.identity.first_key(config.server.region)
    port = listener.getsockname()[1]
    endpoint = config.server.endpoint or config.at_port(port).endpoint_url
    threading.Thread(target=app.warm, name="warm-up", daemon=True).start()
    try:
        serve(app, listener, lambda: _announce(config, endpoint, key))
    finally:
        app.close()
