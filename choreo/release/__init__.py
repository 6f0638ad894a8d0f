"""A release: the declarations that a participant's worker runs with, which the sagas in flight outlive. Pure.

``declarations`` makes a row of the store of them, and reads it.
"""

from choreo.release.declarations import declared, declared_in, release_of

__all__ = ["declared", "declared_in", "release_of"]
