"""Names the repository of a place, where the manifests of a choreography come from several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from choreo.manifest import Manifest
from choreo.manifest.manifest import Link, Remark


def told_apart(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Return manifests in which the files of other repositories begin with the repository's name.

    Files of modules that were imported are the own repository's, and stay as they are.
    """
    own = {_repository(each) for each in manifests if not _is_read(each)}
    names = {_repository(each) for each in manifests}
    if len(names) < 2:
        return list(manifests)
    return [
        _under(each, _repository(each)) if _is_read(each) and _repository(each) not in own else each
        for each in manifests
    ]


def _is_read(manifest: Manifest) -> bool:
    return manifest.origin.endswith(".json")


def _repository(manifest: Manifest) -> str:
    """Return the name of a manifest's project; where it has none, that of the folder in which it lies."""
    if manifest.project or not _is_read(manifest):
        return manifest.project
    return Path(manifest.origin).absolute().parent.name


def _under(manifest: Manifest, name: str) -> Manifest:
    def place(text: str) -> str:
        return f"{name}/{text}" if text else text

    def link(each: Link) -> Link:
        return each._replace(place=place(each.place))

    def remark(each: Remark) -> Remark:
        return each._replace(where=link(each.where), chain=tuple(map(link, each.chain)))

    return replace(
        manifest,
        handlers=tuple(replace(each, place=place(each.place)) for each in manifest.handlers),
        suppressions=tuple(replace(each, place=place(each.place)) for each in manifest.suppressions),
        remarks=tuple(map(remark, manifest.remarks)),
        modules=tuple(replace(each, file=place(each.file)) for each in manifest.modules),
    )
