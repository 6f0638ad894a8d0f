"""The tables of a store, version by version, applied with sqlite-utils' migrations (set ``choreo``).

A migration that was ever released stays as it is; a change is a new one below the others.
"""

from __future__ import annotations

import uuid

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from choreo.errors import StoreError

migrations = Migrations("choreo")

NAMES = (
    "0001_tables",
    "0002_lanes",
    "0003_letters",
    "0004_chain",
    "0005_claims",
    "0006_saga_keys",
    "0007_attempts",
    "0008_topics",
    "0011_room",
    "0012_releases",
    "0013_results",
    "0014_unended",
    "0015_in_flight",
)
"""Every migration below, in order: a store that has others is of a newer choreo."""

_FIRST_TABLES = ("saga_log", "outbox", "schedule", "positions", "dead_letters", "choreo_store")

_RELEASES_NAME = "0012_releases"
_IN_FLIGHT_NAME = "0015_in_flight"
_LATER_TABLES = {_RELEASES_NAME: "releases", _IN_FLIGHT_NAME: "sagas_in_flight"}

TABLES = (*_FIRST_TABLES, *_LATER_TABLES.values())

TRIGGERS = ("saga_log_refuses_UPDATE", "saga_log_refuses_DELETE", "saga_log_goes_on", "saga_log_ends")
"""Those of the saga log; a tool that makes the table anew may lose them."""


def migrate(db: Database) -> None:
    """Bring the tables up to date, in one transaction; several processes may do so at once.

    Raises `StoreError` where a newer choreo made them, or another program has a table of such a name.
    """
    if not _pending(db):
        return
    db.conn.execute("BEGIN IMMEDIATE")
    try:
        # Asked again under the lock: another process may have been faster.
        if _pending(db):
            _refuse_foreign_tables(db)
            migrations.apply(db)
        db.conn.commit()
    except BaseException:
        db.conn.rollback()
        raise


def _pending(db: Database) -> bool:
    applied = {migration.name for migration in migrations.applied(db)}
    unknown = applied.difference(NAMES)
    if unknown:
        raise StoreError(
            f"a newer choreo made this store (it has {', '.join(sorted(unknown))})",
            hint="upgrade choreo here, or restore the file of before",
        )
    return bool(migrations.pending(db))


def _refuse_foreign_tables(db: Database) -> None:
    applied = {migration.name for migration in migrations.applied(db)}
    missing: set[str] = set() if NAMES[0] in applied else set(_FIRST_TABLES)
    missing.update(table for name, table in _LATER_TABLES.items() if name not in applied)
    taken = sorted(missing.intersection(db.table_names()))
    if taken:
        raise StoreError(
            f"the database has tables already that choreo needs the names of: {', '.join(taken)}",
            hint="give choreo a file of its own, or rename them",
        )


# saga_log is read by saga only, and rows of one saga lie in the index in the order of their ids. So one
# index is enough for history and for payload, and each further one costs time on every row.
_SAGA_LOG = """
CREATE TABLE saga_log (
    id INTEGER PRIMARY KEY,
    saga_id TEXT NOT NULL,
    saga_type TEXT NOT NULL,
    saga_version INTEGER NOT NULL,
    saga_state TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    input TEXT NOT NULL,
    step TEXT NOT NULL,
    old_state TEXT NOT NULL,
    new_state TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    outcome TEXT NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    causation_id TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    event_time INTEGER NOT NULL,
    payload BLOB,
    note TEXT NOT NULL,
    traceparent TEXT NOT NULL
) STRICT
"""

_REFUSE_CHANGE = """
CREATE TRIGGER saga_log_refuses_{verb} BEFORE {verb} ON saga_log
BEGIN SELECT RAISE(ABORT, 'saga_log is append-only'); END
"""

# AUTOINCREMENT, here and for dead letters: a number that was given once must never name another row,
# as an acknowledgement of it may still be under way.
_OUTBOX = """
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    saga_id TEXT NOT NULL,
    topic TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT
"""

_SCHEDULE = """
CREATE TABLE schedule (
    id INTEGER PRIMARY KEY,
    saga_id TEXT NOT NULL,
    saga_type TEXT NOT NULL,
    task TEXT NOT NULL,
    name TEXT NOT NULL,
    event_id TEXT NOT NULL,
    due INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    UNIQUE (saga_id, task, name, event_id)
) STRICT
"""

_POSITIONS = """
CREATE TABLE positions (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    end_offset INTEGER NOT NULL,
    acts_from INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID
"""

_DEAD_LETTERS = """
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    saga_id TEXT NOT NULL,
    saga_type TEXT NOT NULL,
    task TEXT NOT NULL,
    name TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    key BLOB,
    headers TEXT NOT NULL,
    value BLOB,
    attempt INTEGER NOT NULL
) STRICT
"""

_CHOREO_STORE = """
CREATE TABLE choreo_store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    store_id TEXT NOT NULL,
    cluster_id TEXT,
    participant TEXT
) STRICT
"""

_RELEASES = """
CREATE TABLE releases (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    manifest TEXT NOT NULL,
    since INTEGER NOT NULL,
    positions TEXT NOT NULL,
    after INTEGER NOT NULL,
    retired TEXT NOT NULL
) STRICT
"""

# The chain shows what was changed; this only keeps it from happening by mistake.
_REFUSE_UNLESS_UNLOCKED = """
CREATE TRIGGER saga_log_refuses_{verb} BEFORE {verb} ON saga_log WHEN NOT (SELECT unlocked FROM choreo_store)
BEGIN SELECT RAISE(ABORT, 'saga_log is append-only'); END
"""


# The same columns as before; only what is unique differs, which SQLite can't change in place.
_KEYED_SCHEDULE = """
CREATE TABLE keyed_schedule (
    id INTEGER PRIMARY KEY,
    saga_id TEXT NOT NULL,
    saga_type TEXT NOT NULL,
    task TEXT NOT NULL,
    name TEXT NOT NULL,
    event_id TEXT NOT NULL,
    due INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    lane TEXT NOT NULL DEFAULT 'turn',
    until INTEGER NOT NULL DEFAULT 0,
    UNIQUE (saga_id, saga_type, task, name, event_id)
) STRICT
"""
_SCHEDULE_COLUMNS = "id, saga_id, saga_type, task, name, event_id, due, attempt, lane, until"

# An outbox row's headers are lines; no value of them holds a newline.
_OUTBOX_TYPE = """
UPDATE outbox SET saga_type = (
    WITH rest (text) AS (
        SELECT substr(lines, instr(lines, mark) + length(mark)) || char(10)
        FROM (SELECT char(10) || outbox.headers AS lines, char(10) || 'ce_sagatype: ' AS mark)
        WHERE instr(lines, mark) > 0
    )
    SELECT ifnull((SELECT substr(text, 1, instr(text, char(10)) - 1) FROM rest), '')
)
"""


@migrations(name=NAMES[0])
def tables(db: Database) -> None:
    """Create the first tables, and the store's id."""
    connection = db.conn
    for statement in (_SAGA_LOG, _OUTBOX, _SCHEDULE, _POSITIONS, _DEAD_LETTERS, _CHOREO_STORE):
        connection.execute(statement)
    for verb in ("UPDATE", "DELETE"):
        connection.execute(_REFUSE_CHANGE.format(verb=verb))
    connection.execute("CREATE INDEX saga_log_by_saga ON saga_log (saga_id)")
    connection.execute("CREATE INDEX schedule_by_due ON schedule (due)")
    connection.execute("INSERT INTO choreo_store (id, store_id) VALUES (1, ?)", (uuid.uuid4().hex,))


@migrations(name=NAMES[1])
def lanes(db: Database) -> None:
    """Add lanes, which separate what a turn does from what is called outside of it."""
    connection = db.conn
    connection.execute("ALTER TABLE schedule ADD COLUMN lane TEXT NOT NULL DEFAULT 'turn'")
    connection.execute("ALTER TABLE schedule ADD COLUMN until INTEGER NOT NULL DEFAULT 0")
    connection.execute("DROP INDEX schedule_by_due")
    connection.execute("CREATE INDEX schedule_by_lane ON schedule (lane, due)")


@migrations(name=NAMES[2])
def letters(db: Database) -> None:
    """Add the state of dead letters, and the body that was written by hand instead of an event's."""
    connection = db.conn
    for column in ("state TEXT NOT NULL DEFAULT 'open'", "comment TEXT NOT NULL DEFAULT ''"):
        connection.execute(f"ALTER TABLE dead_letters ADD COLUMN {column}")
    connection.execute("ALTER TABLE dead_letters ADD COLUMN closed_at INTEGER NOT NULL DEFAULT 0")
    connection.execute("ALTER TABLE dead_letters ADD COLUMN edited BLOB")
    # Nearly always empty: what is due asks it each time.
    connection.execute("CREATE INDEX dead_letters_edited ON dead_letters (saga_id) WHERE edited IS NOT NULL")


@migrations(name=NAMES[3])
def chain(db: Database) -> None:
    """Link the rows of a saga, and allow payloads and old sagas to be erased.

    Rows of before stay as they are, as a big log can't be rewritten in one transaction. Those of a saga that
    goes on are sealed by its next row, which follows the link that they would have; those of a saga that
    had ended are not protected.
    """
    connection = db.conn
    for column in ("salt", "digest", "link"):
        connection.execute(f"ALTER TABLE saga_log ADD COLUMN {column} BLOB")
    connection.execute("ALTER TABLE choreo_store ADD COLUMN unchained INTEGER NOT NULL DEFAULT 0")
    connection.execute("ALTER TABLE choreo_store ADD COLUMN unlocked INTEGER NOT NULL DEFAULT 0")
    connection.execute("UPDATE choreo_store SET unchained = ifnull((SELECT max(id) FROM saga_log), 0)")
    for verb in ("UPDATE", "DELETE"):
        connection.execute(f"DROP TRIGGER saga_log_refuses_{verb}")
        connection.execute(_REFUSE_UNLESS_UNLOCKED.format(verb=verb))


@migrations(name=NAMES[4])
def claims(db: Database) -> None:
    """Add which worker has claimed the store, so that one that was replaced is fenced."""
    db.conn.execute("ALTER TABLE choreo_store ADD COLUMN claimed_by TEXT")


@migrations(name="0006_saga_keys")
def saga_keys(db: Database) -> None:
    """Key everything by saga type and id, and mark the sagas whose ids were derived from the id alone.

    Those have a row up to the number ``keyed_by_id``, and keep their ids and their chains. A worker of before
    is fenced, as it would go on to derive the ids of new sagas so.
    """
    connection = db.conn
    connection.execute("ALTER TABLE outbox ADD COLUMN saga_type TEXT NOT NULL DEFAULT ''")
    connection.execute(_OUTBOX_TYPE)
    connection.execute(_KEYED_SCHEDULE)
    connection.execute(
        f"INSERT INTO keyed_schedule ({_SCHEDULE_COLUMNS}) SELECT {_SCHEDULE_COLUMNS} FROM schedule"
    )
    connection.execute("DROP TABLE schedule")
    connection.execute("ALTER TABLE keyed_schedule RENAME TO schedule")
    connection.execute("CREATE INDEX schedule_by_lane ON schedule (lane, due)")
    connection.execute("DROP INDEX saga_log_by_saga")
    connection.execute("CREATE INDEX saga_log_by_saga ON saga_log (saga_id, saga_type)")
    connection.execute("DROP INDEX dead_letters_edited")
    connection.execute("CREATE INDEX dead_letters_by_saga ON dead_letters (saga_id, saga_type)")
    connection.execute("ALTER TABLE choreo_store ADD COLUMN keyed_by_id INTEGER NOT NULL DEFAULT 0")
    connection.execute(
        "UPDATE choreo_store SET claimed_by = NULL, keyed_by_id = ifnull((SELECT max(id) FROM saga_log), 0)"
    )


@migrations(name="0007_attempts")
def attempts(db: Database) -> None:
    """Count how often the process has ended, and how often while something of the schedule was under way."""
    for table in ("schedule", "choreo_store"):
        db.conn.execute(f"ALTER TABLE {table} ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0")


@migrations(name="0008_topics")
def topics(db: Database) -> None:
    """Add which topic a position belongs to, as another one may be made under the same name."""
    db.conn.execute("ALTER TABLE positions ADD COLUMN topic_id TEXT NOT NULL DEFAULT ''")


@migrations(name="0011_room")
def room(db: Database) -> None:
    """Add an index of the time limits of what waits for a call, which are enforced without room for it."""
    # The limits of what waits already are found out at the first look at each: 1 has passed.
    db.conn.execute("UPDATE schedule SET until = 1 WHERE lane = 'call' AND task = 'action' AND until = 0")
    db.conn.execute("CREATE INDEX schedule_by_limit ON schedule (until) WHERE lane = 'call' AND until > 0")


@migrations(name=_RELEASES_NAME)
def releases(db: Database) -> None:
    """Add the declarations that the store's workers ran with, and since when."""
    db.conn.execute(_RELEASES)


@migrations(name="0013_results")
def results(db: Database) -> None:
    """Add who has settled a dead letter, and the event that was given as the result of its work."""
    for column in ("closed_by TEXT NOT NULL DEFAULT ''", "result_type TEXT NOT NULL DEFAULT ''"):
        db.conn.execute(f"ALTER TABLE dead_letters ADD COLUMN {column}")
    db.conn.execute("ALTER TABLE dead_letters ADD COLUMN result BLOB")


@migrations(name="0014_unended")
def unended(db: Database) -> None:
    """Add nothing any more: it was an index, which the next one makes needless."""


# Kept by the database, so that it holds for whoever writes: a worker, a service's own transaction, an import.
_IN_FLIGHT = (
    """
    CREATE TABLE sagas_in_flight (
        saga_id TEXT NOT NULL,
        saga_type TEXT NOT NULL,
        PRIMARY KEY (saga_id, saga_type)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TRIGGER saga_log_goes_on AFTER INSERT ON saga_log
    WHEN NEW.saga_state NOT IN ('completed', 'failed')
    BEGIN
        INSERT INTO sagas_in_flight VALUES (NEW.saga_id, NEW.saga_type) ON CONFLICT DO NOTHING;
    END
    """,
    """
    CREATE TRIGGER saga_log_ends AFTER INSERT ON saga_log WHEN NEW.saga_state IN ('completed', 'failed')
    BEGIN
        DELETE FROM sagas_in_flight WHERE saga_id = NEW.saga_id AND saga_type = NEW.saga_type;
    END
    """,
    """
    INSERT INTO sagas_in_flight
    SELECT saga_id, saga_type FROM (SELECT DISTINCT saga_id, saga_type FROM saga_log) AS each
    WHERE (
        SELECT saga_state FROM saga_log WHERE saga_id = each.saga_id AND saga_type = each.saga_type
        ORDER BY id DESC LIMIT 1
    ) NOT IN ('completed', 'failed')
    """,
    "DROP INDEX IF EXISTS saga_log_completed",
)


@migrations(name=_IN_FLIGHT_NAME)
def in_flight(db: Database) -> None:
    """Add a table of the sagas that go on, so that nobody looks for them among those that have ended."""
    for statement in _IN_FLIGHT:
        db.conn.execute(statement)
