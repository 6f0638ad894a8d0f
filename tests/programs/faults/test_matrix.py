"""A cut of the fault matrix; `make faults` holds all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.broker.kafka import BrokerFailed
from tests.broker.kafka_jars import Unavailable
from tests.conftest import unavailable
from tests.programs.faults.cells import FAULTS, POINTS, TASKS, Cell, matrix
from tests.programs.faults.shared_kafka import SharedKafka, Trial, open_shared_kafka

CUT: tuple[Trial, ...] = (
    (Cell("begun", "pause", "deadline"), 0),
    (Cell("handler half done", "kill", "compensation"), 0),
    (Cell("commit sent", "exception", "deadline"), 0),
    (Cell("committed before produce", "pause", "action"), 1),
    (Cell("produced before ack", "reset", "action"), 0),
    (Cell("produced before ack", "kill", "compensation"), 1),
    (Cell("acked before marked", "kill", "deadline"), 0),
    (Cell("call started", "pause", "action"), 1),
    (Cell("call finished before commit", "kill", "compensation"), 0),
    (Cell("dead letter written", "exception", "action"), 0),
    (Cell("rebalance in between", "reset", "compensation"), 1),
)
"""A trial for each part of the turn; each fault two times at least."""


pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture(scope="module")
def shared_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedKafka]:
    """Return a broker with lines to it, and room for three trials at a time."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(open_shared_kafka(tmp_path_factory.mktemp("shared_kafka"), 3))
        except (Unavailable, BrokerFailed) as error:
            unavailable(error)
        yield opened


@pytest.mark.kafka
def test_no_fault_at_any_point_of_the_turn_loses_or_repeats_anything(shared_kafka: SharedKafka) -> None:
    """Real processes, a real Kafka: every saga has one end, every effect comes once, nothing waits."""
    results = list(shared_kafka.hold_all(CUT))
    assert {(str(each.cell), each.seed): each.violations for each in results if each.violations} == {}
    assert len(results) == len(CUT)
    kills = [each for each in results if each.cell.fault == "kill"]
    assert all("1 × SIGKILL" in each.ends for each in kills)


@pytest.mark.kafka
def test_the_matrix_finds_a_store_that_forgets_its_outbox(shared_kafka: SharedKafka) -> None:
    """What was committed and not published is lost, so the saga never ends; the trial does, and says so."""
    result = shared_kafka.hold(
        Cell("committed before produce", "kill", "action"), 0, without="outbox", seconds=6
    )
    assert list(result.violations) == ["Wrong: the sagas have not ended within 6 s"]


def test_every_cell_is_held_or_says_why_not() -> None:
    """The matrix is whole, and the cut has something of every fault and every task."""
    cells = list(matrix())
    assert len(cells) == len(set(cells)) == len(POINTS) * len(FAULTS) * len(TASKS)
    empty = Counter(cell.point for cell in cells if cell.empty_because)
    assert empty == {
        "positions moved": 4,
        "call started": 4,
        "call finished before commit": 4,
        "deadline claimed": 8,
    }
    assert {cell.fault for cell, _ in CUT} == set(FAULTS)
    assert {cell.task for cell, _ in CUT} == set(TASKS)
    assert not any(cell.empty_because for cell, _ in CUT)
