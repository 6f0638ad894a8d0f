"""Two branches of two steps each."""

from choreo import Context, Participant, Saga, all_of, event


@event(namespace="building")
class HouseOrdered:
    site: str


@event(namespace="building")
class LandBought:
    site: str


@event(namespace="building")
class LandSold:
    site: str
    reason: str = ""


@event(namespace="building")
class LandResold:
    site: str


@event(namespace="building")
class PermitGiven:
    site: str


@event(namespace="building")
class PermitRefused:
    site: str
    reason: str = ""


@event(namespace="building")
class PermitReturned:
    site: str


@event(namespace="building")
class LoanApproved:
    site: str


@event(namespace="building")
class LoanRefused:
    site: str
    reason: str = ""


@event(namespace="building")
class LoanClosed:
    site: str


@event(namespace="building")
class SiteInsured:
    site: str


@event(namespace="building")
class NotInsured:
    site: str
    reason: str = ""


@event(namespace="building")
class InsuranceEnded:
    site: str


@event(namespace="building")
class HouseHandedOver:
    site: str


@event(namespace="building")
class NotHandedOver:
    site: str
    reason: str = ""


@event(namespace="building")
class HouseCancelled:
    site: str
    reason: str = ""


house = Saga("house", starts=HouseOrdered, completes=HouseHandedOver, fails=HouseCancelled)

land = Participant("land", sagas=[house])


@land.action(fails=LandSold)
def buy(event: HouseOrdered, ctx: Context) -> LandBought:
    return LandBought(event.site)


@land.compensation(of=buy)
def resell(event: PermitRefused | PermitReturned, done: LandBought, ctx: Context) -> LandResold:
    return LandResold(done.site)


city = Participant("city", sagas=[house])


@city.action(fails=PermitRefused)
def permit(event: LandBought, ctx: Context) -> PermitGiven:
    return PermitGiven(event.site)


@city.compensation(of=permit)
def return_permit(event: NotHandedOver, done: PermitGiven, ctx: Context) -> PermitReturned:
    return PermitReturned(done.site)


lender = Participant("lender", sagas=[house])


@lender.action(fails=LoanRefused)
def approve(event: HouseOrdered, ctx: Context) -> LoanApproved:
    return LoanApproved(event.site)


@lender.compensation(of=approve)
def close(event: NotInsured | InsuranceEnded, done: LoanApproved, ctx: Context) -> LoanClosed:
    return LoanClosed(done.site)


insurer = Participant("insurer", sagas=[house])


@insurer.action(fails=NotInsured)
def insure(event: LoanApproved, ctx: Context) -> SiteInsured:
    return SiteInsured(event.site)


@insurer.compensation(of=insure)
def end(event: NotHandedOver, done: SiteInsured, ctx: Context) -> InsuranceEnded:
    return InsuranceEnded(done.site)


builder = Participant("builder", sagas=[house])


@builder.action(kind="pivot", fails=NotHandedOver)
def hand_over(permit_given: PermitGiven, site_insured: SiteInsured, ctx: Context) -> HouseHandedOver:
    return HouseHandedOver(permit_given.site)


@builder.compensation(of=house.start, on=all_of(LandSold | LandResold, LoanRefused | LoanClosed))
def cancel(asked: HouseOrdered, ctx: Context) -> HouseCancelled:
    return HouseCancelled(asked.site)
