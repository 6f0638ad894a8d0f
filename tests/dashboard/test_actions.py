"""What a person does on the page: shown first, done once, kept and logged with who and why."""

from __future__ import annotations

import logging
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from choreo.dashboard import actions
from choreo.errors import StoreError
from choreo.operations import settling
from choreo.records import DeadLetter, Scheduled
from choreo.store.opening import open_store
from choreo.store.tables import TableStore
from tests.dashboard.asking import ask, post
from tests.dashboard.conftest import Page

GROUP = "participant=payments&reason=gave-up&task=compensation&step=payments.process_payment"
EVE = {"who": "eve", "why": "the table is back"}


def kept(stores: Path) -> tuple[list[DeadLetter], list[Scheduled]]:
    """Return the letters of payments, and what is due there."""
    with closing(open_store(stores / "payments.db")) as store:
        return list(store.dead_letters()), list(store.all_scheduled())


@pytest.mark.parametrize(("verb", "done"), [("requeue", "requeued"), ("discard", "discarded")])
def test_a_group_is_settled(
    page: Page, stores: Path, caplog: pytest.LogCaptureFixture, verb: str, done: str
) -> None:
    """First it is shown what would be done, and nothing happens; then it is asked of the worker, once."""
    caplog.set_level(logging.INFO, "choreo.dashboard")
    asked = page()
    offered = ask(asked, f"/act?verb={verb}&{GROUP}")
    assert offered.text.count(f"would be {done}") == 3
    assert [each.state for each in kept(stores)[0]] == ["open"] * 3
    answer = post(asked, "/act", {**offered.form, **EVE})
    assert answer.status == 200
    assert "3 dead letters" in answer.text
    letters, due = kept(stores)
    assert [(each.state, each.comment, each.closed_by) for each in letters] == [(done, EVE["why"], "eve")] * 3
    assert sorted(each.name for each in due if each.task == verb) == ["1", "2", "3"]
    (line,) = [each.getMessage() for each in caplog.records]
    assert line == f"{done}: participant=payments letters=1,2,3 by=eve because=the table is back"
    again = post(asked, "/act", {**offered.form, **EVE})
    assert "0 dead letters" in again.text
    assert "Somebody has settled them" in again.text
    assert kept(stores) == (letters, due)
    assert "Nothing" not in ask(asked, "/letters").text


def test_one_letter_is_settled(page: Page, stores: Path) -> None:
    asked = page()
    offered = ask(asked, "/act?verb=requeue&participant=payments&number=2")
    post(asked, "/act", {**offered.form, **EVE})
    assert [each.state for each in kept(stores)[0]] == ["open", "requeued", "open"]
    assert "was requeued already" not in ask(asked, "/letter?participant=payments&number=2").text


def test_who_came_later_is_not_settled_unseen(page: Page, stores: Path) -> None:
    """What was not shown is not done, though the filter admits it."""
    asked = page()
    offered = ask(asked, f"/act?verb=discard&{GROUP}")
    with closing(open_store(stores / "payments.db")) as store, store.turn():
        letter = store.dead_letter(1)
        assert letter
        store.add_dead_letter(letter._replace(saga_id="o-new"))
    post(asked, "/act", {**offered.form, **EVE})
    assert [each.state for each in kept(stores)[0]] == ["discarded"] * 3 + ["open"]


@pytest.mark.parametrize("query", [GROUP, "participant=payments&number=1"])
def test_what_took_the_number_of_another_letter_is_not_settled_unseen(
    page: Page, stores: Path, query: str
) -> None:
    """A store that is restored from a backup counts on from there, with other sagas."""
    asked = page()
    forms = {
        "/act": ask(asked, f"/act?verb=discard&{query}").form,
        "/edit": {**ask(asked, "/edit?participant=payments&number=1").form, "event": EVENT},
        "/by-hand": {**ask(asked, "/by-hand?participant=payments&number=1").form, "event": EVENT},
    }
    restored(stores / "payments.db")
    for path, form in forms.items():
        post(asked, path, {**form, **EVE})
    letters, due = kept(stores)
    assert [(each.state, each.edited) for each in letters] == [("open", None)] * 3
    assert not [each for each in due if each.task in ("discard", "resolve")]
    assert post(asked, "/act", {**ask(asked, f"/act?verb=discard&{query}").form, **EVE}).status == 200
    assert kept(stores)[0][0].state == "discarded"


EVENT = '{"order_id": "o-11"}'


def restored(path: Path) -> None:
    """Put letters of other sagas in the place of those of a store."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE choreo_store SET unlocked = 1")
        database.execute(
            "UPDATE dead_letters SET saga_id = 'o-1' || saga_id, recorded_at = recorded_at + 1000"
        )


def test_what_is_done_before_a_store_fails_is_logged_and_said(
    page: Page, stores: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand letters some are done, and the disk is full."""
    caplog.set_level(logging.INFO, "choreo.dashboard")
    monkeypatch.setattr(settling, "_AT_ONCE", 2)
    asked = page()
    offered = ask(asked, f"/act?verb=discard&{GROUP}")
    close = TableStore.close_dead_letter

    def closed(self: TableStore, identity: int, *given: Any) -> bool:
        if identity == 3:
            raise StoreError("the disk is full")
        return close(self, identity, *given)

    monkeypatch.setattr(TableStore, "close_dead_letter", closed)
    answer = post(asked, "/act", {**offered.form, **EVE})
    assert answer.status == 503
    assert "Discarded: 2 dead letters" in answer.text
    assert "The disk is full. 1 dead letter not looked at" in answer.text
    assert [each.state for each in kept(stores)[0]] == ["discarded", "discarded", "open"]
    (line,) = [each.getMessage() for each in caplog.records]
    assert line == "discarded: participant=payments letters=1,2 by=eve because=the table is back"


def test_the_button_of_a_cause_is_of_that_cause_alone(page: Page, stores: Path) -> None:
    """Also of records, which have no step: not of all that could not be done for the same reason."""
    with closing(open_store(stores / "payments.db")) as store, store.turn():
        letter = store.dead_letter(1)
        assert letter
        store.add_dead_letter(letter._replace(reason="unworkable"))
        record = letter._replace(reason="unworkable", saga_id="", saga_type="", task="", name="")
        for _ in range(7):
            store.add_dead_letter(record)
    asked = page()
    links = [each for each in ask(asked, "/").links if "verb=discard" in each and "unworkable" in each]
    told = [re.findall(r"<h1>Discard (\d) dead letters? of", ask(asked, each).text) for each in links]
    assert told == [["7"], ["1"]]
    (more,) = [
        each for each in ask(asked, "/").links if each.startswith("/letters?") and "unworkable" in each
    ]
    assert ask(asked, more).text.count('data-label="Letter"') == 7


@pytest.mark.parametrize(
    "changed",
    [{"who": ""}, {"why": " "}, {"who": "a\nb"}, {"why": "x" * 600}, {"why": "\u202e"}, {"why": "\x1b[2J"}],
)
def test_nothing_is_done_without_who_and_why(page: Page, stores: Path, changed: dict[str, str]) -> None:
    """The form comes back with what was written, and says what is missing."""
    asked = page()
    form = {**ask(asked, f"/act?verb=discard&{GROUP}").form, **EVE, **changed}
    answer = post(asked, "/act", form)
    assert answer.status == 400
    assert 'role="alert"' in answer.text
    assert answer.form["who"] or answer.form["why"]
    assert [each.state for each in kept(stores)[0]] == ["open"] * 3


@pytest.mark.parametrize(
    "query",
    ["", "verb=destroy&participant=payments", "verb=requeue", "verb=requeue&participant=payments&number=-1"],
)
def test_what_is_not_offered_is_not_done(page: Page, query: str) -> None:
    asked = page()
    assert ask(asked, f"/act?{query}").status == 404
    token = ask(asked, f"/act?verb=discard&{GROUP}").form["token"]
    pairs = dict(each.split("=") for each in query.split("&") if each)
    assert post(asked, "/act", {"token": token, **EVE, **pairs}).status == 404


def test_work_that_was_requeued_often_is_left_alone(page: Page, stores: Path) -> None:
    """The same work so often and no more; the rest is done."""
    with closing(open_store(stores / "payments.db")) as store, store.turn():
        letter = store.dead_letter(1)
        assert letter
        for _ in range(5):
            number = store.add_dead_letter(letter)
            store.close_dead_letter(number, "requeued", "", 1)
    asked = page()
    offered = ask(asked, f"/act?verb=requeue&{GROUP}")
    assert offered.text.count("left alone") == 1
    answer = post(asked, "/act", {**offered.form, **EVE})
    assert "requeued 5 times already" in answer.text
    assert [each.state for each in kept(stores)[0][:3]] == ["open", "requeued", "requeued"]


def test_an_event_is_edited(page: Page, stores: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is checked against its schema first; then its handler gets it."""
    caplog.set_level(logging.INFO, "choreo.dashboard")
    asked = page()
    query = "participant=payments&number=1"
    form = {**ask(asked, f"/edit?{query}").form, **EVE}
    wrong = post(asked, "/edit", {**form, "event": '{"order_id": 7}'})
    assert wrong.status == 400
    assert "fit the schema" in wrong.text
    event = '{"order_id": "o-11", "reason": "<b>moved</b>"}'
    checked = post(asked, "/edit", {**form, "event": event, "check": "yes"})
    assert "nothing was kept" in checked.text
    assert kept(stores)[0][0].edited is None
    post(asked, "/edit", {**form, "event": event})
    assert kept(stores)[0][0].edited
    assert "&lt;b&gt;moved" in ask(asked, f"/letter?{query}&event=shown").text
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.startswith("edited: participant=payments letters=1 by=eve")


def test_the_second_of_two_editors_sees_that_there_was_another_one(page: Page, stores: Path) -> None:
    """What the first one has written isn't lost unseen, nor what the second one has."""
    asked = page()
    one, other = (ask(asked, "/edit?participant=payments&number=1").form for _ in range(2))
    event = '{"order_id": "o-11", "reason": "REASON"}'
    assert post(asked, "/edit", {**one, **EVE, "event": event.replace("REASON", "first")}).status == 200
    first = kept(stores)[0][0].edited
    refused = post(asked, "/edit", {**other, **EVE, "event": event.replace("REASON", "second")})
    assert refused.status == 400
    assert "payments #1 was edited meanwhile" in refused.text
    assert "second" in refused.text
    assert kept(stores)[0][0].edited == first
    again = {**refused.form, **EVE, "event": event.replace("REASON", "second")}
    assert post(asked, "/edit", again).status == 200
    assert kept(stores)[0][0].edited != first


def test_a_name_that_is_refused_is_not_kept(page: Page) -> None:
    """No proxy takes a header of any length."""
    asked = page()
    form = ask(asked, "/act?verb=discard&participant=payments&number=2").form
    assert "set-cookie" not in post(asked, "/act", {**form, **EVE, "who": "x" * 101}).headers
    cookie = post(asked, "/act", {**form, **EVE, "who": "x" * 100}).headers["set-cookie"].partition(";")[0]
    shown = ask(asked, "/edit?participant=payments&number=1", headers={"cookie": cookie})
    assert shown.form["who"] == "x" * 100


def test_the_worker_carries_it_out_beside_the_page(page: Page, stores: Path) -> None:
    """The page holds no lock, and no worker is fenced by it."""
    asked = page()
    with closing(open_store(stores / "payments.db")) as store:
        with store.turn():
            store.claim()
        offered = ask(asked, f"/act?verb=requeue&{GROUP}")
        post(asked, "/act", {**offered.form, **EVE})
        for _ in range(2):
            with store.turn():
                assert len(store.due(2**62, 10)) >= 3


def test_work_that_was_done_by_hand_is_resolved(page: Page, stores: Path) -> None:
    """With its event, which is checked first, and says what would follow; once."""
    asked = page()
    query = "participant=payments&number=3"
    offered = ask(asked, f"/by-hand?{query}")
    assert '<option value="shop.PaymentRefunded" selected>' in offered.text
    form = {**offered.form, **EVE, "as": "shop.PaymentRefunded"}
    wrong = post(asked, "/by-hand", {**form, "event": '{"order": "o-13"}'})
    assert (wrong.status, 'role="alert"' in wrong.text) == (400, True)
    other = post(asked, "/by-hand", {**form, "as": "shop.OrderFulfilled", "event": '{"order_id": "o-13"}'})
    assert "does not end with shop.OrderFulfilled" in other.text
    event = '{"order_id": "o-13"}'
    checked = post(asked, "/by-hand", {**form, "event": event, "check": "yes"})
    assert "shop.PaymentRefunded is published as compensated" in checked.text
    assert kept(stores)[0][2].state == "open"
    post(asked, "/by-hand", {**form, "event": event})
    letter = kept(stores)[0][2]
    assert (letter.state, letter.comment, letter.closed_by) == ("resolved", EVE["why"], "eve")
    assert letter.result_type == "shop.PaymentRefunded"
    assert post(asked, "/by-hand", {**form, "event": event}).status == 404
    shown = ask(asked, f"/letter?{query}&event=shown")
    assert "o-13" in shown.text


def test_work_that_ends_with_an_event_is_not_resolved_without(page: Page, stores: Path) -> None:
    """A group of them is left alone, and says why."""
    asked = page()
    offered = ask(asked, f"/act?verb=resolve&{GROUP}")
    assert offered.text.count("left alone: it ends with an event") == 3
    token = ask(asked, f"/act?verb=discard&{GROUP}").form["token"]
    fields = {"token": token, "verb": "resolve", "participant": "payments", **EVE}
    assert "3 dead letters left alone" in post(asked, "/act", fields).text
    assert [each.state for each in kept(stores)[0]] == ["open"] * 3


def test_so_many_are_settled_at_once_and_no_more(
    page: Page, stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and the rest is left for the next time."""
    monkeypatch.setattr(actions, "_MOST", 2)
    asked = page()
    offered = ask(asked, f"/act?verb=discard&{GROUP}")
    assert "These are the first 2" in offered.text
    post(asked, "/act", {**offered.form, **EVE})
    assert [each.state for each in kept(stores)[0]] == ["discarded", "discarded", "open"]
