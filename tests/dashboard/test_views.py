"""What the views show, by filters that stand in the address, with stores that come and go."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from choreo.dashboard import app, sagas
from choreo.errors import StoreError
from choreo.records import Partition
from choreo.store.reader import TableReader
from choreo.store.sqlite.store import SQLiteStore
from choreo.timeline.selection import Filter
from tests.cli.command import invoke
from tests.dashboard.asking import Answer, ask
from tests.dashboard.conftest import Page, page_of


def told(folder: Path, *arguments: str) -> list[str]:
    """Return the ids of the sagas that the command line lists."""
    result = invoke(
        "sagas", "--store", str(folder), "--graph", "examples.orders", "--format", "json", *arguments
    )
    return [each["saga_id"] for each in json.loads(result.stdout)]


FILTERS = {
    "": (),
    "state=unended": ("--unended",),
    "state=failed": ("--state", "failed"),
    "state=compensating": ("--state", "compensating"),
    "state=started": ("--state", "started"),
    "type=order-fulfilment": ("--type", "order-fulfilment"),
    "type=other": ("--type", "other"),
    "participant=shipping": ("--participant", "shipping"),
    "state=failed&participant=inventory": ("--state", "failed", "--participant", "inventory"),
    "older=1h": ("--older-than", "1h"),
    "older=9999d": ("--older-than", "9999d"),
}


@pytest.mark.parametrize("query", FILTERS)
def test_filters_admit_what_the_command_line_lists(ended_shop: Path, query: str) -> None:
    """In the same order."""
    answer = ask(page_of(ended_shop), f"/sagas?{query}")
    assert (answer.status, answer.sagas) == (200, told(ended_shop, *FILTERS[query]))
    assert answer.sagas or "No such saga" in answer.text


def test_what_they_wait_for_is_a_filter(ended_shop: Path) -> None:
    page = page_of(ended_shop)
    assert sorted(ask(page, "/sagas?why=dead+letter").sagas) == ["o-11", "o-12", "o-13"]
    assert ask(page, "/sagas?why=outbox").sagas == ["o-17"]
    assert ask(page, "/sagas?why=deadline").sagas == []


def test_an_id_finds_that_saga_and_those_that_begin_so(ended_shop: Path) -> None:
    page = page_of(ended_shop)
    assert ask(page, "/sagas?id=o-1").sagas == ["o-1", "o-10", "o-11", "o-12", "o-13", "o-16", "o-17"]
    assert ask(page, "/sagas?id=o-1&state=failed").sagas == ["o-10"]
    assert ask(page, "/sagas?id=none").sagas == []


def further(page: object, query: str) -> Iterator[Answer]:
    """Yield one page of the list after the other."""
    address = f"/sagas?{query}"
    while address:
        yield (answer := ask(page, address))
        address = next((each for each in answer.links if "after=" in each), "")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "state=unended",
        "state=completed",
        "participant=shipping",
        "why=outbox",
        "id=o-",
        "id=o-1&state=failed",
        "id=o-1&state=started",
    ],
)
def test_pages_have_each_saga_once(ended_shop: Path, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    """However few there are on each, and however few are looked at."""
    page = page_of(ended_shop)
    whole = ask(page, f"/sagas?{query}").sagas
    for size, looked_at in ((1, 100), (3, 100), (50, 2), (50, 1)):
        monkeypatch.setattr(sagas, "_PAGE", size)
        monkeypatch.setattr(sagas, "_LOOKED_AT", looked_at)
        parts = [answer.sagas for answer in further(page, query)]
        assert sorted(each for part in parts for each in part) == sorted(whole)
        assert all(len(part) <= size for part in parts)


@pytest.mark.parametrize(
    "after",
    [
        "x",
        "1",
        "1.2",
        "-1.-1.-1.-1.-1",
        "9" * 300,
        "é.1.1.1.1",
        ".".join(["9" * 300] * 5),
        f"....1_{2**63}",
        "1_1.1_1.1_1.1_1.x",
    ],
)
def test_a_place_that_is_none_is_the_beginning(ended_shop: Path, after: str) -> None:
    page = page_of(ended_shop)
    assert ask(page, f"/sagas?{urlencode({'after': after})}").sagas == ask(page, "/sagas").sagas


@pytest.mark.parametrize(
    "address",
    ["/sagas?older=soon", "/?threshold=-1", "/letter?number=0x1", "/letter?number=99", "/saga?id=none"],
)
def test_what_cannot_be_meant_is_explained(ended_shop: Path, address: str) -> None:
    """In a page with everything else around it, which says what was wrong."""
    answer = ask(page_of(ended_shop), address)
    assert answer.status == 404
    assert 'role="alert"' in answer.text
    assert "/participants" in answer.links


@pytest.mark.parametrize(
    "address", ["/", "/sagas?", "/saga?id=o-11", "/letter?participant=payments&number=1", "/letters?"]
)
@pytest.mark.parametrize("name", ["path", "self", "text", "class_", "query", "", "_"])
def test_a_query_that_nobody_asks_for_changes_nothing(
    ended_shop: Path, monkeypatch: pytest.MonkeyPatch, address: str, name: str
) -> None:
    """Whatever it is called, and though links of the page have it again."""
    monkeypatch.setattr(sagas, "_PAGE", 2)
    more = f"{'&' if '?' in address else '?'}{name}=x"
    assert ask(page_of(ended_shop), address + more).status == 200


def test_what_needs_a_person(ended_shop: Path) -> None:
    """Letters by cause, stuck sagas by what they wait for."""
    page = page_of(ended_shop)
    answer = ask(page, "/")
    assert "payments · 3, oldest" in answer.text
    assert "no such table: charges" in answer.text
    assert sorted(answer.sagas) == ["o-11", "o-12", "o-13", "o-16", "o-17"]
    assert sorted(ask(page, "/?threshold=2h").sagas) == ["o-11", "o-12", "o-13"]
    assert ask(page, "/?threshold=9d").sagas == []


def test_what_was_not_looked_at_is_not_said_to_need_nobody(
    ended_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are more sagas than are looked at for a page, it leads to the rest."""
    shutil.copy(ended_shop / "inventory.db", tmp_path / "inventory.db")
    monkeypatch.setattr("choreo.dashboard.attention._LOOKED_AT", 1)
    monkeypatch.setattr(Filter, "admits", lambda *_: False)
    answer = ask(page_of(tmp_path), "/")
    assert "Nothing needs you" not in answer.text
    assert "None." not in answer.text
    assert "1 sagas were looked at" in answer.text
    assert "/sagas?state=unended" in answer.links


def test_nothing_needs_anybody(tmp_path: Path, ended_shop: Path) -> None:
    """A store in which all is well says so."""
    shutil.copy(ended_shop / "inventory.db", tmp_path / "inventory.db")
    answer = ask(page_of(tmp_path), "/?threshold=9d")
    assert "Nothing needs you" in answer.text


def test_one_saga(ended_shop: Path) -> None:
    """Its timeline stands above, then its graph; what its events held is hidden until it is asked for."""
    page = page_of(ended_shop)
    answer = ask(page, "/saga?id=o-11&type=order-fulfilment")
    assert answer.text.index('class="timeline"') < answer.text.index('class="flow"')
    words = re.findall(r'class="below"[^>]*>([^<]*)<', answer.text)
    assert "payments · to undo" in words
    assert "shipping · failed" in words
    assert "12 Elm" not in answer.text
    assert "nowhere" not in answer.text
    (shown,) = (each for each in answer.links if "payloads" in each)
    assert "&quot;address&quot;: &quot;nowhere&quot;" in ask(page, shown).text


def test_an_event_is_hidden_until_it_is_asked_for(ended_shop: Path) -> None:
    page = page_of(ended_shop)
    answer = ask(page, "/letter?number=1&participant=payments")
    assert "no carrier" not in answer.text
    (shown,) = (each for each in answer.links if "event=shown" in each)
    assert "no carrier goes there" in ask(page, shown).text


def test_the_choreography_counts_who_waits_where(ended_shop: Path) -> None:
    answer = ask(page_of(ended_shop), "/choreography")
    assert "5 in flight, as orders has read" in answer.text
    waiting = re.findall(r"<title>([\w ]+) (\w+) ([\w.]+); (\d+) sagas wait here", answer.text)
    assert ("ShipmentCancelled or ShipmentFailed", "undoes", "payments.process_payment", "3") in waiting
    assert {each[3] for each in waiting} == {"1", "3"}


def test_participants(ended_shop: Path) -> None:
    answer = ask(page_of(ended_shop), "/participants")
    assert re.findall(r"<h2>(\w+)</h2>", answer.text) == [
        "inventory",
        "notifications",
        "orders",
        "payments",
        "shipping",
    ]
    assert "/letters?participant=payments" in answer.links


def test_a_partition_that_nobody_has_begun_counts_for_nothing(tmp_path: Path) -> None:
    """As one of an imported topic that was made anew."""
    with closing(SQLiteStore(tmp_path / "office.db")) as store, store.turn():
        store.bind("cluster", "office")
        for number, position in enumerate((-1, -1, 7)):
            store.join(Partition("chain", number), position, 0, 0)
    page = app(str(tmp_path), schemas=tmp_path)
    assert '<td data-label="Offsets read">7</td>' in ask(page, "/participants").text


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize("lose", [Path.unlink, damage])
def test_a_store_that_is_away_is_said_and_the_rest_is_shown(stores: Path, lose: object) -> None:
    """In every view."""
    paths = sorted(stores.glob("*.db"))
    page = app([str(each) for each in paths], ["examples.orders"], schemas=stores / "schemas")
    lose(stores / "shipping.db")  # type: ignore[operator]
    for address in ("/", "/sagas", "/saga?id=o-11", "/choreography", "/participants", "/letters"):
        answer = ask(page, address)
        assert answer.status == 200, answer.text
        assert f"{stores / 'shipping.db'} can’t be read" in answer.text
    assert ask(page, "/sagas").sagas


def test_a_damaged_store_in_a_folder_is_said_and_nothing_else_there_is(stores: Path) -> None:
    """It can't be told that it is none; what needs a person may be in it."""
    damage(stores / "payments.db")
    (stores / "folder.db").mkdir()
    (stores / "notes.db").write_text("no database")
    (stores / "empty.db").touch()
    (stores / "gone.db").symlink_to("none")
    os.mkfifo(stores / "pipe.db")
    with closing(sqlite3.connect(stores / "other.db")) as database:
        database.execute("CREATE TABLE notes (text)")
    answer = ask(page_of(stores), "/?threshold=9d")
    assert re.findall("<strong>([^<]*) can’t be read", answer.text) == [str(stores / "payments.db")]
    assert "Nothing needs you" not in answer.text


def test_no_store_at_all(tmp_path: Path) -> None:
    """It waits for one to come."""
    page = page_of(tmp_path / "none")
    for address in ("/", "/sagas", "/choreography", "/participants"):
        answer = ask(page, address)
        assert answer.status == 200
        assert "can’t be read" in answer.text


def test_it_works_wherever_it_is_mounted(page: Page) -> None:
    """All that it leads to is below that."""
    site = Starlette(routes=[Mount("/ops/choreo", app=page())])
    seen: set[tuple[str, ...]] = set()
    todo = ["/ops/choreo/"]
    while todo:
        address = todo.pop().partition("#")[0]
        answer = ask(site, address)
        assert answer.status == 200, address
        found = [*answer.links, *re.findall(r' (?:src|href|action|data-changes)="([^"]*)"', answer.text)]
        assert all(each.startswith(("/ops/choreo/", "#")) for each in found), found
        for each in answer.links:
            kind = (urlsplit(each).path, *parse_qs(urlsplit(each).query))
            if not each.startswith("#") and kind not in seen:
                seen.add(kind)
                todo.append(each)
    assert len(seen) > 12


def corrupt(path: Path) -> None:
    """Write into a store what no choreo writes."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE choreo_store SET unlocked = 1")
        database.execute("UPDATE saga_log SET saga_state = 'nonsense' WHERE saga_id = 'o-1'")


def test_a_row_that_is_corrupt_takes_its_store_along_and_no_other(stores: Path) -> None:
    """The view is made without that store, and says why; what the rest tells is shown."""
    corrupt(stores / "shipping.db")
    page = page_of(stores)
    for address in ("/", "/sagas", "/saga?id=o-1", "/choreography", "/participants"):
        answer = ask(page, address)
        assert answer.status == 200
    answer = ask(page, "/sagas")
    assert "shipping.db can’t be read" in answer.text
    assert "saga_state is &#x27;nonsense&#x27;" in answer.text
    assert "o-16" in answer.sagas


def test_a_store_is_not_taken_along_by_another_one_whose_name_ends_alike(
    stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stores)
    (stores / "payments.db").rename("pay.db")
    corrupt((stores / "shipping.db").rename("old-pay.db"))
    answer = ask(app("{participant}.db", ["examples.orders"], schemas=stores / "schemas"), "/sagas")
    assert re.findall("<strong>([^<]*) can’t be read", answer.text) == ["old-pay.db"]


def test_a_store_that_does_not_answer_is_not_waited_for_again_and_again(
    ended_shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it took long, the pages of the next seconds only say so; then it is asked again."""
    clock = [100.0]
    asked = []

    def reader_at(place: str, opened: ExitStack) -> TableReader:
        asked.append(place)
        clock[0] += 5
        raise StoreError("no answer")

    monkeypatch.setattr("choreo.dashboard.stores.reader_at", reader_at)
    monkeypatch.setattr("choreo.dashboard.stores.monotonic", lambda: clock[0])
    page = page_of(ended_shop / "orders.db")
    for _ in range(3):
        assert "no answer" in ask(page, "/participants").text.lower()
    assert len(asked) == 1
    clock[0] += 20
    ask(page, "/participants")
    assert len(asked) == 2


def test_two_stores_of_one_participant_are_refused(stores: Path) -> None:
    """As either may be the right one."""
    shutil.copy(stores / "orders.db", stores / "copy.db")
    answer = ask(page_of(stores), "/sagas")
    assert "are both stores of orders" in answer.text
