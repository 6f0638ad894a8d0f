"""A timeline's page, looked at in a real browser: it renders, it fits, and nothing leaves the file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from choreo.render.html import page
from choreo.timeline.timeline import Timeline, timeline_of
from tests.render.conftest import Look
from tests.timeline.travelled import LATER, PLANS, graph_of_trips, shortened, timeline_named, views_in

# One browser for all.
pytestmark = pytest.mark.xdist_group("browser")

MEASURE = """
<script>
const inside = (outer, inner) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1;
const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
const moments = [...document.querySelectorAll('g.moment')];
const at = element => element.getBoundingClientRect();
const boxes = moments.map(each => at(each.querySelector('rect.box')));
const told = {
  boxes: boxes.filter(each => each.width > 40 && each.height > 10).length,
  overflowing: moments
    .filter(each => !inside(at(each.querySelector('rect.box')), at(each.querySelector('.label'))))
    .map(each => each.textContent),
  overlapping: boxes.filter((each, n) => boxes.slice(n + 1).some(other => !apart(each, other))).length,
  icons: [...document.querySelectorAll('use.icon')].filter(each => at(each).width > 4).length,
  arrows: [...document.querySelectorAll('path.arrow')].filter(each => each.getTotalLength() > 20).length,
  outside: document.documentElement.scrollWidth > window.innerWidth,
  paper: getComputedStyle(document.body).backgroundColor,
  lines: document.querySelectorAll('tr[id]').length,
};
document.body.innerHTML = '<pre id="told">' + JSON.stringify(told).replace(/</g, '&lt;') + '</pre>';
</script>
"""


def stuck_timeline(folder: Path) -> Timeline:
    """Cut a trip off while its airline is being called, and timeline_of it an hour later."""
    views = views_in(folder, PLANS["late"].trip_id)
    first = min(row.offset for view in views for row in view.entries if row.input == "event")
    cut = shortened(views, lambda row: row.offset <= first + 1 and "timed_out" not in row.outcome)
    return timeline_of(cut, LATER, graph_of_trips())


NAMES = ("booked", "mute", "late", "stuck")


@pytest.fixture(params=NAMES)
def timeline(request: pytest.FixtureRequest, travelled: Path) -> Timeline:
    """Return a success, rollbacks of parallel branches, and a saga that is stuck."""
    return stuck_timeline(travelled) if request.param == "stuck" else timeline_named(travelled, request.param)


def measured(looked: Look, written: str, scheme: str = "light", *, script: str = MEASURE) -> dict[str, Any]:
    """Measure a page with a script, which its own policy would forbid."""
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", written)
    dom = looked(free.replace("</body>", f"{script}</body>"), scheme).dom
    found = re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-500:]
    told: dict[str, Any] = json.loads(
        found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    )
    return told


def test_it_renders_and_asks_for_nothing(looked: Look, timeline: Timeline) -> None:
    """The browser has no complaint, and the page makes no request."""
    written = page(timeline)
    seen = looked(written)
    assert seen.console == []
    assert seen.requests == []
    assert seen.dom.count('<tr id="m') == len(timeline.moments)
    assert "default-src 'none'" in seen.dom


def test_its_texts_fit_their_boxes(looked: Look, timeline: Timeline) -> None:
    """No box lies upon another, no label is wider than its box, and all can be seen."""
    told = measured(looked, page(timeline))
    assert told["overflowing"] == []
    assert told["overlapping"] == 0
    assert told["boxes"] == told["icons"] >= len(timeline.participants)
    assert told["arrows"] >= 2
    assert told["lines"] == len(timeline.moments)
    assert not told["outside"]


WIDTHS = """
<script>
const at = element => element.getBoundingClientRect();
const told = {};
for (const width of [320, 500, 800, 1280, 2400]) {
  document.body.style.width = width + 'px';
  const within = (inner, outer) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1;
  const heads = [...document.querySelectorAll('rect.name')].map(at);
  const cells = [...document.querySelectorAll('td')];
  told[width] = {
    heads: heads.filter(each => each.width > 0 && within(each, at(document.querySelector('figure')))).length,
    spilled: [...document.querySelectorAll('g > text.name')]
      .filter(each => !within(at(each), at(each.previousElementSibling))).map(each => each.textContent),
    covered: cells.filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent),
    tallest: Math.max(...[...document.querySelectorAll('tbody tr')].map(each => at(each).height)),
    outside: [...document.querySelectorAll('main > *, h1, dd')]
      .filter(each => at(each).right > width + 1).map(each => each.textContent),
  };
}
document.body.innerHTML = '<pre id="told">' + JSON.stringify(told).replace(/</g, '&lt;') + '</pre>';
</script>
"""

LONG = "_of_the_department_for_bookings_and_refunds_abroad"
WHY = "ConnectionError: THE AIRLINE HAS NOT ANSWERED WITHIN ITS TIME " * 3


def crowded(folder: Path, *, long: bool, observers: int) -> Timeline:
    """Return a trip with long names of participants, or with many of them."""
    views = views_in(folder, PLANS["mute"].trip_id)
    longer = {view.participant: view.participant + LONG * long for view in views}
    found = [
        view._replace(
            participant=longer[view.participant],
            entries=[
                row._replace(
                    note=WHY if row.note and long else row.note,
                    step=row.step.replace(f"{view.participant}.", f"{longer[view.participant]}."),
                )
                for row in view.entries
            ],
        )
        for view in views
    ]
    watch = [views[0]._replace(participant=f"observer_{number}") for number in range(observers)]
    return timeline_of([*found, *(each._replace(entries=each.entries[:2]) for each in watch)], LATER)


@pytest.mark.parametrize(("long", "observers"), [(True, 0), (False, 14)])
def test_every_participant_is_in_sight_at_any_width(
    looked: Look, travelled: Path, long: bool, observers: int
) -> None:
    """The picture shrinks with the page, the tables scroll in their place, and nothing covers anything."""
    crowd = crowded(travelled, long=long, observers=observers)
    told = measured(looked, page(crowd), script=WIDTHS)
    assert len(told) == 5
    for width, seen in told.items():
        assert seen["heads"] == len(crowd.participants), width
        assert (seen["spilled"], seen["covered"], seen["outside"]) == ([], [], []), width
        assert seen["tallest"] < 900, width
    names = page(crowd).partition("<h2>")[0]
    assert all(each in names for each in crowd.participants)


def test_texts_below_the_boxes_stay_in_their_lanes(looked: Look, travelled: Path) -> None:
    """However long they are, and in capitals."""
    crowd = crowded(travelled, long=True, observers=0)
    told = measured(looked, page(crowd), script=LANES)
    assert told["texts"] > 8
    assert told["beyond"] == []


LANES = """
<script>
const at = element => element.getBoundingClientRect();
const lanes = [...document.querySelectorAll('line.lane')].map(each => at(each).left);
const half = (lanes[1] - lanes[0]) / 2;
const texts = [...document.querySelectorAll('.moment .event, .moment .why')];
const told = {
  texts: texts.length,
  beyond: texts.filter(each => at(each).width > 2 * half).map(each => each.textContent),
};
document.body.innerHTML = '<pre id="told">' + JSON.stringify(told).replace(/</g, '&lt;') + '</pre>';
</script>
"""


def test_it_is_dark_where_that_is_preferred(looked: Look, travelled: Path) -> None:
    """As the reader's system says."""
    written = page(timeline_named(travelled, "booked"))
    assert measured(looked, written)["paper"] == "rgb(253, 253, 252)"
    assert measured(looked, written, "dark")["paper"] == "rgb(20, 23, 27)"


EVIL = (
    '"><script src="http://127.0.0.1:9/x.js"></script><img src="http://127.0.0.1:9/x.png" onerror="alert(1)">'
)


def test_what_events_say_is_only_text(looked: Look, travelled: Path) -> None:
    """Whoever chooses a saga's id, or a reason, writes nothing into the page."""
    views = [
        view._replace(
            participant=EVIL if view.participant == "car" else view.participant,
            entries=[
                row._replace(saga_id=EVIL, note=EVIL if row.note else "", step=row.step.replace("book", EVIL))
                for row in view.entries
            ],
        )
        for view in views_in(travelled, PLANS["mute"].trip_id)
    ]
    written = page(timeline_of(views, LATER))
    seen = looked(written)
    assert (seen.console, seen.requests) == ([], [])
    assert "<script" not in seen.dom
    assert "<img" not in seen.dom
    assert seen.dom.count("&lt;script") > 10


def test_the_browser_would_tell(looked: Look) -> None:
    """What the tests above look for is there when it happens."""
    seen = looked('<img src="http://127.0.0.1:9/x.png"><script>console.error("no")</script>')
    assert seen.requests == ["http://127.0.0.1:9/x.png"]
    assert "no" in seen.console
    policy = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
    refused = looked(f'{policy}<img src="http://127.0.0.1:9/x.png">')
    assert refused.requests == ["http://127.0.0.1:9/x.png"]
    assert "Content Security Policy" in refused.console[0]
