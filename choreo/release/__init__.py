"""A release: the declarations that a participant's worker runs with, which the sagas in flight outlive. Pure.

``declarations`` makes a row of the store of them, and reads it; ``documents`` lets rows travel, and
``in_force`` gives the roles that wrote the rows of a saga log. ``changes`` says what differs between two
releases, ``needs`` what sagas in flight still need that has no handler today, ``comparison`` both.
"""

from choreo.release.changes import in_one_line
from choreo.release.comparison import Comparison, New, compare, needed
from choreo.release.declarations import declared, declared_in, readable, release_of
from choreo.release.documents import release_data, release_from
from choreo.release.needs import RETIRED, Handlers, Need, no_longer_taken

__all__ = [
    "RETIRED",
    "Comparison",
    "Handlers",
    "Need",
    "New",
    "compare",
    "declared",
    "declared_in",
    "in_one_line",
    "needed",
    "no_longer_taken",
    "readable",
    "release_data",
    "release_from",
    "release_of",
]
