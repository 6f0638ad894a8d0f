"""``choreo dashboard``: serves the page on which a choreography is seen and worked with."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from choreo.cli import options, output
from choreo.cli.stores import stores
from choreo.errors import ConfigurationError
from choreo.operations.stores import named_stores

_SHORTEST_TOKEN = 16


@click.command(short_help="Serve a page with all sagas, and what needs a person.")
@click.argument("modules", metavar="[MODULE|MANIFEST|FOLDER]...", nargs=-1)
@stores
@click.option(
    "--listen",
    type=options.address,
    default="9470",
    show_default=True,
    metavar="[HOST:]PORT",
    help="The address of the page, of the loopback where no host is given. Any other one needs --token.",
)
@click.option("--read-only", is_flag=True, help="Show everything, and let nobody change anything.")
@click.option(
    "--token",
    envvar="CHOREO_TOKEN",
    show_envvar=True,
    default="",
    metavar="TEXT",
    help="What a visitor must know: browsers ask for it, scripts send it as `Authorization: Bearer`.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="A name by which browsers call the page, such as that of a proxy; may be repeated.",
)
@options.schemas
@options.log_level
@options.log_format
def dashboard(
    modules: tuple[str, ...],
    stores: Sequence[str],
    listen: tuple[str, int],
    read_only: bool,
    token: str,
    names: tuple[str, ...],
    schemas: str | None,
    log_level: str,
    log_format: Literal["text", "json"],
) -> None:
    """Serve a page: what needs a person, sagas, one saga, the choreography, the participants.

    It reads participants' stores, whether their workers run or not, and holds no lock. What is done there
    with dead letters is what `choreo dlq` does, and is logged with who did it and why. Without names, the
    choreography is that of the modules of [tool.choreo].

    \b
    Examples:
      choreo dashboard shop --store /var/lib/shop
      choreo dashboard --store orders.db --store postgresql://db/payments --read-only
      CHOREO_TOKEN=$(openssl rand -hex 16) choreo dashboard shop --listen 0.0.0.0:9470 --name ops.shop.example
    """
    output.write_errors_as(log_format)
    host, port = listen
    is_local = _is_loopback(host)
    _refuse_open(host, token, is_local=is_local)
    named_stores(stores)
    try:
        from choreo.dashboard.server import serve
    except ImportError as error:
        raise ConfigurationError(
            f"the page needs a web server, which can't be used here: {error}",
            hint="pip install 'choreo-saga[dashboard]'",
        ) from None
    output.set_up_logging(log_level, log_format)
    serve(
        host,
        port,
        lambda address: output.line(f"{address} (end it with Ctrl-C)"),
        stores,
        modules,
        schemas=Path(schemas or "schemas"),
        read_only=read_only,
        token=token,
        hosts=[*names, host],
        is_open=not is_local,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse_open(host: str, token: str, *, is_local: bool) -> None:
    """Raise `ConfigurationError` for a page that others than this machine's users could see unasked."""
    if token and not re.fullmatch(f"[!-~]{{{_SHORTEST_TOKEN},}}", token):
        raise ConfigurationError(
            f"a token has {_SHORTEST_TOKEN} characters or more, all of ASCII and without spaces or line ends",
            hint="such as: openssl rand -hex 16",
        )
    if not is_local and not token:
        raise ConfigurationError(
            f"{host} is not of the loopback, and anybody could use the page there",
            hint="give --token, or put your own authentication in front of the loopback",
        )
