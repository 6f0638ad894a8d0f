"""Keeping a participant's saga log: checking its chains, erasing payloads, pruning what is old.

It works on a store whose worker runs: each step is one short transaction, and a crash leaves the store
whole, before or after it.
"""

from choreo.keeping.heads import Head, heads_of, read_heads, write_heads
from choreo.keeping.thinning import Thinned, erase, prune
from choreo.keeping.verification import Finding, Verification, saga_ids

__all__ = [
    "Finding",
    "Head",
    "Thinned",
    "Verification",
    "erase",
    "heads_of",
    "prune",
    "read_heads",
    "saga_ids",
    "write_heads",
]
