"""The page in a real browser: each view at both widths, light and dark, and what a person does there.

``make page`` walks over three examples, and leaves pictures of all that it saw.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from choreo.dashboard import app
from choreo.store.opening import open_store
from tests.dashboard.browser import (
    CONTRAST,
    OVERFLOWING,
    SCHEMES,
    UNNAMED,
    WIDTHS,
    Seen,
    hold,
    look,
    served,
    window,
)
from tests.dashboard.conftest import Page
from tests.dashboard.stage import shop, transfers, trips
from tests.render.conftest import started

__all__ = ["started"]

VIEWS = (
    "/",
    "/sagas",
    "/saga?id=o-11&type=order-fulfilment",
    "/choreography",
    "/participants",
    "/letter?number=1&participant=payments&event=shown",
    "/act?verb=discard&participant=payments&reason=gave-up",
    "/edit?number=1&participant=payments",
    "/by-hand?number=1&participant=payments",
)


# One browser for all.
pytestmark = pytest.mark.xdist_group("browser")


def test_each_view_is_right_and_an_action_is_done(started: Any, page: Page, stores: Path) -> None:
    """Nothing overflows, every text can be read, every control has a name; the browser has no complaint."""
    with served(page()) as address:
        with window(started, WIDTHS[0], SCHEMES[0]) as seen:
            for view in VIEWS:
                look(seen, f"{address}{view}")
                for width, scheme in product(WIDTHS, SCHEMES):  # the walk loads each of them anew
                    seen.page.set_viewport_size({"width": width, "height": 900})
                    seen.page.emulate_media(color_scheme=scheme)
                    hold(seen, f"{view} {width} {scheme}")
        with window(started, 1200, "light") as seen:
            settle(seen, address)
    with closing(open_store(stores / "payments.db")) as store:
        assert [each.closed_by for each in store.dead_letters()] == ["ada"] * 3


def settle(seen: Seen, address: str) -> None:
    """Requeue a group of letters by the keyboard; the list of another window follows by itself."""
    page = seen.page
    other = page.context.new_page()
    other.goto(f"{address}/letters?participant=payments")
    page.goto(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.get_by_role("link", name="Requeue all 3…").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Who").fill("ada")
    page.get_by_label("Why").fill("the table is back")
    page.keyboard.press("Enter")
    page.get_by_role("status").wait_for()
    other.get_by_text("No open dead letter is meant").wait_for(timeout=20_000)
    assert page.get_by_role("heading", level=1).text_content() == "Requeued: 3 dead letters of payments"


def test_it_follows_again_after_an_answer_that_is_no_stream(started: Any, page: Page, stores: Path) -> None:
    """As a proxy gives one while the page is started again; browsers would never ask once more."""
    with served(page()) as address, window(started, 1200, "light") as seen:
        broken = [502]
        seen.page.clock.install()
        seen.page.route(
            "**/changes*",
            lambda route: route.fulfill(status=broken.pop()) if broken else route.continue_(),
        )
        with seen.page.expect_response("**/changes*"):
            seen.page.goto(f"{address}/letters?participant=payments")
        with closing(open_store(stores / "payments.db")) as store, store.turn():
            for number in (1, 2, 3):
                store.close_dead_letter(number, "discarded", "", 1)
        seen.page.clock.fast_forward(6_000)
        seen.page.get_by_text("No open dead letter is meant").wait_for(timeout=20_000)


def test_it_works_without_scripts(started: Any, page: Page) -> None:
    with served(page()) as address, window(started, 1200, "light", java_script_enabled=False) as seen:
        seen.page.goto(f"{address}/sagas")
        seen.page.get_by_label("State").select_option("compensating")
        seen.page.get_by_role("button", name="Show").click()
        assert seen.page.locator("td .saga").all_text_contents() == ["o-11", "o-12", "o-13"]


def test_the_checks_would_tell(started: Any) -> None:
    """What is looked for is found where it is."""
    with window(started, 400, "light") as seen:
        seen.page.set_content(
            "<body><main><p style='width: 900px; color: #bbb; background: #fff'>pale</p><input>"
            "<script>x()</script>"
        )
        assert seen.page.evaluate(OVERFLOWING)
        assert seen.page.evaluate(CONTRAST)[0][2] == "pale"
        assert len(seen.page.evaluate(UNNAMED)) == 1
        assert seen.complaints


STAGES: dict[str, tuple[Callable[[Path, int], None], str]] = {
    "orders": (shop, "examples.orders"),
    "travel": (trips, "examples.travel"),
    "bank": (transfers, "examples.bank"),
}


@pytest.mark.skipif("CHOREO_PAGE" not in os.environ, reason="make page walks over three examples")
@pytest.mark.parametrize("name", STAGES)
def test_walk(started: Any, tmp_path: Path, name: str) -> None:
    """Every page that a link leads to, one of each kind, at both widths, light and dark, with pictures."""
    stage, module = STAGES[name]
    stage(tmp_path, time.time_ns() // 1_000_000 - 45 * 60_000)
    pictures = Path(os.environ["CHOREO_PAGE"]) / name
    pictures.mkdir(parents=True, exist_ok=True)
    page = app(str(tmp_path), [module], schemas=tmp_path / "schemas")
    with served(page) as address:
        with window(started, 1200, "light") as seen:
            found = linked(seen, address)
        for path, (width, scheme) in [(p, (w, s)) for p in found for w in WIDTHS for s in SCHEMES]:
            with window(started, width, scheme) as seen:
                shown = "".join(each if each.isalnum() else "-" for each in path.strip("/") or "first")[:60]
                look(seen, f"{address}{path}", pictures / f"{shown}-{width}-{scheme}.png")
    assert len(found) > 12


LINKS = """() => [...document.querySelectorAll("main a, nav a")]
  .map((each) => new URL(each.getAttribute("href"), location).href)"""


def linked(seen: Seen, address: str) -> list[str]:
    """Return where links lead to, one address of each kind."""
    found: dict[tuple[str, ...], str] = {}
    todo = ["/"]
    while todo:
        seen.page.goto(f"{address}{todo.pop()}")
        for link in seen.page.evaluate(LINKS):
            parts = urlsplit(link)
            given = sorted(parse_qsl(parts.query))
            kind = (parts.path, *(name if name in OF_ONE else f"{name}={value}" for name, value in given))
            if kind not in found:
                found[kind] = f"{parts.path}?{parts.query}" if parts.query else parts.path
                todo.append(found[kind])
    return list(found.values())


OF_ONE = ("id", "number", "after")
"""What tells one saga, letter or page from others of its kind."""
