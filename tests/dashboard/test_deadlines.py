"""Deadlines on the page of their saga: shown, checked, extended, revoked, and logged with who and why."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from choreo.dashboard import app
from choreo.worker.deadlines import Change, change
from tests.dashboard.asking import Answer, Skeleton, ask, post
from tests.dashboard.browser import SCHEMES, WIDTHS, hold, look, served, window
from tests.render.conftest import started
from tests.stores import open_store, place
from tests.worker.rig import Rig
from tests.worker.test_changed_deadlines import HOUR, KEY, LATE
from tests.worker.test_deadlines import clerk
from tests.worker.trip import HotelBooked, HotelLate, TripRequested

__all__ = ["started"]

SAGA = "/saga?id=s1&type=trip"
each_store = pytest.mark.usefixtures("each_store")
ADA = {"who": "ada", "why": "they called"}


@pytest.fixture
def rigged(tmp_path: Path) -> Iterator[Rig]:
    """Open the participant that gives the hotel a minute, by today's clock; the minute has begun."""
    rig = Rig(clerk(), tmp_path)
    rig.clock.time = time.time_ns() // 1_000_000
    rig.open()
    rig.feed(TripRequested("t"))
    yield rig
    rig.close()


def due_in(rig: Rig) -> float | None:
    """Return in how many seconds something is due, as its worker knows once it has gone round."""
    rig.settle()
    return rig.due_in()


def page_of(rig: Rig, **given: Any) -> Any:
    """Return the page of a participant's store."""
    return app(place(rig.path), schemas=rig.path.parent, **given)


def address(verb: str, **changed: str) -> str:
    """Return the address of the form for a deadline."""
    named = {"verb": verb, "participant": "clerk", "type": "trip", "id": "s1", "name": LATE, **changed}
    return f"/deadline?{urlencode(named)}"


def done(page: Any, verb: str, **fields: str) -> Answer:
    """Fill in the form for a deadline, and send it."""
    return post(page, "/deadline", {**ask(page, address(verb)).form, **ADA, **fields})


@each_store
def test_a_saga_shows_its_deadlines_with_what_may_be_done(rigged: Rig) -> None:
    """Where they lead to is there; once nothing runs, there are none."""
    page = page_of(rigged)
    shown = ask(page, SAGA)
    assert "<h2>Deadlines</h2>" in shown.text
    assert '<td data-label="Of">hotel.book</td><td data-label="Participant">clerk</td>' in shown.text
    links = [each for each in shown.links if each.startswith("/deadline")]
    assert links == [address("extend"), address("revoke")]
    assert {ask(page, each).status for each in links} == {200}
    rigged.feed(HotelBooked("t"))
    assert "<h2>Deadlines</h2>" not in ask(page, SAGA).text


@each_store
def test_more_time_is_given_once_it_was_checked(rigged: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """It is said what would be; then it is done, shown in the timeline, and logged."""
    caplog.set_level(logging.INFO, "choreo.dashboard")
    page, (row,) = page_of(rigged), rigged.store.scheduled(*KEY)
    checked = done(page, "extend", more="1h", check="yes")
    assert checked.status == 200
    assert "Nothing was changed. hotel.book would have until 20" in checked.text
    assert checked.form["more"] == "1h"
    assert list(rigged.store.scheduled(*KEY)) == [row]
    answer = post(page, "/deadline", {**checked.form, **ADA})
    assert answer.status == 200
    assert f"<h1>Extended: {LATE}</h1>" in answer.text
    rigged.settle()
    assert [each.due - row.due for each in rigged.store.scheduled(*KEY)] == [HOUR]
    assert "by ada: they called" in ask(page, SAGA).text
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.startswith(f"extended: participant=clerk deadline={LATE} saga=s1 due=20")
    assert line.endswith("by=ada because=they called")
    rigged.clock.advance(3660)
    rigged.settle()
    assert rigged.published() == [HotelLate("t")]


@each_store
def test_a_deadline_is_taken_away(rigged: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Once; then the page says since when, and by whom."""
    caplog.set_level(logging.INFO, "choreo.dashboard")
    page = page_of(rigged)
    form = ask(page, address("revoke")).form
    assert "would have any time" in post(page, "/deadline", {**form, **ADA, "check": "yes"}).text
    assert due_in(rigged) == 60
    assert post(page, "/deadline", {**form, **ADA}).status == 200
    assert due_in(rigged) is None
    again = post(page, "/deadline", {**form, **ADA})
    assert again.status == 404
    assert "(by ada: they called)" in again.text
    assert "due=never" in caplog.records[0].getMessage()
    rigged.feed(HotelBooked("t"))
    assert ask(page, address("extend")).status == 404


@each_store
def test_the_second_of_two_operators_looks_again(rigged: Rig) -> None:
    """The form comes back with the time that the deadline has now."""
    page = page_of(rigged)
    form = {**ask(page, address("extend")).form, **ADA, "more": "1h"}
    with closing(open_store(rigged.path)) as store:
        change(store, KEY, LATE, Change("ben", "", HOUR), rigged.clock.now())
    answer = post(page, "/deadline", form)
    assert answer.status == 400
    assert f">{LATE} was changed meanwhile" in answer.text
    assert due_in(rigged) == 3660
    assert post(page, "/deadline", {**answer.form, **ADA, "more": "1h"}).status == 200
    assert due_in(rigged) == 7260


@pytest.mark.parametrize(
    "changed",
    [
        {"more": ""},
        {"more": "0h"},
        {"more": "soon"},
        {"more": "999999999d"},
        {"more": "-1h"},
        {"who": ""},
        {"why": " "},
        {"why": "x" * 600},
        {"who": "a\nb"},
        {"why": "\u202e"},
    ],
)
def test_what_makes_no_sense_is_not_done(rigged: Rig, changed: dict[str, str]) -> None:
    """The form comes back with what was written, and says what is wrong."""
    answer = done(page_of(rigged), "extend", **{"more": "1h", **changed})
    assert answer.status == 400
    assert 'role="alert"' in answer.text
    assert answer.form["more"] == changed.get("more", "1h")
    assert due_in(rigged) == 60


@pytest.mark.parametrize(
    "changed",
    [
        {"verb": "destroy"},
        {"participant": "nobody"},
        {"id": "s9"},
        {"type": "voyage"},
        {"id": "\x00"},
        {"type": "\x00"},
        {"name": "\x00"},
        {"name": "clerk.nothing"},
        {"name": ""},
        {"seen": "soon"},
        {"seen": "-1"},
        {"seen": "9" * 19},
    ],
)
def test_what_is_not_there_is_not_offered_nor_done(rigged: Rig, changed: dict[str, str]) -> None:
    page = page_of(rigged)
    wanted = {"verb": "revoke", **changed}
    assert ask(page, address(**wanted)).status == 404
    token = ask(page, address("revoke")).form["token"]
    named = {"participant": "clerk", "type": "trip", "id": "s1", "name": LATE, **wanted}
    assert post(page, "/deadline", {"token": token, **named, **ADA}).status == 404
    assert due_in(rigged) == 60


def test_only_a_form_of_the_page_itself_changes_something(rigged: Rig) -> None:
    """Not one of another site, nor one without the token; a read-only page has none."""
    page, closed = page_of(rigged, secret=b"x" * 32), page_of(rigged, read_only=True, secret=b"x" * 32)
    form = {**ask(page, address("revoke")).form, **ADA}
    assert post(page, "/deadline", form, headers={"origin": "http://evil.example"}).status == 403
    assert post(page, "/deadline", {**form, "token": "wrong"}).status == 403
    assert post(closed, "/deadline", form).status == 403
    assert ask(closed, address("revoke")).status == 404
    shown = ask(closed, SAGA)
    assert "<h2>Deadlines</h2>" in shown.text
    assert not [each for each in shown.links if each.startswith("/deadline")]
    assert due_in(rigged) == 60


@pytest.mark.parametrize("field", ["who", "why", "more"])
@pytest.mark.parametrize("text", ["</h1><script>alert(1)</script>", "\"><img src=x onerror='alert(1)'>"])
def test_what_is_written_stays_text(rigged: Rig, field: str, text: str) -> None:
    """In the form that comes back, in what was done, and in the timeline of the saga."""
    page = page_of(rigged)
    plain = [done(page, "extend", **{"more": "1x", field: "plain"}), done(page, "extend", more="1h")]
    hostile = [done(page, "extend", **{"more": "1x", field: text})]
    if field != "more":
        hostile.append(done(page, "extend", **{"more": "1h", field: text}))
        plain.append(ask(page, SAGA))
    for one, other in zip(plain, hostile, strict=False):
        assert Skeleton(one.text).found == Skeleton(other.text).found
    shown = ask(page, SAGA).text
    assert "<script>alert" not in shown
    assert "<img" not in shown
    if field != "more":
        assert text in "\n".join(Skeleton(shown).said)


@pytest.mark.xdist_group("browser")
def test_a_person_gives_more_time(started: Any, rigged: Rig) -> None:
    """By the keyboard; each page is right at both widths, light and dark."""
    with served(page_of(rigged)) as at:
        for width in WIDTHS:
            for scheme in SCHEMES:
                with window(started, width, scheme) as seen:
                    for view in (SAGA, address("extend"), address("revoke")):
                        look(seen, f"{at}{view}")
        with window(started, WIDTHS[0], SCHEMES[0]) as seen:
            page = seen.page
            page.goto(f"{at}{SAGA}")
            page.get_by_role("link", name="Extend…").focus()
            page.keyboard.press("Enter")
            page.get_by_label("How much longer").fill("1h")
            page.get_by_label("Who").fill("ada")
            page.get_by_label("Why").fill("they called")
            page.get_by_label("only check it").check()
            page.keyboard.press("Enter")
            page.get_by_text("Nothing was changed.").wait_for()
            hold(seen, "checked")
            page.get_by_role("button", name="Extend it").click()
            page.get_by_role("heading", level=1, name="Extended").wait_for()
            hold(seen, "done")
            page.goto(f"{at}{SAGA}")
            hold(seen, "extended")
    assert due_in(rigged) == 3660
