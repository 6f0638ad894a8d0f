"""The saga is started by an event of another system's topic."""

from choreo import Context, External, Participant, Saga, event


@event(namespace="shop")
class StockLow:
    sku: str


@event(namespace="shop")
class GoodsOrdered:
    sku: str


@event(namespace="shop")
class SupplierOut:
    sku: str
    reason: str = ""


@event(namespace="shop")
class OrderCancelled:
    sku: str


@event(namespace="shop")
class StockRefilled:
    sku: str


@event(namespace="shop")
class NotStored:
    sku: str
    reason: str = ""


@event(namespace="shop")
class RestockOff:
    sku: str
    reason: str = ""


restock = Saga("restock", starts=StockLow, completes=StockRefilled, fails=RestockOff)

supplier = Participant("supplier", sagas=[restock])


@supplier.action(fails=SupplierOut)
def order(event: StockLow, ctx: Context) -> GoodsOrdered:
    return GoodsOrdered(event.sku)


@supplier.compensation(of=order)
def cancel(event: NotStored, done: GoodsOrdered, ctx: Context) -> OrderCancelled:
    return OrderCancelled(done.sku)


depot = Participant("depot", sagas=[restock])


@depot.action(kind="pivot", fails=NotStored)
def store(event: GoodsOrdered, ctx: Context) -> StockRefilled:
    return StockRefilled(event.sku)


planner = Participant(
    "planner",
    sagas=[restock],
    external=[External(StockLow, topic="sensors", saga_id=lambda event: event.sku)],
)


@planner.compensation(of=restock.start)
def give_up(event: SupplierOut | OrderCancelled, asked: StockLow, ctx: Context) -> RestockOff:
    return RestockOff(asked.sku)
