"""Two branches at once, and a step that waits for both."""

from choreo import Context, Participant, Saga, all_of, event


@event(namespace="kitchen")
class DinnerOrdered:
    table: str


@event(namespace="kitchen")
class DishCooked:
    table: str


@event(namespace="kitchen")
class DishBurnt:
    table: str
    reason: str = ""


@event(namespace="kitchen")
class DishThrownAway:
    table: str


@event(namespace="kitchen")
class BottleOpened:
    table: str


@event(namespace="kitchen")
class CellarEmpty:
    table: str
    reason: str = ""


@event(namespace="kitchen")
class BottlePoured:
    table: str


@event(namespace="kitchen")
class DinnerServed:
    table: str


@event(namespace="kitchen")
class NotServed:
    table: str
    reason: str = ""


@event(namespace="kitchen")
class DinnerOff:
    table: str
    reason: str = ""


dinner = Saga("dinner", starts=DinnerOrdered, completes=DinnerServed, fails=DinnerOff)

stove = Participant("stove", sagas=[dinner])


@stove.action(fails=DishBurnt)
def cook(event: DinnerOrdered, ctx: Context) -> DishCooked:
    return DishCooked(event.table)


@stove.compensation(of=cook)
def throw_away(event: NotServed, done: DishCooked, ctx: Context) -> DishThrownAway:
    return DishThrownAway(done.table)


cellar = Participant("cellar", sagas=[dinner])


@cellar.action(fails=CellarEmpty)
def open_bottle(event: DinnerOrdered, ctx: Context) -> BottleOpened:
    return BottleOpened(event.table)


@cellar.compensation(of=open_bottle)
def pour_away(event: NotServed, done: BottleOpened, ctx: Context) -> BottlePoured:
    return BottlePoured(done.table)


waiter = Participant("waiter", sagas=[dinner])


@waiter.action(kind="pivot", fails=NotServed)
def serve(dish_cooked: DishCooked, bottle_opened: BottleOpened, ctx: Context) -> DinnerServed:
    return DinnerServed(dish_cooked.table)


@waiter.compensation(of=dinner.start, on=all_of(DishBurnt | DishThrownAway, CellarEmpty | BottlePoured))
def apologise(asked: DinnerOrdered, ctx: Context) -> DinnerOff:
    return DinnerOff(asked.table)
