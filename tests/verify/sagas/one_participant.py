"""All steps in one service: its own order, and nobody else's."""

from choreo import Context, Participant, Saga, event


@event(namespace="files")
class FileDropped:
    file: str


@event(namespace="files")
class FileParsed:
    file: str


@event(namespace="files")
class FileBroken:
    file: str
    reason: str = ""


@event(namespace="files")
class FileForgotten:
    file: str


@event(namespace="files")
class RowsInserted:
    file: str


@event(namespace="files")
class RowsRefused:
    file: str
    reason: str = ""


@event(namespace="files")
class RowsRemoved:
    file: str


@event(namespace="files")
class FileImported:
    file: str


@event(namespace="files")
class NotImported:
    file: str
    reason: str = ""


@event(namespace="files")
class FileRejected:
    file: str
    reason: str = ""


file_import = Saga("file-import", starts=FileDropped, completes=FileImported, fails=FileRejected)

loader = Participant("loader", sagas=[file_import])


@loader.action(fails=FileBroken)
def parse(event: FileDropped, ctx: Context) -> FileParsed:
    return FileParsed(event.file)


@loader.compensation(of=parse)
def forget(event: RowsRefused | RowsRemoved, done: FileParsed, ctx: Context) -> FileForgotten:
    return FileForgotten(done.file)


@loader.action(fails=RowsRefused)
def insert(event: FileParsed, ctx: Context) -> RowsInserted:
    return RowsInserted(event.file)


@loader.compensation(of=insert)
def remove(event: NotImported, done: RowsInserted, ctx: Context) -> RowsRemoved:
    return RowsRemoved(done.file)


@loader.action(kind="pivot", fails=NotImported)
def finish(event: RowsInserted, ctx: Context) -> FileImported:
    return FileImported(event.file)


@loader.compensation(of=file_import.start)
def reject(event: FileBroken | FileForgotten, asked: FileDropped, ctx: Context) -> FileRejected:
    return FileRejected(asked.file)
