"""What ``choreo run --check`` does: says what a release changes, and whether its worker would start."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from choreo.avro import AvroCodec
from choreo.cli import output
from choreo.errors import StoreMismatch
from choreo.operations.stores import open_reader
from choreo.participant import Participant
from choreo.release import compare, declared
from choreo.store.opening import is_address, shown
from choreo.worker.releases import in_lines, in_words, to_retire


def check_release(participant: Participant, path: str, schemas: Path, retire: Sequence[str]) -> None:
    """Compare a participant's declarations with its store, without a cluster and without writing anything.

    Raises `ReleaseRefused` where its worker would not start.
    """
    name = participant.name
    today = declared(participant, AvroCodec(participant.events, [schemas]).schemas())
    if not is_address(path) and not Path(path).exists():
        output.line(f"{name}: there is no store {path} yet, so no saga is in flight: it would start")
        return
    with open_reader(path) as store:
        if store.owner not in ("", name):
            raise StoreMismatch(
                f"the store {shown(path)} belongs to the participant {store.owner!r}, not to {name!r}",
                hint="each participant needs a store of its own",
            )
        newest = store.newest_release()
        comparison = compare(store, newest, today)
        for line in in_lines(comparison, (), 0):
            output.line(f"{name}: {line}")
        for new in comparison.new:
            if not new.sagas and not new.is_recalled:
                output.line(f"{name}: {in_words(new)}")
        retired = to_retire(store, comparison, retire, round(time.time() * 1000))
    letters = sum(each.sagas for each in comparison.needs if not each.is_letter)
    if retired:
        output.line(
            f"{name}: would retire {', '.join(sorted(retired))}: {output.counted(letters, 'dead letter')}"
        )
    if newest is not None and not comparison.changes:
        output.line(f"{name}: nothing has changed")
    output.line(f"{name}: it would start")
