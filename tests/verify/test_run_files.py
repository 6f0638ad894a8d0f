"""Run files: a reported run as data, exact enough to be run again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from choreo.errors import ManifestError
from choreo.graph import choreography_of
from choreo.manifest import Manifest
from choreo.protocol import Trigger
from choreo.verify import verify
from choreo.verify.engine.run_file import RunFile, read_run, run_file_of, write_run
from tests.graph.small_sagas import manifests_of
from tests.protocol.sagas import Saga, chain

from .test_scenarios import model_of, runs_of


def run_file(saga: Saga, scenario: str) -> RunFile:
    runs, _ = runs_of(saga, cancellable=True)
    (run,) = (run for run in runs if run.scenario.title == scenario)
    return run_file_of(model_of(saga, cancellable=True).graph, run, "CHO106", "0.1.0")


def test_a_run_file_says_who_publishes_what_and_how_much_they_had_read() -> None:
    """In the order of the topic; a refusal is nobody's work."""
    found = run_file(chain(2), "cancelled after start")
    assert [(each.type, each.participant, each.how, each.begun, each.read) for each in found.events] == [
        ("Started", "orders", "start", 0, 0),
        ("Cancelled", "", "cancellation", 1, 1),
        ("ADone", "a", "handler", 1, 1),
        ("BFailed", "b", "runtime", 3, 3),
        ("AUndone", "a", "handler", 4, 4),
        ("Failed", "orders", "handler", 5, 5),
    ]
    assert found.end == "failed"


def test_a_late_reply_began_before_its_deadline_passed() -> None:
    """The step began when it had read its trigger, and ended when the deadline was in the log."""
    found = run_file(chain(1).with_watch("A"), "a.do answers long after orders.late_a_0")
    (deadline,) = (each for each in found.events if each.how == "deadline")
    (reply,) = (each for each in found.events if each.type == "Completed")
    assert (deadline.participant, deadline.step) == ("orders", "a.do")
    assert (reply.begun, reply.read) == (1, 2)


def test_a_dead_letter_and_a_raising_step_are_told_apart() -> None:
    """What a handler can't do at first is requeued; what raises has an effect that is undone silently."""
    requeued = run_file(chain(2), "b.do is a dead letter for a while")
    assert [each.how for each in requeued.events] == ["start", "handler", "requeued"]
    raised = run_file(chain(2).with_partial("B"), "b.do raises")
    assert [each.how for each in raised.events] == ["start", "handler", "raised", "handler", "handler"]


@pytest.mark.parametrize("scenario", ["nothing fails", "b.do fails", "c.do fails", "cancelled after a.do"])
def test_a_run_file_is_read_as_it_was_written(scenario: str) -> None:
    """Nothing is lost."""
    given = run_file(chain(3), scenario)
    assert read_run(write_run(given), "t.json") == given


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 9}', b"\xff"])
def test_a_bad_run_file_is_refused(text: bytes | str) -> None:
    """In one line."""
    with pytest.raises(ManifestError, match=r"^t\.json: "):
        read_run(text, "t.json")


def test_a_changed_run_file_is_refused() -> None:
    """It shows what was found, and nothing else."""
    content = json.loads(write_run(run_file(chain(2), "b.do fails")))
    content["events"][1]["type"] = "Else"
    with pytest.raises(ManifestError, match="hash"):
        read_run(json.dumps(content), "t.json")


def _hasty(manifest: Manifest) -> Manifest:
    """Let a compensation be called by the last step's failure, as textbooks do."""
    handlers = tuple(
        replace(each, trigger=Trigger.of("CFailed")) if each.name == "a.undo_adone" else each
        for each in manifest.handlers
    )
    return replace(manifest, handlers=handlers)


def test_a_finding_carries_the_run_that_shows_it() -> None:
    """The whole run, not only the lines that a person is shown."""
    verdict = verify(choreography_of(map(_hasty, manifests_of(chain(3)))))
    (finding,) = (each for each in verdict.findings if each.rule == "CHO204")
    assert finding.run_file
    assert (finding.run_file.rule, finding.run_file.scenario) == ("CHO204", "c.do fails")
    undone = [each.type for each in finding.run_file.events if each.outcome == "compensated"]
    assert undone.index("AUndone") <= undone.index("BUndone")
