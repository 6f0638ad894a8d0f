"""Keeping a participant's saga log: checking its chains, erasing payloads, pruning what is old.

It works on a store whose worker runs: each step is one short transaction, and a crash leaves the store
whole, before or after it.
"""

from choreo.audit.archive import Origin, records_of
from choreo.audit.erasure import Thinned, erase, prune
from choreo.audit.export import check_export, fill, import_export, read_export, whole_file
from choreo.audit.heads import Head, heads_of, read_heads, write_heads
from choreo.audit.verification import Finding, Verification, saga_ids

__all__ = [
    "Finding",
    "Head",
    "Origin",
    "Thinned",
    "Verification",
    "check_export",
    "erase",
    "fill",
    "heads_of",
    "import_export",
    "prune",
    "read_export",
    "read_heads",
    "records_of",
    "saga_ids",
    "whole_file",
    "write_heads",
]
