"""Two ways to fail, that are told apart, and are undone alike."""

from choreo import Context, Participant, Saga, event


@event(namespace="college")
class ExamTaken:
    student: str


@event(namespace="college")
class Graded:
    student: str


@event(namespace="college")
class Illegible:
    student: str
    reason: str = ""


@event(namespace="college")
class Copied:
    student: str
    reason: str = ""


@event(namespace="college")
class GradeErased:
    student: str


@event(namespace="college")
class ExamPassed:
    student: str


@event(namespace="college")
class NotRecorded:
    student: str
    reason: str = ""


@event(namespace="college")
class RecordLocked:
    student: str
    reason: str = ""


@event(namespace="college")
class ExamVoid:
    student: str
    reason: str = ""


exam = Saga("exam", starts=ExamTaken, completes=ExamPassed, fails=ExamVoid)

grader = Participant("grader", sagas=[exam])


@grader.action(fails=(Illegible, Copied))
def grade(event: ExamTaken, ctx: Context) -> Graded | Copied:
    if event.student.startswith("x"):
        return Copied(event.student)
    return Graded(event.student)


@grader.compensation(of=grade)
def erase(event: NotRecorded | RecordLocked, done: Graded, ctx: Context) -> GradeErased:
    return GradeErased(done.student)


registry = Participant("registry", sagas=[exam])


@registry.action(kind="pivot", fails=(NotRecorded, RecordLocked))
def record(event: Graded, ctx: Context) -> ExamPassed | RecordLocked:
    if event.student.startswith("y"):
        return RecordLocked(event.student)
    return ExamPassed(event.student)


@registry.compensation(of=exam.start)
def void(event: Illegible | Copied | GradeErased, asked: ExamTaken, ctx: Context) -> ExamVoid:
    return ExamVoid(asked.student)
