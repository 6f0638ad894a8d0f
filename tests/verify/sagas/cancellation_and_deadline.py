"""A cancellation and a deadline: whichever the log has first."""

from datetime import timedelta

from choreo import Aborted, Context, Participant, Saga, event


@event(namespace="estate")
class FlatWanted:
    flat: str


@event(namespace="estate")
class FlatReserved:
    flat: str


@event(namespace="estate")
class FlatGone:
    flat: str
    reason: str = ""


@event(namespace="estate")
class FlatFree:
    flat: str


@event(namespace="estate")
class PapersSent:
    flat: str


@event(namespace="estate")
class PapersMissing:
    flat: str
    reason: str = ""


@event(namespace="estate")
class PapersShredded:
    flat: str


@event(namespace="estate")
class LeaseSigned:
    flat: str


@event(namespace="estate")
class NotSigned:
    flat: str
    reason: str = ""


@event(namespace="estate")
class LeaseOff:
    flat: str
    reason: str = ""


@event(namespace="estate")
class PapersTimedOut:
    flat: str


@event(namespace="estate")
class FlatNotWanted:
    flat: str


lease = Saga("lease", starts=FlatWanted, completes=LeaseSigned, fails=LeaseOff, aborts=FlatNotWanted)

agent = Participant("agent", sagas=[lease])


@agent.action(fails=FlatGone, timeout=timedelta(minutes=1))
def reserve(event: FlatWanted, ctx: Context) -> FlatReserved:
    return FlatReserved(event.flat)


@agent.compensation(of=reserve)
def offer_again(
    event: PapersMissing | PapersShredded | Aborted, done: FlatReserved, ctx: Context
) -> FlatFree:
    return FlatFree(done.flat)


@agent.compensation(of=lease.start)
def call_off(event: FlatGone | FlatFree, asked: FlatWanted, ctx: Context) -> LeaseOff:
    return LeaseOff(asked.flat)


@agent.deadline(of="tenant.send_papers", within=timedelta(minutes=30))
def papers_are_late(event: FlatReserved, ctx: Context) -> PapersTimedOut:
    return PapersTimedOut(event.flat)


tenant = Participant("tenant", sagas=[lease])


@tenant.action(fails=PapersMissing, timeout=timedelta(minutes=10))
def send_papers(event: FlatReserved, ctx: Context) -> PapersSent:
    return PapersSent(event.flat)


@tenant.compensation(of=send_papers)
def shred(event: NotSigned | Aborted, done: PapersSent, ctx: Context) -> PapersShredded:
    return PapersShredded(done.flat)


owner = Participant("owner", sagas=[lease])


@owner.action(kind="pivot", fails=NotSigned)
def sign(event: PapersSent, ctx: Context) -> LeaseSigned:
    return LeaseSigned(event.flat)
