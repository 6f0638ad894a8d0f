"""Every run that `choreo verify` reports is run again, by the real worker, and takes the same course."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from choreo.errors import DeclarationError
from choreo.graph import choreography_of
from choreo.participant import Participant
from choreo.project.choreography import declared
from choreo.project.modules import participants_of
from choreo.testing.counterexample import CounterexampleReplay, ReplayResult
from choreo.testing.fakes import fake_participants
from choreo.verify import Finding, verify
from choreo.verify.engine.run_file import RunEvent, RunFile, write_run
from tests.cli.command import invoke
from tests.verify.choreography_text import read_choreography

from .corpus.case import CorpusCase, cases
from .judging import random_choreography
from .test_oracles import SEEDS

# In one process, which verifies each case of the corpus once.
pytestmark = pytest.mark.xdist_group("corpus")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Leave out what workers log of handlers whose time has not come."""
    log = logging.getLogger("choreo")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    yield
    log.setLevel(level)


def rerun(participants: Sequence[Participant], run: RunFile) -> ReplayResult:
    simulation = CounterexampleReplay(participants, run)
    try:
        return simulation.follow()
    finally:
        simulation.close()


def with_runs(findings: Sequence[Finding]) -> Iterator[tuple[Finding, RunFile]]:
    for finding in findings:
        if finding.run_file:
            yield finding, finding.run_file


def same(finding: Finding, run: RunFile, course: ReplayResult) -> None:
    assert not course.different, f"{finding.rule} {finding.message}: {course.different}\n{run}"
    assert course.events[: len(run.events)] == tuple(event.type for event in run.events)


PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_of_the_corpus_runs_again(part: int) -> None:
    """With its real handlers; with stand-ins where the defect can't be declared."""
    shown = [run_again(case) for case in cases("bad")[part::PARTS]]
    assert sum(shown) >= 1


def run_again(case: CorpusCase) -> int:
    """Run what a case's findings show, and return how many do."""
    own = list(dict.fromkeys(each for _, each in participants_of(case.module)))
    altered = hasattr(case.module, "alter")
    runs = list(with_runs(case.verdict.findings))
    for finding, run in runs:
        same(finding, run, rerun(fake_participants(case.manifests) if altered else own, run))
        same(finding, run, rerun(fake_participants(case.manifests), run))
    return len(runs)


@pytest.mark.parametrize("part", range(2))
def test_a_run_of_a_random_choreography_runs_again(part: int) -> None:
    """Handlers are made up from the manifests; who is early, late, fails or dies is the run's matter."""
    shown = 0
    for seed in range(part, SEEDS, 2):
        manifests = random_choreography(seed).manifests
        for finding, run in with_runs(verify(choreography_of(manifests)).findings):
            try:
                course = rerun(fake_participants(manifests), run)
            except DeclarationError:
                continue  # no worker runs what has no compensation, or another's
            same(finding, run, course)
            shown += 1
    assert shown


CHAIN = """
    a.one < Started > One / OneFailed
    a.undo_one of a.one result=One < TwoFailed > OneUndone
    b.two pivot < One > Completed / TwoFailed
    o.give_up of start derived < > Failed
"""
EVENTS = (
    RunEvent("g.Started", "start", "succeeded", "o", "start", 0, 0),
    RunEvent("g.One", "a.one", "succeeded", "a", "handler", 1, 1),
    RunEvent("g.TwoFailed", "b.two", "failed", "b", "handler", 2, 2),
    RunEvent("g.OneUndone", "a.one", "compensated", "a", "handler", 3, 3),
    RunEvent("g.Failed", "start", "compensated", "o", "handler", 4, 4),
)


def test_a_run_that_can_not_be_is_another_course() -> None:
    """The handlers are asked, not only told: what the protocol refuses doesn't happen."""
    stand_ins = fake_participants(read_choreography(CHAIN))
    right = RunFile("grown", "CHO204", "b.two fails", EVENTS, "failed")
    assert not rerun(stand_ins, right).different
    too_early = right._replace(events=(*EVENTS[:3], EVENTS[4]._replace(begun=3, read=3)))
    assert "o does not publish g.Failed" in rerun(stand_ins, too_early).different
    assert "a can't have read 1 events" in rerun(stand_ins, right._replace(events=EVENTS[1:])).different
    unended = right._replace(events=EVENTS[:3], end="completed")
    assert rerun(stand_ins, unended).end == "failed"


ORDERS = "examples.orders.contract"


def test_a_handler_that_does_otherwise_is_told(tmp_path: Path) -> None:
    """There is no stock for what was made up: the reservation fails, and the run's event stands."""
    events = (
        RunEvent("shop.OrderCreated", "start", "succeeded", "orders", "start", 0, 0),
        RunEvent(
            "shop.InventoryReserved", "inventory.reserve_inventory", "succeeded", "inventory", "handler", 1, 1
        ),
        RunEvent("shop.PaymentFailed", "payments.process_payment", "failed", "payments", "handler", 2, 2),
        RunEvent(
            "shop.ReservationReleased",
            "inventory.reserve_inventory",
            "compensated",
            "inventory",
            "handler",
            3,
            3,
        ),
        RunEvent("shop.OrderFailed", "start", "compensated", "orders", "handler", 4, 4),
    )
    run = RunFile("order-fulfilment", "CHO204", "payments.process_payment fails", events, "failed")
    course = rerun(declared("examples.orders"), run)
    assert (course.different, course.end) == ("", "failed")
    assert course.replaced == ("inventory.reserve_inventory raised Permanent, not shop.InventoryReserved",)
    path = tmp_path / "trace.json"
    path.write_text(write_run(run))
    result = invoke("simulate", str(path), "examples.orders")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "the same course: 5 events, and the saga failed"
    late = run._replace(events=(*events[:3], events[4]._replace(begun=3, read=3)))
    path.write_text(write_run(late))
    result = invoke("simulate", str(path), "examples.orders")
    assert result.exit_code == 1
    assert "another course: orders does not publish shop.OrderFailed" in result.stdout


def test_what_is_no_run_file_or_is_of_others_is_one_line(tmp_path: Path) -> None:
    """Exit 2, and what to do."""
    path = tmp_path / "trace.json"
    path.write_text(write_run(RunFile("grown", "CHO204", "b.two fails", EVENTS, "failed")))
    result = invoke("simulate", str(path), "examples.orders")
    assert result.exit_code == 2
    assert "nobody here takes part in saga 'grown'" in result.stderr
    result = invoke("simulate", str(path), "examples.orders", str(tmp_path))
    assert result.exit_code == 2
    assert "can't run together" in result.stderr
    path.write_text(path.read_text().replace("b.two", "b.too", 1))
    result = invoke("simulate", str(path), "examples.orders")
    assert result.exit_code == 2
    assert "Traceback" not in result.output
