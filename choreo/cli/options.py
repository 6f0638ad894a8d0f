"""The options that several commands share, and the order in which the value of a setting is looked for.

A setting is looked for in this order: command line, environment variable (``CHOREO_STORE`` for ``--store``),
``[tool.choreo]`` of the nearest ``pyproject.toml``, default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from choreo.cli.output import LEVELS, LOG_FORMATS
from choreo.errors import ConfigurationError
from choreo.operations.spans import milliseconds_in
from choreo.project.pyproject import KEYS, nearest_project

Start = Literal["earliest", "latest"] | datetime

F = TypeVar("F", bound=Callable[..., Any])

_EXAMPLE = "2026-01-31T12:00:00Z"

_LAST_PORT = 65_535

_RANKS = {ParameterSource.COMMANDLINE: 2, ParameterSource.ENVIRONMENT: 1}


def _setting(key: str, default: Any = None, **options: Any) -> Callable[[F], F]:
    """Declare the option ``--key``, whose default is looked up in ``pyproject.toml``."""

    def otherwise() -> Any:
        found = nearest_project().get(key) if key in KEYS else None
        return default if found is None else found

    name = key.replace("-", "_")
    variable = f"CHOREO_{name.upper()}"
    # ``from`` is a keyword of Python's.
    parameter = "start" if key == "from" else name
    return click.option(
        f"--{key}", parameter, envvar=variable, default=otherwise, show_envvar=True, **options
    )


class Duration(click.ParamType[int]):
    """A span of time, written like ``90s``, ``10m``, ``2h`` or ``7d``, in milliseconds.

    >>> Duration().convert("10m", None, None)
    600000
    """

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the milliseconds; any other text is refused."""
        if isinstance(value, int):
            return value
        try:
            return milliseconds_in(str(value))
        except ConfigurationError as error:
            self.fail(error.message, param, ctx)


class SagaId(click.ParamType[str]):
    """The id of a saga: a text, which not every argument of a process is."""

    name = "saga id"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the id; what no store can be asked for is refused."""
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail(f"{text!r:.100} is no text in UTF-8", param, ctx)
        return text


class Time(click.ParamType[datetime | str]):
    """A time in ISO 8601 that names its zone, or one of some words, such as ``latest``.

    >>> Time().convert("2026-01-31T13:00+01:00", None, None).isoformat()
    '2026-01-31T13:00:00+01:00'
    """

    name = "time"

    def __init__(self, *words: str) -> None:
        self._words = words

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | str:
        """Return the time, or the word; any other text is refused."""
        text = value.isoformat() if isinstance(value, datetime) else str(value)
        shown = f"{text!r:.100}"
        if text in self._words:
            return text
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            words = f"{', '.join(self._words)} or " if self._words else ""
            self.fail(f"{shown} is not {words}a time like {_EXAMPLE}", param, ctx)
        # Whose time would be meant depends on the machine, and hardly two have the same.
        if found.tzinfo is None:
            self.fail(f"{shown} has no time zone: write {_EXAMPLE}", param, ctx)
        # In milliseconds it is no time any more: to Kafka, -1 is the end of a partition.
        if found.timestamp() < 0.001:
            self.fail(f"{shown} is too early: write {_EXAMPLE}", param, ctx)
        return found


LETTER = click.IntRange(1, 2**63 - 1)
"""The number of a dead letter, as databases count."""

START = Time("earliest", "latest")
"""Where a participant that is new to a topic begins to act."""


def address(value: str) -> tuple[str, int]:
    """Return host and port; the host of ``9464`` is the loopback.

    >>> address("9464"), address("0.0.0.0:9464"), address("[::1]:9464")
    (('127.0.0.1', 9464), ('0.0.0.0', 9464), ('::1', 9464))
    """
    host, _, port = value.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise click.BadParameter(f"{value!r} is not a port, or HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


store = _setting(
    "store",
    "{participant}.db",
    metavar="PATH",
    help="The participant's SQLite database, or postgresql://HOST/DATABASE; {participant} stands for its "
    "name. Default: {participant}.db in the working directory.",
)
start = _setting(
    "from",
    "earliest",
    type=START,
    metavar="WHERE",
    help="Where a participant that is new to a topic begins to act: earliest, latest, or a time "
    "with its zone, such as 2026-01-31T12:00:00Z. Events before that are read, but not acted on. Default: "
    "earliest.",
)
schemas = _setting("schemas", metavar="FOLDER", help="The folder of Avro schemas. Default: schemas.")
log_format = _setting(
    "log-format",
    "text",
    type=click.Choice(LOG_FORMATS),
    help="How to log: lines of text, or an object of JSON a line. Default: text.",
)
log_level = _setting(
    "log-level", "info", type=click.Choice(LEVELS), help="How much to log on stderr. Default: info."
)
calls = _setting(
    "calls",
    200,
    type=click.IntRange(1),
    metavar="N",
    help="How many actions may be called at the same time outside of the transaction (async def, "
    "blocking=True), and how many compensations. The others wait in the store. Default: 200.",
)
admin = _setting(
    "admin",
    type=address,
    metavar="[HOST:]PORT",
    help="Serve /livez, /readyz and /metrics at this address, of the loopback where no host is given. "
    "Default: nowhere.",
)
drain = _setting(
    "drain",
    5.0,
    type=click.FloatRange(0, 86_400),
    metavar="SECONDS",
    help="How long a stop waits for the calls under way; none begins meanwhile. Those that are left are "
    "called again, with the same key, after the next start. Default: 5.",
)
partitions = _setting(
    "partitions",
    12,
    type=click.IntRange(1),
    metavar="N",
    help="The number of partitions of each topic. Choose as many as it will ever need: adding some later "
    "breaks the order of sagas in flight. Default: 12.",
)
replication = _setting(
    "replication",
    -1,
    type=click.IntRange(-1),
    metavar="N",
    help="The number of copies of each partition. Default: the cluster's own.",
)
embedded = _setting(
    "embedded",
    False,
    is_flag=True,
    help="Start a broker inside this process, in memory only. With --bootstrap: join the embedded broker "
    "of another process.",
)
_bootstrap = _setting("bootstrap", metavar="HOST:PORT", help="The address of the Kafka cluster.")
_NEXT_SETTING = re.compile(r"\s+(?=(?:debug|[a-z0-9_]+(?:\.[a-z0-9_]+)+)=)")
"""The space before another setting in a line; any other space belongs to a value."""


def _settings_in(text: str) -> list[str]:
    """Return the settings in a variable.

    >>> _settings_in("sasl.password=correct horse  linger.ms=5")
    ['sasl.password=correct horse', 'linger.ms=5']
    """
    return [each for each in lines_in(text) or _NEXT_SETTING.split(text.strip()) if each]


def lines_in(text: str) -> list[str]:
    """Return the lines of a variable that has several; none where it has one."""
    return [each for each in text.splitlines() if each.strip()] if "\n" in text.strip() else []


class Listed(click.Option):
    """An option that may be repeated; in its variable, a value may hold spaces.

    ``separate`` returns the values in the variable. With ``add``, what is given on the command line comes
    after these; otherwise it replaces them.
    """

    def __init__(
        self, *args: Any, separate: Callable[[str], list[str]], add: bool = False, **extra: Any
    ) -> None:
        super().__init__(*args, **{"multiple": True, "show_envvar": True, **extra})
        self._separate = separate
        self._add = add

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return the values in the variable; None where it is not set."""
        text = self.resolve_envvar_value(ctx)
        return None if text is None else self._separate(text)

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """Return the values, and where they are from."""
        value, source = super().consume_value(ctx, opts)
        if self._add and source is ParameterSource.COMMANDLINE:
            value = [*(self.value_from_envvar(ctx) or ()), *value]
        return value, source


_kafka = click.option(
    "--kafka",
    cls=Listed,
    separate=_settings_in,
    add=True,
    metavar="KEY=VALUE",
    envvar="CHOREO_KAFKA",
    help="A setting of librdkafka, passed on unchanged; may be repeated. It adds to those of CHOREO_KAFKA, "
    "which has one a line, and of [tool.choreo.kafka].",
)


def cluster(function: F) -> F:
    """Declare the options that name the Kafka cluster and its settings."""
    return _bootstrap(_kafka(function))


class Cluster(NamedTuple):
    """A Kafka cluster; an empty ``bootstrap`` means that the embedded broker is to be started."""

    bootstrap: str
    embedded: bool
    kafka: Mapping[str, Any]


def chosen_cluster(context: click.Context) -> Cluster:
    """Return the cluster that a command's options name. Raises `ConfigurationError` where none does.

    Of an address and ``--embedded``, the one that is set closer to the command line counts; both set in the
    same place mean another process's embedded broker.
    """
    bootstrap = context.params["bootstrap"] or ""
    embedded = context.params.get("embedded", False)
    if bootstrap and embedded:
        ranks = {name: _rank(context, name) for name in ("bootstrap", "embedded")}
        bootstrap = bootstrap if ranks["bootstrap"] >= ranks["embedded"] else ""
        embedded = ranks["embedded"] >= ranks["bootstrap"]
    if not bootstrap and not embedded:
        ways = ["--bootstrap HOST:PORT", "CHOREO_BOOTSTRAP", "bootstrap in [tool.choreo] of pyproject.toml"]
        if "embedded" in context.params:
            ways.append("--embedded")
        raise ConfigurationError(
            "no Kafka cluster is named", hint=f"give {', '.join(ways[:-1])} or {ways[-1]}"
        )
    return Cluster(bootstrap, embedded, _kafka_settings(context.params["kafka"]))


def _rank(context: click.Context, name: str) -> int:
    source = context.get_parameter_source(name)
    return _RANKS.get(source, 0) if source else 0


def _kafka_settings(pairs: tuple[str, ...]) -> dict[str, Any]:
    settings = dict(nearest_project().get("kafka") or {})
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not key or not separator:
            raise ConfigurationError(
                "a value of --kafka or CHOREO_KAFKA is not of the form KEY=VALUE",
                hint="for example --kafka security.protocol=SSL",
            )
        settings[key] = value
    return settings
