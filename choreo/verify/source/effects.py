"""What reaches out of the local transaction, and what is different each time: by dotted names."""

from __future__ import annotations

import ast
import re

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


def outside(origin: str, call: ast.Call | None = None) -> str:
    """Say what a call does beyond the local transaction; empty where it does nothing there.

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


def changes(origin: str, call: ast.Call | None = None) -> bool:
    """Say whether a call gives something else each time; chance that is given its seed does not.

    >>> changes("datetime.datetime.now"), changes("datetime.timedelta")
    (True, False)
    """
    if origin == "random.Random":
        return call is not None and not call.args
    return _CHANGES.fullmatch(origin) is not None


def _writes(call: ast.Call, is_method: bool) -> bool:
    """Say whether a file is opened to be written; a mode that isn't written out is taken for reading."""
    position = 0 if is_method else 1
    modes = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] + call.args[position:][:1]
    return any(
        isinstance(mode, ast.Constant) and isinstance(mode.value, str) and set(mode.value) & set("wax+")
        for mode in modes
    )
