"""The handler calls a function, and that calls one that writes a file."""

from choreo import Context, Participant
from tests.verify.corpus.contract import OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

mail = Participant("mail", sagas=[order])


def write(text):
    with open("outbox.txt", "a") as file:
        file.write(text)


def send(order_id):
    write(f"{order_id} is on its way")


@mail.action(kind="retriable")
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled:
    send(event.order_id)  # expect: CHO605
    return OrderFulfilled(event.order_id)
