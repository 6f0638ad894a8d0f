"""A read model is only declared where a variable is set."""

import os

from choreo import Context, Participant
from tests.verify.corpus.contract import OrderFailed, OrderFulfilled, order
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401

reporting = Participant("reporting", sagas=[order])


@reporting.observer
def count(event: OrderFulfilled, ctx: Context) -> None:
    return


if os.environ.get("CHOREO_CORPUS_COUNTS_FAILURES"):

    @reporting.observer  # expect: CHO604
    def count_failures(event: OrderFailed, ctx: Context) -> None:
        return
