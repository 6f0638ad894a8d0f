"""The recipes of the page on frameworks, in the project of getting-started: rows and starts, together."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from choreo.store.opening import ddl
from tests.docs.manual import PAGES
from tests.docs.test_getting_started import python
from tests.postgresql.databases import new_database

_WEB = """
import asyncio
from fastapi.testclient import TestClient
from web import fast, fast_async, flasks
from web.database import engine
for number, app in enumerate((fast.app, fast_async.app), 1):
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post(f"/orders/f-{number}?total=500").json() == f"f-{number}"
        assert client.post(f"/orders/f-{number}?total=500").status_code == 500  # its row is there already
        assert client.post(f"/orders/long-{number}{'x' * 300}?total=500").status_code == 500
        assert client.get(f"/orders/f-{number}?seconds=0").json() == "started"
        assert client.get("/orders/other?seconds=0").json() == "unknown"
from choreo import connect
connect(flasks.orders, store=flasks.STORE)
client = flasks.app.test_client()
assert client.post("/orders/f-3/500").text == "f-3"
assert client.post("/orders/f-3/500").status_code == 500
assert client.get("/orders/f-3").text == "started"
assert client.get("/orders/other").text == "unknown"
asyncio.run(fast_async.engine.dispose())
engine.dispose()
"""

_REPORTS = """
from choreo.testing import Harness
from shop import orders, payments, shipping
from shop.contract import OrderPlaced
from web.reports import reports
with Harness([orders.orders, payments.payments, shipping.shipping, reports]) as harness:
    harness.database("reports").execute("create table orders (order_id text primary key, status text)")
    for order_id, total in (("o-1", 500), ("o-2", 500_000)):
        orders.place(OrderPlaced(order_id, total))
    harness.run()
    print(harness.database("reports").execute("select * from orders order by order_id").fetchall())
"""

_ALEMBIC = """
from pathlib import Path
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from web.database import Base, engine
from web.own_tables import include_name
from choreo.store.opening import migrate
if engine.dialect.name == "postgresql":
    with engine.begin() as connection:
        Operations(MigrationContext.configure(connection)).execute(Path("choreo.sql").read_text())
else:
    migrate("orders.db")
def differences(**options):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        found = compare_metadata(context, Base.metadata)
        return [(what, getattr(table, "name", "")) for what, table, *_ in found]
assert differences(include_name=include_name) == [("add_table", "orders")]
Base.metadata.create_all(engine)
assert differences(include_name=include_name) == []
assert differences(include_name=include_name, include_schemas=True) == []
assert ("remove_table", "saga_log") in [each[:2] for each in differences(include_schemas=True)]
print(differences())
"""

_DJANGO = """
import json, sys
import django
from django.conf import settings
given = json.loads(sys.argv[1])
settings.configure(
    INSTALLED_APPS=["site_shop.apps.Shop"],
    ROOT_URLCONF="site_shop.views",
    ALLOWED_HOSTS=["testserver"],
    USE_TZ=True,
    **given,
)
django.setup()
from django.core.management import ManagementUtility, call_command
from django.test import Client
call_command("migrate", run_syncdb=True, verbosity=0)
client = Client(raise_request_exception=False)
assert client.post("/orders/d-1/500").content == b"d-1"
assert client.post("/orders/d-1/500").status_code == 500
assert client.post(f"/orders/long-{'x' * 300}/500").status_code == 500
from django.db import connections
connections.close_all()
ManagementUtility(["manage.py", "work", "--check"]).execute()
"""

_MIGRATION = """
from pathlib import Path
from django.db import migrations, models
class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel(
            "Order",
            [
                ("order_id", models.CharField(primary_key=True, max_length=100)),
                ("status", models.CharField(max_length=20)),
            ],
            options={"db_table": "orders"},
        ),
        migrations.RunSQL(Path("choreo.sql").read_text()),
    ]
"""


@pytest.fixture
def database(postgresql: str) -> Iterator[str]:
    """Return the address of a database without tables."""
    with new_database(postgresql) as address:
        yield address


def write_recipes(project: Path, address: str = "") -> None:
    """Write the files of the page, and with an address what its comments say of PostgreSQL."""
    url = address.replace("postgresql://", "postgresql+psycopg://")
    for name, text in PAGES["frameworks"].files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if address:
            text = text.replace('"orders.db"', repr(address))
            text = re.sub(r'f"sqlite(\+aiosqlite)?:///\{STORE\}"', lambda _: repr(url), text)
        path.write_text(text)
    if address:
        (project / "choreo.sql").write_text(ddl())


def started(project: Path, address: str = "") -> list[str]:
    """Return the orders of the service's own table, which are those that have been started."""
    if address:
        with psycopg.connect(address) as connection:
            found = connection.execute("select order_id from orders order by order_id").fetchall()
            assert found == connection.execute("select saga_id from choreo.requests order by id").fetchall()
            return [row for (row,) in found]
    with closing(sqlite3.connect(project / "orders.db")) as store:
        rows = [row for (row,) in store.execute("select order_id from orders order by rowid")]
        assert rows == [row for (row,) in store.execute("select saga_id from outbox order by seq")]
        assert rows == [row for (row,) in store.execute("select saga_id from saga_log order by id")]
    return rows


def run(project: Path, *words: str) -> str:
    done = python(project, "-W", "ignore", "-c", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sqlalchemy(project: Path) -> None:
    """FastAPI and Flask, with a session, an asynchronous one, one that fails at the flush or at the start.

    Alembic's autogenerate knows the service's tables alone, as it is told; a handler has a session, too.
    """
    write_recipes(project)
    seen, done = run(project, _ALEMBIC + _WEB + _REPORTS).splitlines()
    assert "saga_log" in seen
    assert done == "[('o-1', 'shipped'), ('o-2', 'failed')]"
    assert started(project) == ["f-1", "f-2", "f-3"]


def test_sqlalchemy_on_postgresql(project: Path, database: str) -> None:
    """The same, with what the comments say; Alembic need not be told, and makes the tables."""
    write_recipes(project, database)
    assert run(project, _ALEMBIC + _WEB) == "[]\n"
    assert started(project, database) == ["f-1", "f-2", "f-3"]


def test_django(project: Path) -> None:
    """Its ORM in ``atomic()``, the tables by ``migrate``, the worker's command."""
    write_recipes(project)
    settings = {
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "orders.db"}},
        "MIGRATION_MODULES": {"site_shop": None},
        "CHOREO_STORE": "orders.db",
    }
    assert run(project, _DJANGO, json.dumps(settings)).endswith("orders: it would start\n")
    assert started(project) == ["d-1"]


def test_django_on_postgresql(project: Path, database: str) -> None:
    """The tables by a migration of the service's own."""
    write_recipes(project, database)
    (project / "site_shop" / "migrations").mkdir()
    (project / "site_shop" / "migrations" / "__init__.py").touch()
    (project / "site_shop" / "migrations" / "0001_initial.py").write_text(_MIGRATION)
    given = conninfo_to_dict(database)
    settings = {
        "DATABASES": {
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": given["dbname"],
                "USER": given["user"],
                "HOST": given["host"],
                "PORT": given["port"],
            }
        },
        "CHOREO_STORE": database,
    }
    assert run(project, _DJANGO, json.dumps(settings)).endswith("orders: it would start\n")
    assert started(project, database) == ["d-1"]
