"""Five steps in a row, each undone by what ended the next."""

from choreo import Context, Participant, Saga, event


@event(namespace="bank")
class LoanAsked:
    loan: str


@event(namespace="bank")
class IdentityChecked:
    loan: str


@event(namespace="bank")
class IdentityDoubtful:
    loan: str
    reason: str = ""


@event(namespace="bank")
class CheckClosed:
    loan: str


@event(namespace="bank")
class ScoreGiven:
    loan: str


@event(namespace="bank")
class ScoreTooLow:
    loan: str
    reason: str = ""


@event(namespace="bank")
class ScoreForgotten:
    loan: str


@event(namespace="bank")
class CollateralPledged:
    loan: str


@event(namespace="bank")
class NoCollateral:
    loan: str
    reason: str = ""


@event(namespace="bank")
class PledgeReleased:
    loan: str


@event(namespace="bank")
class ContractSigned:
    loan: str


@event(namespace="bank")
class NotSigned:
    loan: str
    reason: str = ""


@event(namespace="bank")
class ContractTorn:
    loan: str


@event(namespace="bank")
class LoanPaidOut:
    loan: str


@event(namespace="bank")
class TransferRefused:
    loan: str
    reason: str = ""


@event(namespace="bank")
class LoanDeclined:
    loan: str
    reason: str = ""


loan = Saga("loan", starts=LoanAsked, completes=LoanPaidOut, fails=LoanDeclined)

clerk = Participant("clerk", sagas=[loan])


@clerk.action(fails=IdentityDoubtful)
def check(event: LoanAsked, ctx: Context) -> IdentityChecked:
    return IdentityChecked(event.loan)


@clerk.compensation(of=check)
def uncheck(event: ScoreTooLow | ScoreForgotten, done: IdentityChecked, ctx: Context) -> CheckClosed:
    return CheckClosed(done.loan)


@clerk.compensation(of=loan.start)
def decline(event: IdentityDoubtful | CheckClosed, asked: LoanAsked, ctx: Context) -> LoanDeclined:
    return LoanDeclined(asked.loan)


score = Participant("score", sagas=[loan])


@score.action(fails=ScoreTooLow)
def rate(event: IdentityChecked, ctx: Context) -> ScoreGiven:
    return ScoreGiven(event.loan)


@score.compensation(of=rate)
def forget(event: NoCollateral | PledgeReleased, done: ScoreGiven, ctx: Context) -> ScoreForgotten:
    return ScoreForgotten(done.loan)


vault = Participant("vault", sagas=[loan])


@vault.action(fails=NoCollateral)
def pledge(event: ScoreGiven, ctx: Context) -> CollateralPledged:
    return CollateralPledged(event.loan)


@vault.compensation(of=pledge)
def free_pledge(event: NotSigned | ContractTorn, done: CollateralPledged, ctx: Context) -> PledgeReleased:
    return PledgeReleased(done.loan)


notary = Participant("notary", sagas=[loan])


@notary.action(fails=NotSigned)
def sign(event: CollateralPledged, ctx: Context) -> ContractSigned:
    return ContractSigned(event.loan)


@notary.compensation(of=sign)
def tear(event: TransferRefused, done: ContractSigned, ctx: Context) -> ContractTorn:
    return ContractTorn(done.loan)


treasury = Participant("treasury", sagas=[loan])


@treasury.action(kind="pivot", fails=TransferRefused)
def pay_out(event: ContractSigned, ctx: Context) -> LoanPaidOut:
    return LoanPaidOut(event.loan)
