"""How code to paste names things: as the module does, or by an import that it says."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.graph import Choreography, choreography_of
from choreo.manifest import Manifest, ModuleEntry, SchemaEntry
from choreo.verify.code import Names, function_head

MODULE = ModuleEntry(
    "shop/pay.py", "shop.pay", {"participant": "till", "shop.Paid": "Paid", "shop.Late": "c.Late"}
)
OWN = Manifest(
    "pay-desk",
    (),
    (),
    schemas={"shop.Paid": SchemaEntry({}, ""), "shop.Owed": SchemaEntry({}, "")},
    modules=(MODULE,),
    origins={
        "participant": "shop.pay.till",
        "shop.Owed": "shop.contract.Owed",
        "saga the-order": "shop.contract.order",
    },
)
OTHER = Manifest(
    "stock", (), (), origins={"stock.Paid": "depot.events.Paid", "shop.Gone": "shop.contract.Gone"}
)


def known(*manifests: Manifest) -> Choreography:
    return choreography_of(manifests or (OWN, OTHER))


NAMED = {
    "shop.Paid": ("Paid", ()),
    "shop.Late": ("c.Late", ()),
    "shop.Owed": ("Owed", ("from shop.contract import Owed",)),
    "shop.Gone": ("Gone", ("from shop.contract import Gone",)),
    "stock.Paid": ("StockPaid", ("from depot.events import Paid as StockPaid",)),
    "choreo.Aborted": ("Aborted", ("from choreo import Aborted",)),
    "shop.Nobody": ("Nobody", ("# shop.Nobody: import it from where it is declared",)),
}


@pytest.mark.parametrize("event", NAMED)
def test_an_event_is_named_as_its_module_can(event: str) -> None:
    """By a name that it has, by one to import, or under another one where that is taken."""
    names = Names(known(), "pay-desk", "shop/pay.py")

    assert (names.event(event), names.imports) == NAMED[event]
    assert (names.event(event), names.imports) == NAMED[event]


def test_a_participant_and_a_saga_are_called_as_their_variables() -> None:
    """Not as their names, which need not be Python's."""
    names = Names(known(), "pay-desk", "shop/pay.py")

    assert (names.variable(), names.saga("the-order")) == ("till", "order")
    assert names.imports == ("from shop.contract import order",)


def test_another_module_of_the_participant_imports_it() -> None:
    names = Names(known(), "pay-desk", "shop/refunds.py")

    assert names.variable() == "till"
    assert names.imports == ("from shop.pay import till",)


def test_a_manifest_of_before_names_what_it_can() -> None:
    """It doesn't say how its modules call things: then the names themselves are the best guess."""
    names = Names(known(replace(OWN, modules=(), origins={})), "pay-desk", "shop/pay.py")

    assert (names.variable(), names.saga("the-order"), names.event("shop.Owed")) == (
        "pay_desk",
        "the_order",
        "Owed",
    )
    assert names.imports == ()


WORDS = st.lists(st.from_regex(r"[A-Z][a-z]{0,30}", fullmatch=True), min_size=1, max_size=20)


@given(st.lists(WORDS, max_size=20))
def test_a_wide_head_is_written_on_several_lines(alternatives: list[list[str]]) -> None:
    """It means what it would on one line, and no line is wider than one name makes it."""
    given_ = [f"event{number}: {' | '.join(words)}" for number, words in enumerate(alternatives)]
    lines = function_head("def undo", given_, "Undone: ...")

    assert ast.dump(ast.parse("\n".join(lines))) == ast.dump(
        ast.parse(f"def undo({', '.join(given_)}) -> Undone: ...")
    )
    assert max(map(len, lines)) <= 140


def test_many_names_are_imported_on_several_lines() -> None:
    """As many as a join of twenty branches has."""
    events = [f"shop.GoodsReserved{number}" for number in range(20)]
    home = replace(OTHER, origins={event: f"shop.contract.{event[5:]}" for event in events})
    names = Names(known(OWN, home), "pay-desk", "shop/pay.py")
    names.events(events)

    (imported,) = ast.parse("\n".join(names.imports)).body
    assert isinstance(imported, ast.ImportFrom)
    assert {each.name for each in imported.names} == {event[5:] for event in events}
    assert max(map(len, names.imports)) <= 140
