"""The dashboard for Grafana: a model that it imports, over metrics that workers tell.

What the expressions are answered with is asked of a real Prometheus in `test_causes`.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from choreo.monitor.grafana import dashboard
from choreo.project.choreography import choreography_named
from choreo.project.manifests import manifest_from
from tests.cli.command import invoke


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    """Return the dashboard of all examples, as the command writes it."""
    written = invoke("monitor", "dashboard", "examples.orders", "examples.bank", "examples.travel")
    assert written.exit_code == 0, written.output
    read: dict[str, Any] = json.loads(written.stdout)
    return read


def test_each_saga_has_a_row_and_so_have_the_participants(model: dict[str, Any]) -> None:
    titles = [panel["title"] for panel in model["panels"] if panel["type"] == "row"]
    assert titles == ["Saga bank-transfer", "Saga order-fulfilment", "Saga trip-booking", "Participants"]


def test_a_title_is_no_longer_than_grafana_takes() -> None:
    """It has 189 characters for one, and most databases refuse more."""
    found = choreography_named(["examples.orders"], manifest_from)
    (saga,) = found.sagas
    named = (replace(saga.contract, name=f"saga-{number}-{'x' * 90}") for number in range(40))
    many = tuple(replace(saga, contract=each) for each in named)
    title = json.loads(dashboard(replace(found, sagas=many)))["title"]
    assert title.startswith("choreo: saga-0-")
    assert len(title) <= 189


def test_no_panel_hides_another(model: dict[str, Any]) -> None:
    """None has another's number, either, and each is within the page."""
    assert len({panel["id"] for panel in model["panels"]}) == len(model["panels"])
    places = [panel["gridPos"] for panel in model["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        assert not (_overlap(one, other, "x", "w") and _overlap(one, other, "y", "h"))


def _overlap(one: dict[str, int], other: dict[str, int], start: str, length: str) -> bool:
    return one[start] < other[start] + other[length] and other[start] < one[start] + one[length]


def test_each_panel_says_what_it_shows_and_asks_what_is_chosen(model: dict[str, Any]) -> None:
    """Of the Prometheus that is chosen on the page."""
    (chosen,) = model["templating"]["list"]
    panels = [panel for panel in model["panels"] if panel["type"] != "row"]
    assert panels
    for panel in panels:
        assert panel["description"].endswith(".")
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == f"${{{chosen['name']}}}"
            assert target["expr"]
            assert target["legendFormat"]


@pytest.mark.parametrize("command", ["dashboard", "alerts"])
def test_what_each_replica_tells_of_itself_is_added_up(command: str) -> None:
    """The largest number is that of one replica, where all of them have calls of their own."""
    asked = invoke("monitor", command, "examples.orders").stdout.splitlines()
    own = [
        each for each in asked if re.search("choreo_(calls|turn|retries|void|refused|.*catching_up)", each)
    ]
    assert len(own) >= 3
    assert not [each for each in own if "max by" in each]


def test_what_is_written_anew_replaces_that_of_before(model: dict[str, Any]) -> None:
    """In whatever order the sagas are named; another choreography has a dashboard of its own."""
    again = invoke("monitor", "dashboard", "examples.travel", "examples.bank", "examples.orders")
    other = invoke("monitor", "dashboard", "examples.bank")
    assert json.loads(again.stdout)["uid"] == model["uid"]
    assert json.loads(other.stdout)["uid"] != model["uid"]
    assert len(model["uid"]) <= 40  # as Grafana wants it
