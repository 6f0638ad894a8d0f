"""Steps that call the world outside of any transaction, and may leave something behind when they raise."""

from choreo import Aborted, Context, Participant, Saga, event


@event(namespace="cloud")
class BackupAsked:
    volume: str


@event(namespace="cloud")
class SnapshotMade:
    volume: str


@event(namespace="cloud")
class DiskBusy:
    volume: str
    reason: str = ""


@event(namespace="cloud")
class SnapshotDeleted:
    volume: str


@event(namespace="cloud")
class Uploaded:
    volume: str


@event(namespace="cloud")
class UploadFailed:
    volume: str
    reason: str = ""


@event(namespace="cloud")
class UploadDeleted:
    volume: str


@event(namespace="cloud")
class BackupKept:
    volume: str


@event(namespace="cloud")
class NotIndexed:
    volume: str
    reason: str = ""


@event(namespace="cloud")
class BackupFailed:
    volume: str
    reason: str = ""


backup = Saga("backup", starts=BackupAsked, completes=BackupKept, fails=BackupFailed)

disk = Participant("disk", sagas=[backup])


@disk.action(fails=DiskBusy)
async def snapshot(event: BackupAsked, ctx: Context) -> SnapshotMade:
    return SnapshotMade(event.volume)


@disk.compensation(of=snapshot)
async def delete_disk(
    event: UploadFailed | UploadDeleted | Aborted, done: SnapshotMade | None, ctx: Context
) -> SnapshotDeleted:
    return SnapshotDeleted(ctx.saga_id)


cloud = Participant("cloud", sagas=[backup])


@cloud.action(fails=UploadFailed, blocking=True)
def upload(event: SnapshotMade, ctx: Context) -> Uploaded:
    return Uploaded(event.volume)


@cloud.compensation(of=upload, blocking=True)
def delete_cloud(event: NotIndexed | Aborted, done: Uploaded | None, ctx: Context) -> UploadDeleted:
    return UploadDeleted(ctx.saga_id)


catalog = Participant("catalog", sagas=[backup])


@catalog.action(kind="pivot", fails=NotIndexed)
def index(event: Uploaded, ctx: Context) -> BackupKept:
    return BackupKept(event.volume)


@catalog.compensation(of=backup.start)
def fail(event: DiskBusy | SnapshotDeleted, asked: BackupAsked, ctx: Context) -> BackupFailed:
    return BackupFailed(asked.volume)
