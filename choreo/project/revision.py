"""Reads the files that a folder held in an older revision of the git repository that it lies in."""

from __future__ import annotations

import os
import posixpath
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from choreo.errors import ConfigurationError

_NAME_ONE: Final = "name a commit, a tag or a branch that has it"
_FETCH_ALL: Final = "this clone is shallow: fetch the history (git fetch --unshallow --tags)"
_MOST_BYTES: Final = 256 * 1024 * 1024
_MOST_LINKS: Final = 8
_LINK: Final = "120000"


class _Entry(NamedTuple):
    """A file, a symbolic link or a submodule of a revision."""

    mode: str
    kind: str
    blob: str
    path: str


def contents_at(revision: str, folder: Path, suffix: str) -> list[bytes]:
    """Return the files below a folder, as they were in a revision, whose names end with ``suffix``.

    The folder may lie outside of the working directory, or be gone. It is looked for under its path, then
    where symbolic links lead, then where git says that its files were before they were renamed. Raises
    `ConfigurationError` where git doesn't know the revision, or the revision doesn't have the folder.
    """
    if revision.startswith("-"):
        raise ConfigurationError(f"{revision!r} is no revision", hint=_NAME_ONE)
    repository = _Repository(_existing(folder))
    names = repository.names_of(folder)
    for name in chain(names, repository.earlier_names(revision, names)):
        found = [each.blob for each in repository.files(revision, name) if each.path.endswith(suffix)]
        if found:
            return repository.read(found)
    raise ConfigurationError(f"{revision} has no {names[0]} with *{suffix}", hint=_NAME_ONE)


def extract(revision: str, folder: Path, into: Path) -> Path:
    """Write the files of a revision of the repository that holds a folder; return the repository's top.

    Raises `ConfigurationError` where git doesn't know the revision, or its files are too many.
    """
    if revision.startswith("-"):
        raise ConfigurationError(f"{revision!r} is no revision", hint=_NAME_ONE)
    repository = _Repository(_existing(folder))
    with tarfile.open(fileobj=BytesIO(repository.archive(revision))) as archive:
        archive.extractall(into, filter="data")
    return repository.top


def _existing(folder: Path) -> Path:
    """Return the nearest folder at or above a path, which may be gone."""
    path = Path(os.path.realpath(folder))
    return next(each for each in (path, *path.parents) if each.is_dir())


class _Repository:
    """The git repository that holds a folder; it may be bare. Paths are relative to its top."""

    def __init__(self, inside: Path) -> None:
        self._folder = inside
        is_bare = self._git("rev-parse", "--is-bare-repository").strip() == b"true"
        top = b"" if is_bare else self._git("rev-parse", "--show-toplevel").removesuffix(b"\n")
        self._top = os.fsdecode(top) or os.getcwd()

    @property
    def top(self) -> Path:
        """The folder of its files."""
        return Path(os.path.realpath(self._top))

    def archive(self, revision: str) -> bytes:
        """Return the files of a revision as a tar archive."""
        found = self._known(revision, "-C", self._top, "archive", "--format=tar", revision)
        if len(found) > _MOST_BYTES:
            raise ConfigurationError(f"the files of {revision} are larger than {_MOST_BYTES} bytes")
        return found

    def names_of(self, folder: Path) -> list[str]:
        """Return the path of a folder, and the one where symbolic links lead, if that is another."""
        above, last = os.path.split(os.path.abspath(folder))
        paths = (os.path.join(os.path.realpath(above), last), os.path.realpath(folder))
        names = [Path(os.path.relpath(path, os.path.realpath(self._top))).as_posix() for path in paths]
        return [name for name in dict.fromkeys(names) if name.split("/")[0] != ".."]

    def files(self, revision: str, path: str, links: int = 0) -> list[_Entry]:
        """Return the files of a revision below a path, also where that is a symbolic link."""
        below = [] if path == "." else [path]
        listed = self._known(revision, "ls-tree", "-r", "-z", "--full-tree", revision, "--", *below)
        found = [_entry(os.fsdecode(line)) for line in listed.split(b"\0") if line]
        if len(found) == 1 and found[0].mode == _LINK and found[0].path == path and links < _MOST_LINKS:
            (target,) = self.read([found[0].blob])
            there = posixpath.normpath(posixpath.join(posixpath.dirname(path), os.fsdecode(target)))
            return self.files(revision, there, links + 1)
        return [each for each in found if each.mode != _LINK and each.kind == "blob"]

    def earlier_names(self, revision: str, names: Iterable[str]) -> Iterator[str]:
        """Yield the paths that folders had in a revision, by the files that were renamed since."""
        options = ("--name-status", "--no-ext-diff", "-z", "-M", "--diff-filter=R")
        listed = os.fsdecode(self._known(revision, "diff", *options, revision, "HEAD", "--")).split("\0")
        renamed = list(zip(listed[1::3], listed[2::3], strict=False))
        found = {
            old.removesuffix(new.removeprefix(name)): None
            for name in names
            for old, new in renamed
            if new.startswith(f"{name}/") and old.endswith(new.removeprefix(name))
        }
        yield from found

    def read(self, blobs: list[str]) -> list[bytes]:
        """Return the contents of blobs."""
        asked = "".join(f"{blob}\n" for blob in blobs).encode()
        rest, found = self._git("cat-file", "--batch", stdin=asked), []
        if len(rest) > _MOST_BYTES:
            raise ConfigurationError(f"the revision's files are larger than {_MOST_BYTES} bytes")
        for _ in blobs:
            head, _, rest = rest.partition(b"\n")
            size = int(head.rsplit(b" ", 1)[-1])
            found.append(rest[:size])
            rest = rest[size + 1 :]
        return found

    def _known(self, revision: str, *arguments: str) -> bytes:
        """Return the output of a command on a revision; where it fails, say what git says of that."""
        try:
            return self._git(*arguments)
        except ConfigurationError as error:
            is_shallow = self._git("rev-parse", "--is-shallow-repository").strip() == b"true"
            raise ConfigurationError(
                f"git can't read {revision}: {error.message}", hint=_FETCH_ALL if is_shallow else _NAME_ONE
            ) from None

    def _git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        command = ["git", "--literal-pathspecs", *arguments]
        try:
            done = subprocess.run(
                command, cwd=self._folder, env=_environment(), input=stdin, capture_output=True, check=False
            )
        except OSError as error:
            raise ConfigurationError(f"--against needs git: {error.strerror}", hint="install git") from None
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise ConfigurationError(lines[0], hint=_NAME_ONE)
        return done.stdout


def _entry(line: str) -> _Entry:
    about, _, path = line.partition("\t")
    mode, kind, blob = about.split(" ")
    return _Entry(mode, kind, blob, path)


def _environment() -> dict[str, str]:
    """Return the environment for git, which runs in another folder than this process.

    Where a repository is named, as in hooks, its path may be relative to the working directory, which is
    the top of its files where nothing else is said.
    """
    found = {**os.environ, "LC_ALL": "C"}
    if "GIT_DIR" in found:
        found["GIT_DIR"] = os.path.abspath(found["GIT_DIR"])
        found["GIT_WORK_TREE"] = os.path.abspath(found.get("GIT_WORK_TREE") or os.curdir)
    return found
