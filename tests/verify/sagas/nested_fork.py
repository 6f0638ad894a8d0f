"""A fork in a branch of a fork, and one join for all."""

from choreo import Context, Participant, Saga, event


@event(namespace="space")
class MissionPlanned:
    mission: str


@event(namespace="space")
class CrewTrained:
    mission: str


@event(namespace="space")
class CrewUnfit:
    mission: str
    reason: str = ""


@event(namespace="space")
class CrewReleased:
    mission: str


@event(namespace="space")
class RocketAssembled:
    mission: str


@event(namespace="space")
class PartMissing:
    mission: str
    reason: str = ""


@event(namespace="space")
class RocketApart:
    mission: str


@event(namespace="space")
class TankFilled:
    mission: str


@event(namespace="space")
class FuelLeaks:
    mission: str
    reason: str = ""


@event(namespace="space")
class TankDrained:
    mission: str


@event(namespace="space")
class ProgramLoaded:
    mission: str


@event(namespace="space")
class ProgramWrong:
    mission: str
    reason: str = ""


@event(namespace="space")
class ProgramWiped:
    mission: str


@event(namespace="space")
class RocketLaunched:
    mission: str


@event(namespace="space")
class LaunchAborted:
    mission: str
    reason: str = ""


@event(namespace="space")
class MissionScrubbed:
    mission: str
    reason: str = ""


rocket_launch = Saga("rocket-launch", starts=MissionPlanned, completes=RocketLaunched, fails=MissionScrubbed)

crew = Participant("crew", sagas=[rocket_launch])


@crew.action(fails=CrewUnfit)
def train(event: MissionPlanned, ctx: Context) -> CrewTrained:
    return CrewTrained(event.mission)


@crew.compensation(of=train)
def release(done: CrewTrained, ctx: Context) -> CrewReleased:
    return CrewReleased(done.mission)


pad = Participant("pad", sagas=[rocket_launch])


@pad.action(fails=PartMissing)
def assemble(event: MissionPlanned, ctx: Context) -> RocketAssembled:
    return RocketAssembled(event.mission)


@pad.compensation(of=assemble)
def take_apart(done: RocketAssembled, ctx: Context) -> RocketApart:
    return RocketApart(done.mission)


fuel = Participant("fuel", sagas=[rocket_launch])


@fuel.action(fails=FuelLeaks)
def fill(event: RocketAssembled, ctx: Context) -> TankFilled:
    return TankFilled(event.mission)


@fuel.compensation(of=fill)
def drain(done: TankFilled, ctx: Context) -> TankDrained:
    return TankDrained(done.mission)


computer = Participant("computer", sagas=[rocket_launch])


@computer.action(fails=ProgramWrong)
def load(event: RocketAssembled, ctx: Context) -> ProgramLoaded:
    return ProgramLoaded(event.mission)


@computer.compensation(of=load)
def wipe(done: ProgramLoaded, ctx: Context) -> ProgramWiped:
    return ProgramWiped(done.mission)


control = Participant("control", sagas=[rocket_launch])


@control.action(kind="pivot", fails=LaunchAborted)
def launch(
    crew_trained: CrewTrained, tank_filled: TankFilled, program_loaded: ProgramLoaded, ctx: Context
) -> RocketLaunched:
    return RocketLaunched(crew_trained.mission)


@control.compensation(of=rocket_launch.start)
def scrub(asked: MissionPlanned, ctx: Context) -> MissionScrubbed:
    return MissionScrubbed(asked.mission)
