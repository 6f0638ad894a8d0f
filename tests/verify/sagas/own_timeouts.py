"""Nobody sets a deadline on others: each step has a timeout of its own."""

from datetime import timedelta

from choreo import Context, Participant, Saga, event


@event(namespace="embassy")
class VisaAsked:
    traveller: str


@event(namespace="embassy")
class CaseFiled:
    traveller: str


@event(namespace="embassy")
class CaseIncomplete:
    traveller: str
    reason: str = ""


@event(namespace="embassy")
class CaseShredded:
    traveller: str


@event(namespace="embassy")
class Interviewed:
    traveller: str


@event(namespace="embassy")
class InterviewFailed:
    traveller: str
    reason: str = ""


@event(namespace="embassy")
class InterviewVoid:
    traveller: str


@event(namespace="embassy")
class VisaStamped:
    traveller: str


@event(namespace="embassy")
class NotStamped:
    traveller: str
    reason: str = ""


@event(namespace="embassy")
class VisaDenied:
    traveller: str
    reason: str = ""


visa = Saga("visa", starts=VisaAsked, completes=VisaStamped, fails=VisaDenied)

clerk = Participant("clerk", sagas=[visa])


@clerk.action(fails=CaseIncomplete, timeout=timedelta(minutes=2))
def file(event: VisaAsked, ctx: Context) -> CaseFiled:
    return CaseFiled(event.traveller)


@clerk.compensation(of=file)
def shred(event: InterviewFailed | InterviewVoid, done: CaseFiled, ctx: Context) -> CaseShredded:
    return CaseShredded(done.traveller)


@clerk.action(kind="pivot", fails=NotStamped, timeout=timedelta(minutes=1))
def stamp(event: Interviewed, ctx: Context) -> VisaStamped:
    return VisaStamped(event.traveller)


@clerk.compensation(of=visa.start)
def deny(event: CaseIncomplete | CaseShredded, asked: VisaAsked, ctx: Context) -> VisaDenied:
    return VisaDenied(asked.traveller)


consul = Participant("consul", sagas=[visa])


@consul.action(fails=InterviewFailed, timeout=timedelta(minutes=30))
def interview(event: CaseFiled, ctx: Context) -> Interviewed:
    return Interviewed(event.traveller)


@consul.compensation(of=interview)
def void(event: NotStamped, done: Interviewed, ctx: Context) -> InterviewVoid:
    return InterviewVoid(done.traveller)
