"""Mutants that verify says nothing of, and that no search proves equivalent: each with the reason why."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple


class Survivor(NamedTuple):
    """Mutants of one saga, by a pattern of their names."""

    saga: str
    pattern: str
    why: str


_AS_DERIVED = "it is the only end of the only step that follows, and so just what rule R7 derives"

SURVIVORS = (
    Survivor(
        "external_answer",
        "short deadline: sales.scan_is_late",
        "the deadline watches a carrier's event, and no manifest says how long a carrier takes",
    ),
    Survivor(
        "one_participant",
        "drop all timeouts: everywhere",
        "nobody waits for another participant; a service is left to know its own steps (CHO301)",
    ),
    Survivor(
        "retriable_fork",
        "drop all timeouts: everywhere",
        "who books, signs and calls off is one participant; retriable steps have no timeout",
    ),
    Survivor("cancellation_of_branches", "trigger too early: bar.clear by club.PartyShut", _AS_DERIVED),
    Survivor("cancellation_of_branches", "trigger too early: music.stop by club.PartyShut", _AS_DERIVED),
    Survivor("derived", "trigger too early: camera.wipe by studio.NotShown", _AS_DERIVED),
    Survivor("fork_in_a_choice", "trigger too early: planner.drop_small by hall.SaidNo", _AS_DERIVED),
    Survivor("fork_in_a_choice", "trigger too early: usher.unseat by hall.SaidNo", _AS_DERIVED),
    Survivor(
        "fork_of_chains",
        "trigger too early: city.return_permit by building.PermitRefused",
        "it is the failure of the step itself: there is no permit to return then",
    ),
    Survivor(
        "fork_of_chains",
        "trigger too early: city.return_permit by building.LandSold",
        "without the land nobody asked for a permit",
    ),
    Survivor(
        "fork_of_chains",
        "trigger too early: city.return_permit by building.NotInsured",
        "what follows joins both branches: without the insurance it is never done, so nothing is too early",
    ),
    Survivor(
        "fork_of_chains",
        "trigger too early: city.return_permit by building.LoanRefused",
        "what follows joins both branches: without the loan it is never done, so nothing is too early",
    ),
    Survivor(
        "fork_of_chains",
        "trigger too early: insurer.end by building.PermitRefused",
        "what follows joins both branches: without the permit it is never done, so nothing is too early",
    ),
    Survivor(
        "fork_of_chains",
        "trigger too early: insurer.end by building.LandSold",
        "what follows joins both branches: without the land it is never done, so nothing is too early",
    ),
    Survivor(
        "fork_of_chains",
        "trigger too early: insurer.end by building.NotInsured",
        "it is the failure of the step itself: there is no insurance to end then",
    ),
    Survivor(
        "fork_of_chains",
        "trigger too early: insurer.end by building.LoanRefused",
        "without the loan nobody asked for an insurance",
    ),
    Survivor(
        "fork_of_chains",
        "trigger too early: land.resell by building.LandSold",
        "it is the failure of the step itself: there is no land to resell then",
    ),
    Survivor(
        "fork_of_chains",
        "trigger too early: lender.close by building.LoanRefused",
        "it is the failure of the step itself: there is no loan to close then",
    ),
    Survivor("join_of_joins", "trigger too early: band.pack by stage.ConcertSilent", _AS_DERIVED),
    Survivor("join_of_joins", "trigger too early: door.shut by stage.ConcertSilent", _AS_DERIVED),
    Survivor("nested_fork", "trigger too early: computer.wipe by space.LaunchAborted", _AS_DERIVED),
    Survivor("nested_fork", "trigger too early: crew.release by space.LaunchAborted", _AS_DERIVED),
    Survivor("nested_fork", "trigger too early: fuel.drain by space.LaunchAborted", _AS_DERIVED),
)


def explained(saga: str, mutant: str) -> str:
    """Return why a mutant survives; empty where nobody has explained it."""
    return next((s.why for s in SURVIVORS if s.saga == saga and fnmatchcase(mutant, s.pattern)), "")
