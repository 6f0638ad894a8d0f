"""A difference between what a participant's store says and what its saga log gives when folded again."""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One thing that is not as it should be.

    ``row`` is the number of a saga's row in its log, from 1, or 0 where a row of another table is meant;
    ``what`` is its column, or the table. ``recorded`` is what the store says, ``folded`` what the log gives.

    >>> str(Difference(3, "payments.charge", "new_state", "completed", "failed"))
    'row 3: payments.charge: new_state is completed, folded it is failed'
    >>> str(Difference(0, "payments.charge", "schedule", "nothing", "action due"))
    'payments.charge: schedule is nothing, folded it is action due'
    """

    row: int
    step: str
    what: str
    recorded: str
    folded: str

    def __str__(self) -> str:
        where = f"row {self.row}: " if self.row else ""
        return f"{where}{self.step}: {self.what} is {self.recorded}, folded it is {self.folded}"
