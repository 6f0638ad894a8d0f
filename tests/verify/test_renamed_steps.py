"""A renamed step: verify names its identity where it is watched, its function where code is meant."""

from __future__ import annotations

from choreo.manifest import read_manifest, write_manifest
from choreo.verify.finding import at
from tests.verify.corpus.case import FOLDER, CorpusCase

RENAMED = CorpusCase(FOLDER / "bad" / "cho702_renamed_step.py")


def test_a_deadline_is_told_the_identity() -> None:
    """Neither of the other names is that by which the topic knows the step."""
    (finding,) = RENAMED.verdict.findings
    assert finding.message == "`orders.charge_is_late` watches `payments.take`, and payments has no such step"
    assert finding.help == 'of="payments.charge": a step that was renamed is known by its oldest name'


def test_a_line_reads_as_it_does_in_the_code() -> None:
    """A compensation names the function of its action, also where it was read from a manifest's text."""
    (manifest,) = (each for each in RENAMED.manifests if each.participant == "payments")
    again = read_manifest(write_manifest(manifest), "payments")
    for handler in again.handlers:
        assert handler.step == "payments.charge"
    assert [at(handler).text for handler in again.handlers] == [
        "@payments.action  def take",
        "@payments.compensation(of=take)",
    ]
