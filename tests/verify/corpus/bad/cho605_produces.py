"""The read model publishes by itself, beside the outbox."""

from confluent_kafka import Producer

from choreo import Context, Participant
from tests.verify.corpus.contract import OrderFulfilled, order
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401

reporting = Participant("reporting", sagas=[order])


class Feed:
    def __init__(self):
        self.producer = Producer({"bootstrap.servers": "kafka:9092"})

    def tell(self, order_id):
        self.producer.produce("feed", order_id)


@reporting.observer
def tell(event: OrderFulfilled, ctx: Context) -> None:
    Feed().tell(event.order_id)  # expect: CHO605
