"""``dashboard``: a dashboard for Grafana about a choreography, over the metrics of its workers.

One row of panels for each saga, then one for all participants. The expressions have no variables, so that
each can be sent to Prometheus as it stands. They take ``max by (participant, …)``, since replicas of one
participant tell the same of their store, and ``sum by`` of what each tells of itself.

Source: Grafana's JSON model of a dashboard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from choreo.graph import Choreography
from choreo.monitor.alerts import quiet_seconds

_SCHEMA_VERSION: Final = 39
_WIDTH, _HEIGHT = 24, 8
_LONGEST: Final = 180
"""Characters of a title, of which Grafana's databases take 189."""

_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


class Query(NamedTuple):
    """An expression, and the name of each of its series, in which ``{{label}}`` stands for a label."""

    expression: str
    legend: str


class Panel(NamedTuple):
    """A panel with the series of some queries.

    ``unit`` is one of Grafana's. Values from ``threshold`` on are marked, unless it is None.
    """

    title: str
    meaning: str
    unit: str
    queries: tuple[Query, ...]
    threshold: float | None = None


Rows = Mapping[str, Sequence[Panel]]
"""Panels by the title of the row in which they stand."""


def rows(choreography: Choreography) -> Rows:
    """Return the panels about a choreography: a row for each of its sagas, and one for its participants."""
    sagas = {f"Saga {each.name}": list(_of_saga(choreography, each.name)) for each in choreography.sagas}
    return {**sagas, "Participants": _OF_PARTICIPANTS}


def _of_saga(choreography: Choreography, saga: str) -> Iterator[Panel]:
    of_it = f'saga_type="{saga}"'
    yield Panel(
        "Started and ended",
        "Sagas a second that enter these states.",
        "ops",
        tuple(Query(_of_all(f"rate(saga_{each}_total{{{of_it}}}[5m])"), each) for each in _STATES),
    )
    ended = (_of_all(f"saga_{each}_total{{{of_it}}}") for each in ("started", "completed", "failed"))
    yield Panel(
        "In flight",
        "Sagas that have started and have not ended.",
        "short",
        (Query(" - ".join(ended), saga),),
    )
    buckets = f"sum by (le) (rate(saga_duration_seconds_bucket{{{of_it}}}[5m]))"
    yield Panel(
        "Duration",
        "Time from the start to the end, of sagas that ended in the last 5 minutes.",
        "s",
        tuple(Query(f"histogram_quantile({share}, {buckets})", f"{share:.0%}") for share in (0.5, 0.99)),
    )
    yield Panel(
        "Oldest last transition",
        "Age of the last transition of the saga that waits for longest, by its state and step.",
        "s",
        (Query(f"max by (state, step) (saga_oldest_age_seconds{{{of_it}}})", "{{state}} {{step}}"),),
        threshold=quiet_seconds(choreography, saga),
    )
    yield Panel(
        "Stuck",
        "Sagas that have had no transition for 10 minutes, by state.",
        "short",
        (Query(f"max by (state) (saga_stuck_count{{{of_it}}})", "{{state}}"),),
        threshold=1,
    )


_STATES: Final = ("started", "completed", "compensating", "failed")


def _of_all(metric: str) -> str:
    return f"sum(max by (participant) ({metric}))"


def _of_each(
    title: str, meaning: str, unit: str, metric: str, *labels: str, threshold: float | None = None
) -> Panel:
    """Return a panel with the largest value of a metric among the replicas of each participant."""
    by = ("participant", *labels)
    legend = " ".join(f"{{{{{each}}}}}" for each in by)
    return Panel(title, meaning, unit, (Query(f"max by ({', '.join(by)}) ({metric})", legend),), threshold)


_OF_PARTICIPANTS: Final = (
    _of_each("Store", "1 while the store can be read.", "short", "choreo_store_up"),
    _of_each(
        "Dead letters",
        "What waits for a person, by reason.",
        "short",
        "choreo_dead_letters",
        "reason",
        threshold=1,
    ),
    Panel(
        "Consumer lag",
        "Records that a participant has still to read.",
        "short",
        (
            Query(
                "sum by (participant) (max by (participant, topic, partition) (choreo_consumer_lag))",
                "{{participant}}",
            ),
        ),
    ),
    Panel(
        "Partitions",
        "Those that no broker leads, and those that are not read yet to where they ended at the start.",
        "short",
        (
            Query(
                "max by (participant) (choreo_partitions_without_leader)", "{{participant}} without leader"
            ),
            Query("sum by (participant) (choreo_partitions_catching_up)", "{{participant}} catching up"),
        ),
        threshold=1,
    ),
    _of_each("Outbox", "Events that are not published yet.", "short", "choreo_outbox_rows"),
    _of_each(
        "Oldest unpublished event",
        "The age of the oldest of them.",
        "s",
        "choreo_outbox_age_seconds",
        threshold=60,
    ),
    _of_each("Schedule", "Retries, deadlines and calls that wait.", "short", "choreo_schedule_rows", "lane"),
    _of_each(
        "Lateness",
        "How late the first of them is.",
        "s",
        "choreo_schedule_lateness_seconds",
        "lane",
        threshold=60,
    ),
    Panel(
        "Calls",
        "Calls under way, without room, and beyond their timeout.",
        "short",
        tuple(
            Query(f"sum by (participant) (choreo_calls_{each})", f"{{{{participant}}}} {each}")
            for each in ("out", "waiting", "hanging")
        ),
    ),
    Panel(
        "Throughput",
        "Events, results of calls and due work that were processed in a second.",
        "ops",
        (Query("sum by (participant) (rate(choreo_turn_items_total[5m]))", "{{participant}}"),),
    ),
    Panel(
        "Retries, refusals, void events",
        "Attempts that are to be repeated, what was refused, and events that changed nothing, in a second.",
        "ops",
        tuple(
            Query(f"sum by (participant) (rate(choreo_{each}_total[5m]))", f"{{{{participant}}}} {each}")
            for each in ("retries", "refused", "void")
        ),
    ),
    Panel(
        "Duration of a turn",
        "The mean time from the first event of a turn to its commit.",
        "s",
        (
            Query(
                "sum by (participant) (rate(choreo_turn_duration_seconds_total[5m]))"
                " / sum by (participant) (rate(choreo_turns_total[5m]))",
                "{{participant}}",
            ),
        ),
    ),
    Panel(
        "Waiting for the store",
        "The share of the time in which a worker waits for its store.",
        "percentunit",
        (Query("max by (participant) (rate(choreo_store_wait_seconds_total[5m]))", "{{participant}}"),),
    ),
)


def dashboard(choreography: Choreography) -> str:
    """Return a dashboard about a choreography, as the JSON that Grafana imports.

    Which Prometheus it asks is chosen on the page. Its identity comes from the names of the sagas: one that
    is written anew replaces that of before.
    """
    names = [each.name for each in choreography.sagas]
    title = f"choreo: {', '.join(names)}"
    identity = sha256("\n".join(sorted(names)).encode()).hexdigest()[:12]
    model = {
        "uid": f"choreo-{identity}",
        "title": title if len(title) <= _LONGEST else f"{title[: _LONGEST - 1]}…",
        "tags": ["choreo"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
            ]
        },
        "panels": list(_numbered(rows(choreography))),
    }
    return json.dumps(model, indent=2, ensure_ascii=False)


def _numbered(given: Rows) -> Iterator[dict[str, Any]]:
    """Return the rows and their panels, three beside each other, from top to bottom."""
    number, y, across = 0, 0, 3
    for title, panels in given.items():
        number += 1
        yield {"id": number, "type": "row", "title": title, "panels": [], "gridPos": _place(0, y, _WIDTH, 1)}
        y += 1
        for index, panel in enumerate(panels):
            number += 1
            width = _WIDTH // across
            place = _place(index % across * width, y + index // across * _HEIGHT, width, _HEIGHT)
            yield {"id": number, "gridPos": place, **_panel(panel)}
        y += -(-len(panels) // across) * _HEIGHT


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.threshold is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.threshold}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _DATASOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for index, query in enumerate(panel.queries)
        ],
    }
