"""A choice beside a branch; each way joins it on its own."""

from choreo import Context, Participant, Saga, all_of, event


@event(namespace="clinic")
class PatientCame:
    patient: str


@event(namespace="clinic")
class NeedsSurgery:
    patient: str


@event(namespace="clinic")
class NeedsPills:
    patient: str


@event(namespace="clinic")
class NoDiagnosis:
    patient: str
    reason: str = ""


@event(namespace="clinic")
class SurgeryDropped:
    patient: str


@event(namespace="clinic")
class PillsDropped:
    patient: str


@event(namespace="clinic")
class BedKept:
    patient: str


@event(namespace="clinic")
class WardFull:
    patient: str
    reason: str = ""


@event(namespace="clinic")
class BedFreed:
    patient: str


@event(namespace="clinic")
class Operated:
    patient: str


@event(namespace="clinic")
class NotOperated:
    patient: str
    reason: str = ""


@event(namespace="clinic")
class WoundClosed:
    patient: str


@event(namespace="clinic")
class PillsGiven:
    patient: str


@event(namespace="clinic")
class NoPills:
    patient: str
    reason: str = ""


@event(namespace="clinic")
class PillsTakenBack:
    patient: str


@event(namespace="clinic")
class PatientHealed:
    patient: str


@event(namespace="clinic")
class NotDischarged:
    patient: str
    reason: str = ""


@event(namespace="clinic")
class PatientSentHome:
    patient: str
    reason: str = ""


treatment = Saga("treatment", starts=PatientCame, completes=PatientHealed, fails=PatientSentHome)

doctor = Participant("doctor", sagas=[treatment])


@doctor.action(fails=NoDiagnosis)
def diagnose(event: PatientCame, ctx: Context) -> NeedsSurgery | NeedsPills:
    if event.patient.startswith("a"):
        return NeedsSurgery(event.patient)
    return NeedsPills(event.patient)


@doctor.compensation(of=diagnose)
def drop_surgery(event: NotOperated | WoundClosed, done: NeedsSurgery, ctx: Context) -> SurgeryDropped:
    return SurgeryDropped(done.patient)


@doctor.compensation(of=diagnose)
def drop_pills(event: NoPills | PillsTakenBack, done: NeedsPills, ctx: Context) -> PillsDropped:
    return PillsDropped(done.patient)


ward = Participant("ward", sagas=[treatment])


@ward.action(fails=WardFull)
def keep_bed(event: PatientCame, ctx: Context) -> BedKept:
    return BedKept(event.patient)


@ward.compensation(of=keep_bed, on=all_of(NotOperated | WoundClosed, NoPills | PillsTakenBack))
def free_bed(done: BedKept, ctx: Context) -> BedFreed:
    return BedFreed(done.patient)


@ward.action(kind="pivot", fails=NotDischarged)
def discharge(event: Operated | PillsGiven, ctx: Context) -> PatientHealed:
    return PatientHealed(event.patient)


@ward.compensation(
    of=treatment.start, on=all_of(NoDiagnosis | SurgeryDropped | PillsDropped, WardFull | BedFreed)
)
def send_home(asked: PatientCame, ctx: Context) -> PatientSentHome:
    return PatientSentHome(asked.patient)


surgeon = Participant("surgeon", sagas=[treatment])


@surgeon.action(fails=NotOperated)
def operate(needs_surgery: NeedsSurgery, bed_kept: BedKept, ctx: Context) -> Operated:
    return Operated(needs_surgery.patient)


@surgeon.compensation(of=operate)
def close(event: NotDischarged, done: Operated, ctx: Context) -> WoundClosed:
    return WoundClosed(done.patient)


pharmacy = Participant("pharmacy", sagas=[treatment])


@pharmacy.action(fails=NoPills)
def give(needs_pills: NeedsPills, bed_kept: BedKept, ctx: Context) -> PillsGiven:
    return PillsGiven(needs_pills.patient)


@pharmacy.compensation(of=give)
def take_back(event: NotDischarged, done: PillsGiven, ctx: Context) -> PillsTakenBack:
    return PillsTakenBack(done.patient)
