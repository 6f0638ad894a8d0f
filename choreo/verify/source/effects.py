"""Finds calls with effects beyond the local transaction, and calls that have another result each time.

They are known by their dotted names, and followed through the functions of the project.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from choreo.manifest.manifest import Link
from choreo.verify.source.module import FunctionNode
from choreo.verify.source.origins import LONGEST, Defined, Origins
from choreo.verify.source.scope import Scope, own_nodes

_OUTSIDE = {
    "waits for another service": (
        r"(requests|httpx)\.(get|post|put|patch|delete|head|options|request|stream)",
        r"requests\.(Session|session)\(\)\.\w+",
        r"httpx\.Client\(\)\.\w+",
        r"urllib\.request\.(urlopen|urlretrieve)",
        r"urllib3\.(request|PoolManager\(\)\.\w+)",
        r"http\.client\.HTTPS?Connection\(\)\.\w+",
        r"(boto3|botocore)\.(\w+\(\)\.)+\w+",
        r"grpc\.(insecure|secure)_channel\(\)\.\w+",
        r"xmlrpc\.client\.ServerProxy\(\)\.\w+",
        r"socket\.(create_connection|socket\(\)\.(connect|sendall?|sendto|recv\w*))",
        r"(smtplib|ftplib|poplib|imaplib)\.\w+\(\)\.\w+",
        r"(paramiko|ldap3|stripe|twilio|sendgrid)\.[\w.()]+",
    ),
    "publishes beside the outbox": (
        r"confluent_kafka(\.\w+)*\.(\w*Producer)\(\)\.(produce|flush|send_offsets_to_transaction)",
        r"(kafka|aiokafka)\.(AIO)?KafkaProducer\(\)\.\w+",
        r"pika\.\w+\(\)\.channel\(\)\.\w+",
        r"(kombu|celery|dramatiq|nats)\.[\w.()]+",
        r"redis\.\w+\(\)\.\w+",
    ),
    "ends, or opens, a transaction of its own": (
        r"choreo(\.\w+)*\.Context\(\)\.db(\.conn)?\.(commit|rollback|close|executescript)",
        r"choreo(\.\w+)*\.Participant\(\)\.transaction",
        r"sqlite3\.connect",
        r"sqlite_utils\.Database",
        r"(psycopg|psycopg2|asyncpg|MySQLdb|pymysql|pymongo|cx_Oracle|oracledb)\.(connect|MongoClient)",
        r"sqlalchemy(\.\w+)*\.(create_engine|Session)",
    ),
    "sleeps": (r"time\.sleep", r"threading\.Event\(\)\.wait"),
    "starts a process or a thread": (
        r"subprocess\.(run|call|check_call|check_output|Popen|getoutput|getstatusoutput)",
        r"os\.(system|popen|fork|spawn\w*|exec\w*|kill)",
        r"threading\.Thread\(\)\.start",
        r"multiprocessing\.Process\(\)\.start",
        r"concurrent\.futures\.\w+\(\)\.(submit|map)",
        r"asyncio\.(run|create_task|ensure_future)",
    ),
    "changes files": (
        r"os\.(remove|unlink|rename|replace|mkdir|makedirs|rmdir|truncate|symlink|link)",
        r"shutil\.(copy\w*|move|rmtree)",
        r"pathlib\.Path\(\)(\.\w+(\(\))?)*\.(write_text|write_bytes|unlink|rename|replace|mkdir|rmdir|touch)",
    ),
}

_CHANGING = (
    r"datetime(\.datetime|\.date)?\.(now|utcnow|today)",
    r"time\.(time|time_ns|localtime|gmtime|ctime)",
    r"uuid\.uuid[147]",
    r"random\.(?!Random$|seed$|SystemRandom$)\w+",
    r"random\.SystemRandom\(\)\.\w+",
    r"secrets\.\w+",
    r"os\.urandom",
    r"numpy\.random\.\w+",
)

_OPENED = re.compile(r"(io\.|codecs\.)?open|pathlib\.Path\(\)(\.\w+(\(\))?)*\.open")

_EFFECTS = [
    (re.compile("|".join(f"(?:{each})" for each in patterns)), what) for what, patterns in _OUTSIDE.items()
]
_CHANGES = re.compile("|".join(f"(?:{each})" for each in _CHANGING))

_CALL_NO_ARGUMENT = frozenset(
    [
        "callable",
        "delattr",
        "dir",
        "getattr",
        "hasattr",
        "hash",
        "id",
        "isinstance",
        "issubclass",
        "print",
        "repr",
        "setattr",
        "str",
        "type",
        "vars",
        "typing.cast",
        "typing.get_type_hints",
    ]
)
"""Functions that call none of their arguments."""

Classify = Callable[[str, ast.Call], str]
"""Return what is wrong with a call to this origin; empty where nothing is."""


def outside(origin: str, call: ast.Call | None = None) -> str:
    """Return what a call does beyond the local transaction; empty where it does nothing there.

    >>> outside("requests.Session().post")
    'waits for another service'
    >>> outside("requests.Request")
    ''
    """
    for pattern, what in _EFFECTS:
        if pattern.fullmatch(origin):
            return what
    if call is not None and _OPENED.fullmatch(origin) and _writes(call, "Path" in origin):
        return "changes files"
    return ""


def nondeterministic(origin: str, call: ast.Call | None = None) -> str:
    """Return that a call has another result each time, or nothing; a generator with a seed has the same.

    >>> nondeterministic("datetime.datetime.now"), nondeterministic("datetime.timedelta")
    ('differs from call to call', '')
    """
    if origin == "random.Random":
        differs = call is not None and not call.args
    else:
        differs = _CHANGES.fullmatch(origin) is not None
    return "differs from call to call" if differs else ""


def _writes(call: ast.Call, is_method: bool) -> bool:
    """Whether a file is opened for writing; a mode that isn't a literal counts as reading."""
    position = 0 if is_method else 1
    modes = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] + call.args[position:][:1]
    return any(
        isinstance(mode, ast.Constant) and isinstance(mode.value, str) and set(mode.value) & set("wax+")
        for mode in modes
    )


class Effect(NamedTuple):
    """A call with an effect: its dotted name, what is wrong with it, and the calls that lead to it."""

    origin: str
    what: str
    chain: tuple[Link, ...]


def effects_of(origins: Origins, function: FunctionNode, scope: Scope, classify: Classify) -> list[Effect]:
    """Return every call with an effect that a function makes, itself or through others; the nearest first."""
    return list(_Walk(origins, classify).through(Defined(function, scope, function.name), ()))


class _Walk:
    def __init__(self, origins: Origins, classify: Classify) -> None:
        self._origins = origins
        self._classify = classify
        self._seen: set[int] = set()

    def through(self, where: Defined, chain: tuple[Link, ...]) -> Iterator[Effect]:
        if id(where.function) in self._seen or len(chain) > LONGEST:
            return
        self._seen.add(id(where.function))
        scope = where.scope.within(where.function)
        inner: list[tuple[Defined, tuple[Link, ...]]] = []
        for call in own_nodes(where.function):
            if not isinstance(call, ast.Call):
                continue
            link = (*chain, scope.module.link(call.lineno))
            yield from self._effects(call, scope, link)
            inner += [(each, link) for each in self._called(call, scope)]
        for defined, link in inner:
            yield from self.through(defined, link)

    def _effects(self, call: ast.Call, scope: Scope, chain: tuple[Link, ...]) -> Iterator[Effect]:
        for named in self._named(call, scope):
            origin = self._origins.of(named, scope)
            what = self._classify(origin, call) if origin else ""
            if what:
                yield Effect(origin, what, chain)

    def _called(self, call: ast.Call, scope: Scope) -> Iterator[Defined]:
        for named in self._named(call, scope):
            defined = self._origins.function(named, scope)
            if defined is not None:
                yield defined

    def _named(self, call: ast.Call, scope: Scope) -> Iterator[ast.expr]:
        """Return what is called, and what is passed on to be called: ``submit(requests.post, …)``."""
        yield call.func
        if self._origins.of(call.func, scope) not in _CALL_NO_ARGUMENT:
            for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
                if isinstance(argument, (ast.Name, ast.Attribute)):
                    yield argument
