"""Two steps; the second is the point of no return."""

from choreo import Context, Participant, Saga, event


@event(namespace="blog")
class PostSubmitted:
    post: str


@event(namespace="blog")
class PostReviewed:
    post: str


@event(namespace="blog")
class ReviewDeclined:
    post: str
    reason: str = ""


@event(namespace="blog")
class ReviewWithdrawn:
    post: str


@event(namespace="blog")
class PostPublished:
    post: str


@event(namespace="blog")
class PressFailed:
    post: str
    reason: str = ""


@event(namespace="blog")
class PostRejected:
    post: str
    reason: str = ""


publishing = Saga("publishing", starts=PostSubmitted, completes=PostPublished, fails=PostRejected)

editor = Participant("editor", sagas=[publishing])


@editor.action(fails=ReviewDeclined)
def review(event: PostSubmitted, ctx: Context) -> PostReviewed:
    return PostReviewed(event.post)


@editor.compensation(of=review)
def withdraw(event: PressFailed, done: PostReviewed, ctx: Context) -> ReviewWithdrawn:
    return ReviewWithdrawn(done.post)


press = Participant("press", sagas=[publishing])


@press.action(kind="pivot", fails=PressFailed)
def publish(event: PostReviewed, ctx: Context) -> PostPublished:
    return PostPublished(event.post)


author = Participant("author", sagas=[publishing])


@author.compensation(of=publishing.start)
def reject(event: ReviewDeclined | ReviewWithdrawn, asked: PostSubmitted, ctx: Context) -> PostRejected:
    return PostRejected(asked.post)
