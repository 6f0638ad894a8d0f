"""One step, and it is final: it is done, or it is not."""

from choreo import Context, Participant, Saga, event


@event(namespace="gym")
class TrialAsked:
    member: str


@event(namespace="gym")
class TrialGranted:
    member: str


@event(namespace="gym")
class TrialDenied:
    member: str
    reason: str = ""


@event(namespace="gym")
class TrialRefused:
    member: str
    reason: str = ""


trial = Saga("trial", starts=TrialAsked, completes=TrialGranted, fails=TrialRefused)

desk = Participant("desk", sagas=[trial])


@desk.action(kind="pivot", fails=TrialDenied)
def grant(event: TrialAsked, ctx: Context) -> TrialGranted:
    return TrialGranted(event.member)


@desk.compensation(of=trial.start)
def refuse(event: TrialDenied, asked: TrialAsked, ctx: Context) -> TrialRefused:
    return TrialRefused(asked.member)
