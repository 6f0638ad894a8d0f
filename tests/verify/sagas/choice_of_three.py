"""Three ways, of which one needs nothing."""

from choreo import Context, Participant, Saga, event


@event(namespace="freight")
class LoadOffered:
    load: str


@event(namespace="freight")
class BySea:
    load: str


@event(namespace="freight")
class ByRail:
    load: str


@event(namespace="freight")
class ByRoad:
    load: str


@event(namespace="freight")
class NoRoute:
    load: str
    reason: str = ""


@event(namespace="freight")
class SeaDropped:
    load: str


@event(namespace="freight")
class RailDropped:
    load: str


@event(namespace="freight")
class RoadDropped:
    load: str


@event(namespace="freight")
class OnShip:
    load: str


@event(namespace="freight")
class ShipFull:
    load: str
    reason: str = ""


@event(namespace="freight")
class ShipUnloaded:
    load: str


@event(namespace="freight")
class OnTrain:
    load: str


@event(namespace="freight")
class TrainFull:
    load: str
    reason: str = ""


@event(namespace="freight")
class TrainUnloaded:
    load: str


@event(namespace="freight")
class LoadArrived:
    load: str


@event(namespace="freight")
class NotArrived:
    load: str
    reason: str = ""


@event(namespace="freight")
class LoadDeclined:
    load: str
    reason: str = ""


shipment = Saga("shipment", starts=LoadOffered, completes=LoadArrived, fails=LoadDeclined)

broker = Participant("broker", sagas=[shipment])


@broker.action(fails=NoRoute)
def route(event: LoadOffered, ctx: Context) -> BySea | ByRail | ByRoad:
    if event.load.startswith("a"):
        return BySea(event.load)
    if event.load.startswith("b"):
        return ByRail(event.load)
    return ByRoad(event.load)


@broker.compensation(of=route)
def drop_sea(event: ShipFull | ShipUnloaded, done: BySea, ctx: Context) -> SeaDropped:
    return SeaDropped(done.load)


@broker.compensation(of=route)
def drop_rail(event: TrainFull | TrainUnloaded, done: ByRail, ctx: Context) -> RailDropped:
    return RailDropped(done.load)


@broker.compensation(of=route)
def drop_road(event: NotArrived, done: ByRoad, ctx: Context) -> RoadDropped:
    return RoadDropped(done.load)


@broker.compensation(of=shipment.start)
def decline(
    event: NoRoute | SeaDropped | RailDropped | RoadDropped, asked: LoadOffered, ctx: Context
) -> LoadDeclined:
    return LoadDeclined(asked.load)


ship = Participant("ship", sagas=[shipment])


@ship.action(fails=ShipFull)
def take_ship(event: BySea, ctx: Context) -> OnShip:
    return OnShip(event.load)


@ship.compensation(of=take_ship)
def unload_ship(event: NotArrived, done: OnShip, ctx: Context) -> ShipUnloaded:
    return ShipUnloaded(done.load)


train = Participant("train", sagas=[shipment])


@train.action(fails=TrainFull)
def take_train(event: ByRail, ctx: Context) -> OnTrain:
    return OnTrain(event.load)


@train.compensation(of=take_train)
def unload_train(event: NotArrived, done: OnTrain, ctx: Context) -> TrainUnloaded:
    return TrainUnloaded(done.load)


depot = Participant("depot", sagas=[shipment])


@depot.action(kind="pivot", fails=NotArrived)
def receive(event: OnShip | OnTrain | ByRoad, ctx: Context) -> LoadArrived:
    return LoadArrived(event.load)
