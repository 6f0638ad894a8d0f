"""What is found, and what is not: choreographies in a few lines, and the one finding that each cause has."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from choreo.graph import choreography_of
from choreo.manifest import Emission, ExternalEntry, Manifest, RetryEntry, SchemaEntry
from choreo.project.manifests import compare
from choreo.verify import Finding, Verdict, verify
from tests.protocol.triggers import renamed
from tests.verify.choreography_text import SAGA, read_choreography, schema

CHAIN = """
p1.s1 < Started > S1 / S1Failed
p1.undo1 of p1.s1 result=S1 < S2Failed > S1Undone
p2.s2 pivot < S1 > S2 / S2Failed
p3.s3 retriable < S2 > Completed
p1.give_up of start < S1Failed | S1Undone > Failed
"""

DERIVED = CHAIN.replace("< S2Failed >", "derived < >").replace("< S1Failed | S1Undone >", "derived < >")


def judged(text: str) -> Verdict:
    """Verify a choreography, apart from deadlines that nobody set (CHO301)."""
    return of(read_choreography(text))


def of(manifests: list[Manifest]) -> Verdict:
    return verify(choreography_of(manifests), compare=compare, levels={"CHO301": "off"})


def found(text: str) -> list[str]:
    return [each.rule for each in judged(text).findings]


def only(text: str) -> Finding:
    (finding,) = judged(text).findings
    return finding


HARMLESS = {
    "a leaf beside the pivot": "p4.leaf < Started > L / LFailed\np4.undo of p4.leaf result=L < > LUndone",
    "a leaf after the pivot": "p4.leaf < S2 > L / LFailed\np4.undo of p4.leaf result=L < > LUndone",
    "a second pivot as a leaf": "p4.leaf pivot < S2 > L / LFailed",
    "a leaf after a retriable": "p4.tell retriable < S2 > T\np4.leaf pivot < T > L / LFailed",
}
HARMFUL = {
    "a step that the end waits for": ("p4.x < S2 > X / XFailed\np4.undo of p4.x < > XUndone", "S2 & X"),
    "two leaves, of which one is undone when the other fails": (
        "p4.x < S2 > X / XFailed\np4.undox of p4.x < > XUndone\n"
        "p4.y < S2 > Y / YFailed\np4.undoy of p4.y < > YUndone",
        "S2",
    ),
    "a second pivot on the way": ("p4.x pivot < S2 > X / XFailed", "X"),
    "beside it, and joined after it": ("p4.x < S1 > X / XFailed\np4.undo of p4.x < > XUndone", "S2 & X"),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_what_may_fail_beside_a_pivot_and_harms_nobody_is_no_error(what: str) -> None:
    """Every order was searched, and in none is anything undone that stays, or the reverse."""
    verdict = judged(f"{DERIVED}\n{HARMLESS[what]}")

    assert "CHO209" not in {each.rule for each in verdict.findings}
    assert not verdict.errors
    assert "complete for" in str(verdict.scope)


@pytest.mark.parametrize("what", HARMFUL)
def test_what_breaks_the_saga_after_its_pivot_is_an_error(what: str) -> None:
    """And is told once; nothing else calls the same step a pivot to be."""
    lines, end = HARMFUL[what]
    text = f"{CHAIN.replace('retriable < S2 >', f'retriable < {end} >')}\n{lines}"
    rules = found(text)

    assert rules.count("CHO209") >= 1
    assert "CHO212" not in rules


def test_another_error_does_not_make_a_leaf_harmful() -> None:
    """The search looks at the saga as it would be undone rightly."""
    spoilt = DERIVED.replace("result=S1 derived < > S1Undone", "result=S1 < Started > S1Undone")
    rules = found(f"{spoilt}\n{HARMLESS['a leaf beside the pivot']}")

    assert "CHO209" not in rules
    assert rules


LATE = """
p4.leaf < Started > L / LFailed
p4.undo of p4.leaf derived result=L < > LUndone
p2.late late p4.leaf < Started > LLate
"""


@pytest.mark.parametrize("seed", range(10))
def test_a_late_leaf_is_found_in_whatever_order_the_handlers_stand(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its success comes after its deadline and is undone, though the saga completes: one hold shows it."""
    monkeypatch.setattr("choreo.verify.engine.search.FURTHER", 0)
    lines = (DERIVED + LATE).split("\n")
    Random(seed).shuffle(lines)

    assert "`p4.leaf` can fail beside `p2.s2`" in [
        each.message.partition(",")[0] for each in judged("\n".join(lines)).findings
    ]


MERGES = {
    "of two branches": ("S1 | S4", "wait for S1 & S4", "p4.s4 < Started > S4 / S4Failed"),
    "of a branch of two steps": (
        "S1 | S5",
        "wait for S1 & S5",
        "p4.s4 < Started > S4 / S4Failed\np4.s5 < S4 > S5 / S5Failed\np4.undo5 of p4.s5 derived < > S5Undone",
    ),
    "of a branch that is a choice": (
        "S1 | S4A | S4B",
        "wait for S1 & S4A | S4B",
        "p4.s4 < Started > S4A S4B / S4Failed",
    ),
}


@pytest.mark.parametrize("what", MERGES)
def test_a_pivot_that_does_not_wait_for_a_branch_is_told_the_join(what: str) -> None:
    """`A & B` was meant where `A | B` is written; the code to paste has a parameter for each."""
    merge, told, branch = MERGES[what]
    text = f"""
    p1.s1 < Started > S1 / S1Failed
    p1.undo1 of p1.s1 derived < > S1Undone
    {branch}
    p4.undo4 of p4.s4 derived < > S4Undone
    p2.s3 pivot < {merge} > Completed / S3Failed
    p1.give_up of start derived < > Failed
    """
    finding = next(each for each in judged(text).findings if each.rule in ("CHO209", "CHO114"))

    assert told in finding.help
    assert finding.paste[0].startswith("def s3(")
    assert finding.paste[0].count(": ") >= 2


REACTIONS = {
    "a retriable on a failure": "p4.note retriable < S2Failed > N",
    "a pivot on a failure": "p4.note pivot < S2Failed > N / NFailed",
    "a compensatable on a failure": "p4.note < S1Failed > N / NFailed\np4.undo of p4.note < > NUndone",
    "a retriable on an undone step": "p4.note retriable < S1Undone > N",
    "a retriable on the good end": "p4.note retriable < Completed > N",
    "a retriable on the bad end": "p4.note retriable < Failed > N",
    "a retriable on a success with a failure": "p4.note retriable < S1 & S2Failed > N",
    "a retriable on a cancellation": "Cancelled\np4.note retriable < Cancelled > N",
}


@pytest.mark.parametrize("what", REACTIONS)
def test_an_action_on_a_failure_is_told_to_become_an_observer(what: str) -> None:
    """Not to be put somewhere else, and nothing else is told of it."""
    errors = [each for each in judged(f"{REACTIONS[what]}\n{CHAIN}").findings if each.level == "error"]

    assert [each.rule for each in errors] == ["CHO209"]
    assert "observer" in errors[0].help
    assert "before" not in errors[0].help


def test_a_retriable_step_with_a_failure_is_found_in_a_manifest() -> None:
    """It can't be declared."""
    text = CHAIN.replace("> Completed", "> Completed / S3Failed")
    errors = [each for each in judged(text).findings if each.level == "error"]

    assert [each.rule for each in errors] == ["CHO209"]
    assert "is retriable, and declares the failure S3Failed" in errors[0].message


SHARED = {
    "the same word for yes and no": CHAIN.replace("S1 / S1Failed", "S1 / S1").replace("< S1Failed |", "<"),
    "an action that starts the saga": CHAIN.replace("> S2 / S2Failed", "> S2 Started / S2Failed"),
    "an import that an action emits": f"p5 imports S2\n{CHAIN}",
    "two imports of one event": f"p5 imports X\np6 imports X\n{CHAIN}".replace("< S1 >", "< S1 & X >"),
    "an action that cancels the saga": f"Cancelled\n{CHAIN}".replace("> S2 /", "> S2 Cancelled /"),
    "one failure for two": CHAIN.replace("S2Failed", "S1Failed"),
    "one success for two": f"{CHAIN}\np4.again retriable < S1 > S2",
    "a failure that is the end": CHAIN.replace("S2 / S2Failed", "S2 / Failed").replace(
        "< S2Failed", "< Failed"
    ),
}


@pytest.mark.parametrize("what", SHARED)
def test_one_event_for_two_outcomes_is_one_finding(what: str) -> None:
    """In manifests, as it is refused in code; what follows from it is not reported, too."""
    assert [each.rule for each in judged(SHARED[what]).findings if each.level == "error"] == ["CHO109"]


@pytest.mark.parametrize("known", [True, False])
def test_an_external_event_without_a_saga_id_is_told_as_an_export(known: bool) -> None:
    """Whether one participant knows the event, or several."""
    manifests = read_choreography(CHAIN.replace("pivot < S1 >", "pivot < S1 & X >"))
    export = ExternalEntry("g.X", SAGA, "outside", "export")
    manifests = [
        replace(
            each,
            external=(export,) if each.participant == ("p1" if known else "p2") else (),
            schemas={**each.schemas, "g.X": SchemaEntry({}, "")} if known else each.schemas,
        )
        for each in manifests
    ]
    (finding,) = (each for each in verify(choreography_of(manifests)).findings if each.level == "error")

    assert finding.rule in ("CHO101", "CHO102")
    assert "an export" in finding.message
    assert "has no saga_id=" in finding.help


NOWHERE = {
    "one of two answers": ("S1 > S2A S2B / S2Failed", "S2A", "S2B"),
    "the first of two": ("S1 > S2A S2B / S2Failed", "S2B", "S2A"),
    "one of three": ("S1 > S2A S2B S2C / S2Failed", "S2A | S2C", "S2B"),
}


@pytest.mark.parametrize("what", NOWHERE)
@pytest.mark.parametrize("beside", ["", "p5.x < Started > X / XFailed\np5.undo of p5.x derived < > XUndone"])
def test_an_answer_that_leads_nowhere_is_named(what: str, beside: str) -> None:
    """Also where other branches go on after it."""
    emits, end, lost = NOWHERE[what]
    text = f"""
    p1.s1 < Started > S1 / S1Failed
    p1.undo1 of p1.s1 < S2Failed > S1Undone
    p2.s2 pivot < {emits}
    p3.s3 retriable < {end} > Completed
    p1.give_up of start derived < > Failed
    {beside}
    """
    errors = [each for each in judged(text).findings if each.level == "error"]

    assert [each.rule for each in errors] == ["CHO106"]
    assert f"stops after {lost} " in errors[0].message
    assert f"{lost} is an answer of `p2.s2` that leads nowhere" in errors[0].why


MEANT = {
    "a letter": ("SecondDonne", "SecondDone"),
    "a case": ("secondDone", "SecondDone"),
    "another tense": ("SecondDon", "SecondDone"),
}


@pytest.mark.parametrize("what", MEANT)
def test_what_was_meant_is_guessed_by_short_names(what: str) -> None:
    """A long namespace that all share makes nothing alike."""
    wrong, right = MEANT[what]
    text = CHAIN.replace("S2 /", "SecondDone /").replace("retriable < S2", f"retriable < {wrong}")
    errors = [each for each in judged(text).findings if each.rule in ("CHO101", "CHO102")]

    assert [f"did you mean {right}?" in each.help for each in errors] == [True]


def test_nothing_is_guessed_where_only_the_namespace_is_alike() -> None:
    text = CHAIN.replace("retriable < S2", "retriable < Zzz")
    errors = [each for each in judged(text).findings if each.rule in ("CHO101", "CHO102")]

    assert ["did you mean" in each.help for each in errors] == [False]


def test_a_compensation_is_not_told_a_success() -> None:
    """What it waits for is a failure, or undone."""
    text = CHAIN.replace("S2 / S2Failed", "SecondFaile / SecondFailed").replace("< S2 >", "< SecondFaile >")
    text = text.replace("< S2Failed > S1Undone", "< SecondFailedd > S1Undone")
    (finding,) = (each for each in judged(text).findings if each.rule in ("CHO101", "CHO102"))

    assert "did you mean SecondFailed?" in finding.help


@pytest.mark.parametrize("wrong", ["p1.s11", "p9.s1", "p1.S1"])
def test_a_deadline_on_no_step_is_told_which_was_meant(wrong: str) -> None:
    """A step that can be watched, by the name of its function."""
    text = f"{CHAIN}\np3.late late {wrong} < Started > S1Late"
    (finding,) = (each for each in judged(text).findings if each.rule == "CHO702")

    assert "did you mean p1.s1?" in finding.help


def test_nothing_is_claimed_of_what_was_not_searched() -> None:
    """An error of the graph makes a search pointless; the verdict says so."""
    assert "not searched" in str(judged(CHAIN.replace("retriable < S2", "retriable < Zzz")).scope)
    assert "complete for" not in str(judged(CHAIN.replace("retriable < S2", "retriable < Zzz")).scope)
    assert "not searched" not in str(judged(CHAIN).scope)


RETRIES = {
    "pauses": (RetryEntry(5, 10_000, 2.0, 600_000), 150_000),
    "a longest pause": (RetryEntry(4, 10_000, 10.0, 20_000), 50_000),
    "no pauses": (RetryEntry(1, 10_000, 2.0, 600_000), 0),
    "very many attempts": (RetryEntry(1_000_000_000, 1, 1.0, 1), 9_999),
    "growth beyond all numbers": (RetryEntry(9_000, 1, 1e6, 10), 1 + 10 * 8_998),
}


@pytest.mark.parametrize("what", RETRIES)
@pytest.mark.parametrize("slack", [-1, 0])
def test_a_deadline_counts_retries_where_a_step_has_no_timeout(what: str, slack: int) -> None:
    """All pauses between its attempts; it is too short by a millisecond, or just long enough."""
    retry, takes = RETRIES[what]
    manifests = read_choreography(f"{CHAIN}\np3.late late p1.s1 < Started > S1Late")
    manifests = [
        replace(
            each,
            handlers=tuple(
                replace(h, timeout_ms=None, retry=retry)
                if h.name == "p1.s1"
                else replace(h, within_ms=max(takes + slack, 0))
                if h.task == "deadline"
                else h
                for h in each.handlers
            ),
        )
        for each in manifests
    ]
    rules = [each.rule for each in of(manifests).findings]

    assert ("CHO303" in rules) == (slack < 0 < takes)


def test_a_deadline_far_from_its_step_is_measured_whatever_the_length_of_the_way() -> None:
    """A thousand steps are no deeper than a stack."""
    steps = [f"p1.s{n} < {f'S{n - 1}' if n else 'Started'} > S{n} / S{n}Failed" for n in range(1_000)]
    text = "\n".join([*steps, "p1.end retriable < S999 > Completed", "p2.late late p1.s999 < Started > Late"])
    from choreo.verify.case import Case
    from choreo.verify.rules.deadline_too_short import check

    (graph,) = choreography_of(read_choreography(text)).sagas
    (finding,) = check(Case(choreography_of(read_choreography(text)), graph))
    assert "may take 1000 min" in finding.message


NUMBERS = {
    ("long", "float"): True,
    ("long", "double"): True,
    ("int", "float"): True,
    ("int", "double"): False,
    ("int", "long"): False,
    ("float", "double"): False,
    ("bytes", "string"): True,
    ("string", "bytes"): False,
}
SHAPES = {
    "a field": lambda kind: kind,
    "an array": lambda kind: {"type": "array", "items": kind},
    "a map": lambda kind: {"type": "map", "values": kind},
    "a union": lambda kind: ["null", kind],
    "a record": lambda kind: {"type": "record", "name": "Inner", "fields": [{"name": "n", "type": kind}]},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("written", "read"), NUMBERS)
def test_a_promotion_that_changes_a_value_is_warned_of(shape: str, written: str, read: str) -> None:
    """Wherever it stands; one that holds every value is not."""

    def with_type(manifest: Manifest, kind: str) -> Manifest:
        schema = {"type": "record", "name": "S1", "namespace": "g", "fields": []}
        field = {"name": "value", "type": SHAPES[shape](kind)}
        return replace(
            manifest, schemas={**manifest.schemas, "g.S1": SchemaEntry({**schema, "fields": [field]}, "")}
        )

    manifests = read_choreography(CHAIN)
    manifests = [with_type(each, written if each.participant == "p1" else read) for each in manifests]
    rules = [each.rule for each in of(manifests).findings]

    assert rules == (["CHO503"] if NUMBERS[written, read] else [])


def test_one_finding_for_the_wrong_saga() -> None:
    """A handler with a wrong `saga=`: what it misses there, and what misses it here, follow from that."""
    both = [_with(one, _other(one)) for one in read_choreography(f"{CHAIN}\np2.look < S1 >")]
    assert not of(both).findings
    for number, manifest in enumerate(both):
        for handler in manifest.handlers:
            if handler.saga != SAGA or handler.task == "compensation":
                continue
            moved = replace(
                manifest,
                handlers=tuple(
                    replace(each, saga="other") if each.saga == SAGA and each.step == handler.step else each
                    for each in manifest.handlers
                ),
            )
            findings = of([*both[:number], moved, *both[number + 1 :]]).findings
            assert [each.rule for each in findings] == ["CHO401"], handler.name
            assert f"`{handler.name}` is of saga 'other'" in findings[0].message


def _other(manifest: Manifest) -> Manifest:
    """Return the same saga under another name, with other events and steps."""

    def event(name: str) -> str:
        return name.replace("g.", "g.O") if name else name

    (saga,) = manifest.sagas
    names = {key: event(getattr(saga, key)) for key in ("starts", "completes", "fails", "aborts")}
    return replace(
        manifest,
        sagas=(replace(saga, name="other", topic="other", **names),),
        handlers=tuple(
            replace(
                each,
                saga="other",
                name=f"{each.name}_o",
                step=each.step if each.step == "start" else f"{each.step}_o",
                trigger=renamed(each.trigger, event),
                emits=Emission(
                    tuple(map(event, each.emits.successes)), tuple(map(event, each.emits.failures))
                ),
                results=frozenset(map(event, each.results)),
            )
            for each in manifest.handlers
        ),
        schemas={event(name): schema(event(name)) for name in manifest.schemas},
    )


def _with(one: Manifest, two: Manifest) -> Manifest:
    return replace(
        one,
        sagas=(*one.sagas, *two.sagas),
        handlers=(*one.handlers, *two.handlers),
        schemas={**one.schemas, **two.schemas},
    )


@pytest.mark.parametrize("consumers", [1, 2, 3])
def test_one_finding_for_an_event_of_another_saga(consumers: int) -> None:
    """However many handlers wait for it."""
    other = [
        replace(
            each,
            participant="q1",
            sagas=tuple(
                replace(saga, name="other", topic="other", starts="g.Go", completes="g.Far")
                for saga in each.sagas
            ),
            handlers=tuple(replace(h, saga="other") for h in each.handlers),
        )
        for each in read_choreography("q1.go retriable < Go > Far\nq1.stop of start result=Go < > Failed")
    ]
    waiting = "\n".join(f"p{n}.look{n} < Far >" for n in range(1, consumers + 1))
    findings = of([*read_choreography(f"{CHAIN}\n{waiting}"), *other]).findings

    assert [each.rule for each in findings if each.saga == SAGA] == ["CHO401"]


def test_a_leaf_that_misses_a_failure_is_told_though_no_run_shows_it() -> None:
    """Its answers are not those of steps after it: there are none."""
    text = f"""
    Cancelled
    {CHAIN.replace("< S1Failed | S1Undone >", "derived < >").replace("< S2Failed >", "derived < >")}
    p4.leaf < Started > L / LFailed
    p4.undo of p4.leaf result=L < S2Failed > LUndone
    """
    errors = [each for each in judged(text).findings if each.level == "error"]

    assert [each.rule for each in errors] == ["CHO203"]
    assert "is not called by S1Failed" in errors[0].message


PARTIAL = """
p1.s1 async partial < Started > S1 / S1Failed
p1.undo1 of p1.s1 async result=S1 {} < S2Failed > S1Undone
p2.s2 pivot < S1 > Completed / S2Failed
p1.give_up of start < S1Failed | S1Undone > Failed
"""


@pytest.mark.parametrize(
    "deadline", ["", "p2.late late p1.s1 < Completed > S1Late", "p2.late late p1.s1 < S1 > S1Late"]
)
def test_a_step_that_may_fail_half_done_needs_aborted(deadline: str) -> None:
    """As it does without any deadline on it, so with one that comes too late to matter."""
    finding = only(PARTIAL.format("no-aborted") + deadline)

    assert finding.rule == "CHO302"
    assert "| Aborted" in finding.paste[0]
    assert "CHO302" not in found(PARTIAL.format("") + deadline)
