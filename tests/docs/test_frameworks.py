"""The recipes of the page on frameworks, in the project of getting-started: rows and starts, together."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.docs.manual import PAGES
from tests.docs.test_getting_started import python

_WEB = """
import asyncio, sys
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

_DJANGO = """
import sys
import django
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "orders.db"}},
    INSTALLED_APPS=["site_shop.apps.Shop"],
    MIGRATION_MODULES={"site_shop": None},
    ROOT_URLCONF="site_shop.views",
    ALLOWED_HOSTS=["testserver"],
    USE_TZ=True,
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


def write_recipes(project: Path) -> None:
    for name, text in PAGES["frameworks"].files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def started(project: Path) -> list[str]:
    """Return the orders of the service's own table, which are those that have been started."""
    with closing(sqlite3.connect(project / "orders.db")) as store:
        rows = [row for (row,) in store.execute("select order_id from orders order by rowid")]
        assert rows == [row for (row,) in store.execute("select saga_id from outbox order by seq")]
        assert rows == [row for (row,) in store.execute("select saga_id from saga_log order by id")]
    return rows


def test_fastapi_and_flask(project: Path) -> None:
    """With a session, an asynchronous one, and one that fails at the flush or at the start."""
    write_recipes(project)
    done = python(project, "-W", "ignore", "-c", _WEB)
    assert done.returncode == 0, done.stderr
    assert started(project) == ["f-1", "f-2", "f-3"]


def test_django(project: Path) -> None:
    """Its ORM in ``atomic()``, the tables by ``migrate``, the worker's command."""
    write_recipes(project)
    done = python(project, "-c", _DJANGO)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("orders: it would start\n")
    assert started(project) == ["d-1"]
