"""After the point of no return two things at once, and both must be done."""

from choreo import Context, Participant, Saga, event


@event(namespace="removal")
class MoveAsked:
    household: str


@event(namespace="removal")
class VanBooked:
    household: str


@event(namespace="removal")
class NoVan:
    household: str
    reason: str = ""


@event(namespace="removal")
class VanFreed:
    household: str


@event(namespace="removal")
class ContractSigned:
    household: str


@event(namespace="removal")
class NotSigned:
    household: str
    reason: str = ""


@event(namespace="removal")
class BoxesPacked:
    household: str


@event(namespace="removal")
class AddressChanged:
    household: str


@event(namespace="removal")
class MoveDone:
    household: str


@event(namespace="removal")
class MoveOff:
    household: str
    reason: str = ""


move = Saga("move", starts=MoveAsked, completes=MoveDone, fails=MoveOff)

planner = Participant("planner", sagas=[move])


@planner.action(fails=NoVan)
def book_van(event: MoveAsked, ctx: Context) -> VanBooked:
    return VanBooked(event.household)


@planner.compensation(of=book_van)
def free_van(event: NotSigned, done: VanBooked, ctx: Context) -> VanFreed:
    return VanFreed(done.household)


@planner.action(kind="pivot", fails=NotSigned)
def sign(event: VanBooked, ctx: Context) -> ContractSigned:
    return ContractSigned(event.household)


@planner.action(kind="retriable")
def finish(boxes_packed: BoxesPacked, address_changed: AddressChanged, ctx: Context) -> MoveDone:
    return MoveDone(boxes_packed.household)


@planner.compensation(of=move.start)
def call_off(event: NoVan | VanFreed, asked: MoveAsked, ctx: Context) -> MoveOff:
    return MoveOff(asked.household)


packer = Participant("packer", sagas=[move])


@packer.action(kind="retriable")
def pack(event: ContractSigned, ctx: Context) -> BoxesPacked:
    return BoxesPacked(event.household)


town = Participant("town", sagas=[move])


@town.action(kind="retriable")
def register(event: ContractSigned, ctx: Context) -> AddressChanged:
    return AddressChanged(event.household)
