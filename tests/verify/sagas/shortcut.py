"""The last step waits for the first, too, beside the one between them."""

from choreo import Context, Participant, Saga, all_of, event


@event(namespace="state")
class PassportAsked:
    citizen: str


@event(namespace="state")
class PhotoTaken:
    citizen: str


@event(namespace="state")
class PhotoBlurred:
    citizen: str
    reason: str = ""


@event(namespace="state")
class PhotoDeleted:
    citizen: str


@event(namespace="state")
class RecordClean:
    citizen: str


@event(namespace="state")
class RecordUnclean:
    citizen: str
    reason: str = ""


@event(namespace="state")
class RecordClosed:
    citizen: str


@event(namespace="state")
class PassportIssued:
    citizen: str


@event(namespace="state")
class PrintFailed:
    citizen: str
    reason: str = ""


@event(namespace="state")
class PassportDenied:
    citizen: str
    reason: str = ""


passport = Saga("passport", starts=PassportAsked, completes=PassportIssued, fails=PassportDenied)

photo = Participant("photo", sagas=[passport])


@photo.action(fails=PhotoBlurred)
def take(event: PassportAsked, ctx: Context) -> PhotoTaken:
    return PhotoTaken(event.citizen)


@photo.compensation(of=take, on=all_of(RecordUnclean | RecordClosed, PrintFailed))
def delete(done: PhotoTaken, ctx: Context) -> PhotoDeleted:
    return PhotoDeleted(done.citizen)


@photo.compensation(of=passport.start)
def deny(event: PhotoBlurred | PhotoDeleted, asked: PassportAsked, ctx: Context) -> PassportDenied:
    return PassportDenied(asked.citizen)


police = Participant("police", sagas=[passport])


@police.action(fails=RecordUnclean)
def check(event: PhotoTaken, ctx: Context) -> RecordClean:
    return RecordClean(event.citizen)


@police.compensation(of=check)
def close(event: PrintFailed, done: RecordClean, ctx: Context) -> RecordClosed:
    return RecordClosed(done.citizen)


printer = Participant("printer", sagas=[passport])


@printer.action(kind="pivot", fails=PrintFailed)
def issue(photo_taken: PhotoTaken, record_clean: RecordClean, ctx: Context) -> PassportIssued:
    return PassportIssued(photo_taken.citizen)
