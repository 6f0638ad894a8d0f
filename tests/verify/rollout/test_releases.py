"""Releases by hand: each kind of change, and what `choreo verify --against` says of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from choreo.graph import Choreography, choreography_of
from choreo.verify import Budget, Verdict, verify
from choreo.verify.engine.budget import DEFAULT, Meter, no_clock
from choreo.verify.report import FORMATS
from choreo.verify.report.text import text
from choreo.verify.rollout.judgement import judge
from tests.programs.bench.releases import rollout_of
from tests.verify.choreography_text import read_choreography

BASE = """
o.fail of start derived <> Failed
p.pay < Started > Paid / PayFailed
p.refund of p.pay derived <> Refunded
s.ship < Paid > Shipped / ShipFailed
s.unship of s.ship derived <> Unshipped
k.pack pivot < Shipped > Completed / PackFailed
"""
WATCHED = f"{BASE}o.late late p.pay < Started > PayLate\n"
CHECKED = BASE.replace("s.ship < Paid", "s.ship < Checked").replace("p.refund of", "p.giveback of") + (
    "c.check < Paid > Checked / CheckFailed\nc.uncheck of c.check derived <> Unchecked\n"
)
LEAF = "m.mail < Paid > Mailed / MailFailed\nm.unmail of m.mail derived <> Unmailed\n"
SWAPPED = (
    BASE.replace("< Paid >", "< Started >", 1)
    .replace("p.pay < Started", "p.pay < Shipped")
    .replace("pivot < Shipped", "pivot < Paid")
)
PARALLEL = BASE.replace("s.ship < Paid", "s.ship < Started").replace(
    "pivot < Shipped", "pivot < Paid & Shipped"
)
CHOICE = BASE.replace("> Shipped /", "> Shipped Posted /").replace("< Shipped >", "< Shipped | Posted >")
SPLIT = BASE.replace("> Paid /", "> Held /", 1) + (
    "p.take < Held > Paid / TakeFailed\np.untake of p.take derived <> Untaken\n"
)
MERGED = """
o.fail of start derived <> Failed
s.ship < Started > Shipped / ShipFailed
s.unship of s.ship derived <> Unshipped
k.pack pivot < Shipped > Completed / PackFailed
"""
PIVOT = """
o.fail of start derived <> Failed
p.pay < Started > Paid / PayFailed
p.refund of p.pay derived <> Refunded
s.ship pivot < Paid > Shipped / ShipFailed
o.close retriable async < Shipped > Completed
"""
BRANCH = """
o.fail of start derived <> Failed
t imports Told
p.pay < Started > Paid / PayFailed
p.refund of p.pay derived <> Refunded
t.take async partial < Paid & Told > Completed / TakeFailed
t.untake of t.take async derived <> Untaken
"""
VERSION_2 = """
version 2
o.fail of start derived <> Failed
p.pay < Started > Paid / PayFailed
p.refund of p.pay derived <> Refunded
c.check since=2 < Paid > Checked / CheckFailed
c.uncheck of c.check since=2 derived <> Unchecked
s.ship until=1 < Paid > Shipped / ShipFailed
s.unship of s.ship until=1 derived <> Unshipped
s.send since=2 < Checked > Shipped / ShipFailed
s.unsend of s.send since=2 derived <> Unshipped
k.pack pivot < Shipped > Completed / PackFailed
"""

IMPORTED = """
o.fail of start derived <> Failed
o imports Told
p.pay < Told > Paid / PayFailed
p.refund of p.pay result=Paid derived <> Refunded
s.ship < Started > Shipped / ShipFailed
s.unship of s.ship derived <> Unshipped
p.pack pivot < Paid & Shipped > Completed / PackFailed
"""
OWED = (
    IMPORTED.replace("> Paid /", "> Paid Owed /").replace("Paid & Shipped", "(Paid | Checked) & Shipped")
    + """
p.forget of p.pay result=Owed derived <> Forgotten
m.check < Owed > Checked / CheckFailed
m.uncheck of m.check derived <> Unchecked
"""
)

CLEAN = {
    "nothing": (BASE, BASE),
    "observers": (f"{BASE}r.look < Completed >\n", f"{BASE}r.look < Completed | Failed >\n"),
    "renamed with formerly": (BASE, BASE.replace("\np.pay <", "\np.take formerly=pay <")),
    "renamed twice": (
        BASE.replace("p.pay", "p.take"),
        BASE.replace("\np.pay <", "\np.charge formerly=take,pay <"),
    ),
    "renamed back": (BASE.replace("\np.pay <", "\np.take formerly=pay <"), BASE),
    "a pivot that can't fail any more": (
        BASE,
        BASE.replace("pivot < Shipped > Completed / PackFailed", "retriable < Shipped > Completed"),
    ),
    "a deadline": (BASE, WATCHED),
    "a choice in the branch of an import, taken by whom is new": (IMPORTED, OWED),
    "a cancellation": (BASE, f"Cancelled\n{BASE}"),
    "a step at the end, by whom it is new": (
        BASE,
        f"{BASE.replace('> Completed', '> Packed')}n.tell retriable < Packed > Completed\n",
    ),
    "a step at the end, by the same": (
        BASE,
        f"{BASE.replace('> Completed', '> Packed')}k.tell retriable < Packed > Completed\n",
    ),
}
BROKEN = {
    "renamed": (BASE, BASE.replace("p.pay", "p.take"), "CHO803"),
    "removed": (BASE + LEAF, BASE, "CHO803"),
    "a deadline removed": (WATCHED, BASE, "CHO803"),
    "of another kind": (
        BASE,
        BASE.replace("s.ship <", "s.ship pivot <")
        .replace("s.unship of s.ship derived <> Unshipped\n", "")
        .replace("pivot < Shipped > Completed / PackFailed", "retriable < Shipped > Completed"),
        "CHO803",
    ),
    "merged": (BASE, MERGED, "CHO803"),
    "given to another": (BASE, BASE.replace("p.pay", "q.pay").replace("p.refund", "q.refund"), "CHO802"),
    "put before a pivot, by whom is new": (
        PIVOT,
        PIVOT.replace("s.ship pivot < Paid", "s.ship pivot < Checked")
        + "c.check < Paid > Checked / CheckFailed\nc.uncheck of c.check derived <> Unchecked\n",
        "CHO803",
    ),
    "put before a step in the branch of an import": (
        BRANCH,
        BRANCH.replace("p.pay <", "p.pay < Held <").replace("< Held < Started", "< Held")
        + "c.hold < Started > Held / HoldFailed\nc.unhold of c.hold derived <> Unheld\n",
        "CHO803",
    ),
    "given up by a participant that leaves": (
        f"{BASE}{LEAF}",
        f"{BASE}{LEAF.replace('m.', 'p.')}",
        "CHO803",
    ),
    "split": (BASE, SPLIT, "CHO801"),
    "exchanged": (BASE, SWAPPED, "CHO801"),
    "one after the other, not beside": (PARALLEL, BASE, "CHO801"),
    "beside, not one after the other": (BASE, PARALLEL, "CHO801"),
    "a choice removed": (CHOICE, BASE, "CHO801"),
    "a choice added": (BASE, CHOICE, "CHO804"),
    "put in the middle": (BASE, CHECKED, "CHO803"),
    "beside, by whom is new": (BASE, f"{BASE}{LEAF}", "CHO804"),
    "at the end, by whom was there": (
        BASE,
        f"{BASE.replace('> Completed', '> Packed')}o.tell retriable < Packed > Completed\n",
        "CHO804",
    ),
    "a version that is rolled back": (VERSION_2, BASE, "CHO801"),
}


def made(choreography: str) -> Choreography:
    return choreography_of(read_choreography(choreography))


def across(old: str, new: str, budget: Budget | None = None) -> Verdict:
    levels = dict.fromkeys(("CHO103", "CHO212", "CHO301"), "off")
    return verify(made(new), older=made(old), levels=levels, budget=budget or Budget())  # type: ignore[arg-type]


@pytest.mark.parametrize("change", CLEAN)
def test_a_change_that_harms_no_saga_is_clean(change: str) -> None:
    verdict = across(*CLEAN[change])

    assert verdict.findings == ()
    assert verdict.scope.release is not None


@pytest.mark.parametrize("change", BROKEN)
def test_a_change_that_harms_a_saga_is_told_as_what_it_is(change: str) -> None:
    old, new, expected = BROKEN[change]

    assert {each.rule for each in across(old, new).findings} == {expected}


def test_each_release_is_clean_alone() -> None:
    """So what is found is the release's."""
    for old, new, _ in BROKEN.values():
        assert not across(old, old).errors
        assert not across(new, new).errors


def test_the_order_that_is_printed_is_right_and_another_is_shown() -> None:
    (found,) = across(*BROKEN["at the end, by whom was there"][:2]).findings

    assert found.message == "right only if deployed in this order: o, k"
    assert found.steps == ("o", "k")
    assert [line.step for line in found.run if line.what == "upgraded"] == ["k", "o"]
    assert "deploy `o`, then `k`" in found.help


def test_a_saga_does_not_fail_before_everything_is_undone() -> None:
    """Whoever ends it must know of a step that is new beside the others, before that is done."""
    (found,) = across(*BROKEN["beside, by whom is new"][:2]).findings

    assert found.steps == ("p", "m")
    assert "`p.pay` is undone before `m.mail`, which depends on it" in found.why
    (last,) = across(BASE, f"{BASE}{LEAF.replace('< Paid', '< Started')}").findings
    assert last.steps == ("o", "m")
    assert "the saga has failed before `m.mail` is undone" in last.why


def test_a_step_is_undone_after_all_that_depend_on_it() -> None:
    """What was called by the old release depends on what called it, whatever the new one says."""
    (found,) = across(*BROKEN["put in the middle"][:2]).findings

    assert re.search(r"`p\.pay` is undone before `[sc]\.\w+`, which depends on it", found.message)


def test_a_new_version_is_right_in_any_order() -> None:
    """Whoever doesn't know it holds its sagas, and does what they call for once it does."""
    assert across(BASE, VERSION_2).findings == ()


def test_a_rename_is_mended_by_what_the_finding_says() -> None:
    (found,) = across(BASE, BASE.replace("p.pay", "p.take")).findings

    assert found.help == 'say what it was called: formerly="pay" at `p.take`'
    assert [line.what for line in found.run] == ["ok", "refused"]


def test_an_effect_that_is_repeated_is_told() -> None:
    """The renamed step is called later, and nobody has to undo the old one."""
    old = f"{BASE.replace('> Completed', '> Packed')}k.tell retriable < Packed > Completed\n"
    old += "m.mail retriable < Packed > Mailed\n"
    new = old.replace("m.mail retriable < Packed", "n.post retriable < Packed | Completed")
    found = across(old, new).findings

    assert [each.rule for each in found] == ["CHO802"]


def test_another_contract_needs_a_drain() -> None:
    old, new = read_choreography(BASE), read_choreography(BASE)
    moved = [
        replace(each, sagas=tuple(replace(saga, topic="elsewhere") for saga in each.sagas)) for each in new
    ]
    verdict = verify(choreography_of(moved), older=choreography_of(old), levels={"CHO301": "off"})

    assert [each.rule for each in verdict.findings] == ["CHO805"]
    assert "topic was grown, and is elsewhere" in verdict.findings[0].why


def test_errors_of_the_new_choreography_come_first() -> None:
    broken = BASE.replace("s.unship of s.ship derived <> Unshipped\n", "")
    verdict = across(BASE, broken)

    assert "CHO201" in {each.rule for each in verdict.findings}
    assert "the release not run: the errors come first" in str(verdict.scope)


def test_a_limit_makes_it_inconclusive() -> None:
    verdict = across(*BROKEN["exchanged"][:2], budget=Budget(states=60))

    assert verdict.scope.unfinished
    assert "CHO901" in {each.rule for each in verdict.findings}


def test_a_release_of_twenty_steps_visits_few_states() -> None:
    """An event that is read is no state where no upgrade matters, nor is what called for what is undone."""
    meter = Meter(DEFAULT, no_clock)

    judgement = judge(rollout_of("choices", "inserted"), DEFAULT.troubles, meter)

    assert {each.signature.how for each in (*judgement.certain, *judgement.others)} >= {"stranded"}
    assert meter.states < 12_000


def test_every_report_carries_it() -> None:
    verdict = across(*BROKEN["renamed"][:2])
    told = json.loads(FORMATS["json"](verdict))

    assert told["scope"]["release"]["changed"] == 1
    assert told["findings"][0]["trace"][-1]["what"] == "refused"
    assert "1 of 4 participants changed" in text(verdict)
    assert "<failure" in FORMATS["junit"](verdict)
    assert "CHO803" in FORMATS["github"](verdict)
    flow = json.loads(FORMATS["sarif"](verdict))["runs"][0]["results"][0]["codeFlows"][0]
    assert len(flow["threadFlows"][0]["locations"]) == 2


def test_a_rule_on_releases_is_not_looked_at_without_one() -> None:
    assert "CHO801" not in verify(made(BASE)).applied_to("")
    assert "CHO801" in across(BASE, BASE).applied_to("")
