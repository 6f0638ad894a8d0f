"""A read model, and a notice: they look on, and nobody waits for them."""

from choreo import Context, Participant, Saga, event


@event(namespace="press")
class SurveyStarted:
    survey: str


@event(namespace="press")
class AnswersTaken:
    survey: str


@event(namespace="press")
class NobodyAnswers:
    survey: str
    reason: str = ""


@event(namespace="press")
class AnswersBurnt:
    survey: str


@event(namespace="press")
class SurveyPrinted:
    survey: str


@event(namespace="press")
class NotPrinted:
    survey: str
    reason: str = ""


@event(namespace="press")
class SurveyDropped:
    survey: str
    reason: str = ""


survey = Saga("survey", starts=SurveyStarted, completes=SurveyPrinted, fails=SurveyDropped)

field = Participant("field", sagas=[survey])


@field.action(fails=NobodyAnswers)
def ask(event: SurveyStarted, ctx: Context) -> AnswersTaken:
    return AnswersTaken(event.survey)


@field.compensation(of=ask)
def burn(event: NotPrinted, done: AnswersTaken, ctx: Context) -> AnswersBurnt:
    return AnswersBurnt(done.survey)


@field.compensation(of=survey.start)
def drop(event: NobodyAnswers | AnswersBurnt, asked: SurveyStarted, ctx: Context) -> SurveyDropped:
    return SurveyDropped(asked.survey)


press = Participant("press", sagas=[survey])


@press.action(kind="pivot", fails=NotPrinted)
def print(event: AnswersTaken, ctx: Context) -> SurveyPrinted:
    return SurveyPrinted(event.survey)


archive = Participant("archive", sagas=[survey])


@archive.observer
def keep(event: SurveyStarted | AnswersTaken | SurveyPrinted | SurveyDropped, ctx: Context) -> None:
    ctx.log.info("%s", event.survey)


mail = Participant("mail", sagas=[survey])


@mail.observer
def notify(event: SurveyPrinted | SurveyDropped, ctx: Context) -> None:
    ctx.log.info("%s", event.survey)
