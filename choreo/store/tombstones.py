"""What stays of a saga whose rows are pruned: that it has ended, and where its chain goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from choreo.chain import NOTHING, PRUNED, Row, head_of, link_of
from choreo.entry import Entry


def tombstones(rows: Sequence[Row], at: int) -> Iterator[tuple[Entry, bytes | None, bytes]]:
    """Give a row for each type of a saga with its digest and its link, instead of all that it has.

    The first one's digest is the last link of what it stands for. Each holds when the type's last row was
    recorded, and how many rows there were.
    """
    head = head_of(rows)
    digest: bytes | None = head
    for saga_type in dict.fromkeys(row.entry.saga_type for row in rows):
        of_type = [row.entry for row in rows if row.entry.saga_type == saga_type]
        last = of_type[-1]
        entry = Entry(
            *(
                last.saga_id,
                saga_type,
                last.saga_version,
                last.saga_state,
                at,
                PRUNED,
                "",
                "pending",
                "pending",
            ),
            event_time=last.recorded_at,
            note=f"{len(of_type)} rows",
        )
        head = link_of(head, entry, NOTHING)
        yield entry, digest, head
        digest = None
