"""What-if on the page: today's handlers are run in a process of their own, or the command is told."""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from choreo.dashboard import app, what_if
from tests.dashboard.asking import Answer, Skeleton, ask, post
from tests.dashboard.browser import SCHEMES, WIDTHS, hold, look, served, window
from tests.dashboard.conftest import Page
from tests.render.conftest import started
from tests.stores import place
from tests.worker.rig import Rig
from tests.worker.test_deadlines import clerk
from tests.worker.trip import HotelLate, TripRequested

__all__ = ["started"]

MODULE = """
from datetime import timedelta

from choreo import Participant
from tests.worker.trip import HotelLate, TripRequested, trip

clerk_of_today = Participant("clerk", sagas=[trip])


@clerk_of_today.deadline(of="hotel.book", within=timedelta(minutes=1))
def hotel_is_late(event: TripRequested) -> HotelLate:
    {body}
"""
SAGA = "id=s1&type=trip"
SAME, OTHER = "return HotelLate(event.trip)", 'return HotelLate("<b>another</b>")'


@pytest.fixture
def rigged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Let a deadline pass at a participant whose code of today stands beside its store."""
    monkeypatch.syspath_prepend(str(tmp_path))
    rig = Rig(clerk(), tmp_path)
    rig.clock.time = time.time_ns() // 1_000_000 - 3_600_000
    rig.open()
    rig.feed(TripRequested("t"))
    rig.clock.advance(60)
    rig.settle()
    assert rig.published() == [HotelLate("t")]
    yield rig
    rig.close()
    sys.modules.pop("code_of_today", None)


def write(rig: Rig, body: str) -> None:
    """Write the participant's code of today."""
    (rig.path.parent / "code_of_today.py").write_text(MODULE.format(body=body))


def page_of(rig: Rig, body: str, **given: Any) -> Any:
    """Return the page that knows the code of today."""
    write(rig, body)
    return app(place(rig.path), ["code_of_today"], schemas=rig.path.parent, **given)


def ran(page: Any) -> Answer:
    """Run the handlers by the form of the page."""
    return post(page, "/what-if", ask(page, f"/what-if?{SAGA}").form)


def test_what_today_would_be_otherwise_is_shown(rigged: Rig) -> None:
    """Each difference with what was recorded; hostile texts stay text, and nothing is written."""
    before = rigged.history()
    page = page_of(rigged, OTHER)
    assert " --type trip " in ask(page, f"/what-if?{SAGA}").text
    assert "/what-if?type=trip&id=s1" in ask(page, f"/saga?{SAGA}").links
    answer = ran(page)
    assert answer.status == 200
    assert "1 difference." in answer.text
    assert "clerk: 1 compared" in answer.text
    assert "<b>another" not in answer.text
    assert "<b>another</b>" in "\n".join(Skeleton(answer.text).said)
    assert rigged.history() == before


def test_what_is_the_same_is_no_difference(rigged: Rig) -> None:
    assert "No difference in 1 of its results." in ran(page_of(rigged, SAME)).text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("open('/nowhere/at/all', 'w')", "reaches outside"),
        ("import os; os._exit(7)", "it ended with 7"),
        ("raise RuntimeError('<b>no</b>')", "difference"),
    ],
)
def test_a_handler_that_does_harm_does_it_to_nobody(rigged: Rig, body: str, said: str) -> None:
    """Its process is another one, in which effects outside are refused."""
    answer = ran(page_of(rigged, body))
    assert answer.status == 200
    assert said in answer.text
    assert "<b>no" not in answer.text


def test_code_that_can_not_be_imported_is_told(rigged: Rig) -> None:
    """In the words of the command, as text."""
    page = page_of(rigged, SAME)
    write(rigged, SAME + "\nraise RuntimeError('<b>boom</b>')")
    answer = ran(page)
    assert (answer.status, "importing code_of_today failed" in answer.text) == (200, True)
    assert "<b>boom" not in answer.text


def test_handlers_that_do_not_end_are_ended(rigged: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """And somebody else may try."""
    page = page_of(rigged, "while True: pass")
    monkeypatch.setattr(what_if, "_SECONDS", 3.0)
    assert "not done after 3 s" in ran(page).text
    assert not what_if._RUNNING.locked()


@pytest.mark.parametrize("number", [1, 2])
def test_a_handler_that_writes_without_end_fills_no_memory(
    rigged: Rig, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is ended; of what it says beside its report the end is kept."""
    page = page_of(rigged, f"import os; [os.write({number}, b'x' * 65_536) for _ in iter(int, 1)]")
    monkeypatch.setattr(what_if, "_SECONDS", 5.0)
    tracemalloc.start()
    answer = ran(page)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ("it writes more than 16,000,000 bytes" if number == 1 else "not done after 5 s") in answer.text
    assert most < 100_000_000


def test_what_a_run_has_started_ends_with_it(rigged: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the import of the module, say; it holds the pipes."""
    page = page_of(rigged, SAME)
    noted = rigged.path.parent / "noted"
    sleeper = "import subprocess; started = subprocess.Popen(['sleep', '600'])"
    write(rigged, f"{SAME}\n{sleeper}\nopen({str(noted)!r}, 'w').write(str(started.pid))")
    monkeypatch.setattr(what_if, "_SECONDS", 5.0)
    assert ran(page).status == 200
    while is_running(int(noted.read_text())):  # a signal takes its time
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait for whoever has taken it over."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_what_code_prints_is_no_report(rigged: Rig) -> None:
    """At its import, or in a handler; what it writes beside Python's own output spoils the report."""
    page = page_of(rigged, f"print('called')\n    {SAME}")
    write(rigged, f"print('called')\n    {SAME}\nprint('read')")
    assert "No difference in 1 of its results." in ran(page).text
    write(rigged, f"{SAME}\nimport os; os.write(1, b'x')")
    assert "it ended with 0" in ran(page).text
    for text in ("[1]", "{}", "7", '{"changes": [], "counts": 1}', "[" * 90_000):
        write(rigged, f"{SAME}\nimport os; os.write(1, {text.encode()!r}); os._exit(0)")
        answer = ran(page)
        assert (answer.status, "it ended with 0" in answer.text) == (200, True), text[:30]


def test_one_visitor_at_a_time_runs_handlers(rigged: Rig) -> None:
    page = page_of(rigged, SAME)
    with what_if._RUNNING:
        answer = ran(page)
    assert answer.status == 404
    assert "try again in a moment" in answer.text


def test_without_modules_the_command_is_told(rigged: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a read-only page as well, which has no form for it."""
    monkeypatch.chdir(rigged.path.parent)
    unknown = app(place(rigged.path), schemas=rigged.path.parent)
    closed = page_of(rigged, SAME, read_only=True)
    for page, target in ((unknown, "MODULE:clerk"), (closed, "code_of_today:clerk_of_today")):
        shown = ask(page, f"/what-if?{SAGA}")
        assert shown.status == 200
        assert 'method="post"' not in shown.text
        assert f"-- {target} s1</pre>" in shown.text
    assert post(closed, "/what-if", {"id": "s1", "type": "trip"}).status == 403


@pytest.mark.parametrize("query", ["", "id=s1", "id=s1&type=voyage", "id=s9&type=trip"])
def test_a_saga_that_is_not_there_has_no_what_if(rigged: Rig, query: str) -> None:
    page = page_of(rigged, SAME)
    assert ask(page, f"/what-if?{query}").status == 404
    token = ask(page, f"/what-if?{SAGA}").form["token"]
    pairs = dict(each.split("=") for each in query.split("&") if each)
    assert post(page, "/what-if", {"token": token, **pairs}).status == 404


def test_a_form_of_another_page_runs_nothing(rigged: Rig) -> None:
    page = page_of(rigged, SAME)
    form = ask(page, f"/what-if?{SAGA}").form
    assert post(page, "/what-if", form, headers={"origin": "http://evil.example"}).status == 403
    assert post(page, "/what-if", {**form, "token": "wrong"}).status == 403


def test_the_whole_shop_is_run(page: Page) -> None:
    """Each participant that the saga has seen; those that use their database need a base, which is said."""
    asked = page()
    form = ask(asked, "/what-if?id=o-11&type=order-fulfilment").form
    answer = post(asked, "/what-if", form)
    assert "shipping: 1 compared" in answer.text
    assert "payments: 1 needs a base" in answer.text
    assert "No difference in 1 of its results." in answer.text


@pytest.mark.xdist_group("browser")
def test_it_is_right_in_a_browser(started: Any, rigged: Rig) -> None:
    """At both widths, light and dark."""
    with served(page_of(rigged, OTHER)) as at:
        for width in WIDTHS:
            for scheme in SCHEMES:
                with window(started, width, scheme) as seen:
                    look(seen, f"{at}/what-if?{SAGA}")
        with window(started, WIDTHS[0], SCHEMES[0]) as seen:
            seen.page.goto(f"{at}/what-if?{SAGA}")
            seen.page.get_by_role("button", name="Run today").click()
            seen.page.get_by_text("1 difference.").wait_for()
            for scheme in SCHEMES:
                seen.page.emulate_media(color_scheme=scheme)
                hold(seen, f"run {scheme}")
