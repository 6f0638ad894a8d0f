"""A rollback that nobody wrote: every compensation leaves it to the choreography what calls it."""

from choreo import Context, Participant, Saga, event


@event(namespace="studio")
class FilmPlanned:
    film: str


@event(namespace="studio")
class ScriptWritten:
    film: str


@event(namespace="studio")
class NoIdea:
    film: str
    reason: str = ""


@event(namespace="studio")
class ScriptBurnt:
    film: str


@event(namespace="studio")
class ActorsCast:
    film: str


@event(namespace="studio")
class NobodyPlays:
    film: str
    reason: str = ""


@event(namespace="studio")
class ActorsDismissed:
    film: str


@event(namespace="studio")
class SetBuilt:
    film: str


@event(namespace="studio")
class NoWood:
    film: str
    reason: str = ""


@event(namespace="studio")
class SetTornDown:
    film: str


@event(namespace="studio")
class FilmShot:
    film: str


@event(namespace="studio")
class FilmTorn:
    film: str
    reason: str = ""


@event(namespace="studio")
class FilmWiped:
    film: str


@event(namespace="studio")
class FilmShown:
    film: str


@event(namespace="studio")
class NotShown:
    film: str
    reason: str = ""


@event(namespace="studio")
class FilmShelved:
    film: str
    reason: str = ""


film = Saga("film", starts=FilmPlanned, completes=FilmShown, fails=FilmShelved)

writer = Participant("writer", sagas=[film])


@writer.action(fails=NoIdea)
def write(event: FilmPlanned, ctx: Context) -> ScriptWritten:
    return ScriptWritten(event.film)


@writer.compensation(of=write)
def burn(done: ScriptWritten, ctx: Context) -> ScriptBurnt:
    return ScriptBurnt(done.film)


@writer.compensation(of=film.start)
def shelve(asked: FilmPlanned, ctx: Context) -> FilmShelved:
    return FilmShelved(asked.film)


studio = Participant("studio", sagas=[film])


@studio.action(fails=NobodyPlays)
def cast(event: ScriptWritten, ctx: Context) -> ActorsCast:
    return ActorsCast(event.film)


@studio.compensation(of=cast)
def dismiss(done: ActorsCast, ctx: Context) -> ActorsDismissed:
    return ActorsDismissed(done.film)


@studio.action(fails=NoWood)
def build(event: ScriptWritten, ctx: Context) -> SetBuilt:
    return SetBuilt(event.film)


@studio.compensation(of=build)
def tear_down(done: SetBuilt, ctx: Context) -> SetTornDown:
    return SetTornDown(done.film)


camera = Participant("camera", sagas=[film])


@camera.action(fails=FilmTorn)
def shoot(actors_cast: ActorsCast, set_built: SetBuilt, ctx: Context) -> FilmShot:
    return FilmShot(actors_cast.film)


@camera.compensation(of=shoot)
def wipe(done: FilmShot, ctx: Context) -> FilmWiped:
    return FilmWiped(done.film)


cinema = Participant("cinema", sagas=[film])


@cinema.action(kind="pivot", fails=NotShown)
def show(event: FilmShot, ctx: Context) -> FilmShown:
    return FilmShown(event.film)
