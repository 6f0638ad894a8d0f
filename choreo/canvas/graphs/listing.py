"""Sagas as JSON, for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable

from choreo.canvas.graphs.edges import edges
from choreo.canvas.graphs.table import rows
from choreo.choreography import SagaGraph


def as_json(graphs: Iterable[SagaGraph]) -> str:
    """Write steps and edges of every saga."""
    told = [
        {
            "saga": graph.name,
            "topic": graph.contract.topic,
            "steps": [row._asdict() for row in rows(graph)],
            "edges": [edge._asdict() for edge in edges(graph)],
        }
        for graph in graphs
    ]
    return json.dumps(told, indent=2, ensure_ascii=False)
