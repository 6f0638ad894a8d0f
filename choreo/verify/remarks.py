"""What was found in the bodies of handlers, as the manifests carry it, given to the rules that it belongs
to."""

from __future__ import annotations

from collections.abc import Iterator

from choreo.manifest import HandlerEntry
from choreo.manifest.manifest import Remark
from choreo.verify.case import Case


def remarks(case: Case, rule: str) -> Iterator[tuple[Remark, HandlerEntry]]:
    """Give the remarks of one rule on handlers of this saga."""
    handlers = {handler.name: handler for handler in case.graph.handlers}
    for manifest in case.choreography.manifests:
        for remark in manifest.remarks:
            if remark.rule == rule and remark.handler in handlers:
                yield remark, handlers[remark.handler]
