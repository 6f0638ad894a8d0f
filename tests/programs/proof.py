"""``make proof``: `choreo verify` against the oracles, on one random choreography after the other.

``python -m tests.programs.proof [CHOREOGRAPHIES [FIRST SEED]]`` judges random ones of 2 to 12 steps, spoilt
and not, and for each 200 of them a sound one of 9 to 40. ``python -m tests.programs.proof --seed 17`` judges
that one alone and prints it, ``--large 17`` a large and sound one. Prints every difference, why errors of
each kind that nothing confirms may be right, and a line of JSON at the end. Exits with 1 where something
wrong is called clean, where more than one error in 200 is one that nothing confirms, where a large and sound
choreography has an error, or where verify raises.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.verify.judging import MADE_UP, Judged, Question, judge, large_and_sound, question

CHUNK = 25
SHARE_OF_LARGE = 200
LARGE_RUNS = 20
MOST_MADE_UP = 0.005

Counts = Counter[str]

EXPLAINED = {
    "CHO106": "a saga that only a deadline ends, though nothing is late, is taken as one that stops",
    "CHO108": "answers that exclude each other show in the graph; a run shows only that the join isn't whole",
    "CHO203": "the graph is read for any number of troubles, runs have one more than asked for",
    "CHO204": "the graph is read for any order of events, and not all orders were run",
    "CHO209": "the search shows it in the saga as it would be undone rightly",
    "CHO302": "the graph is read for any order of events, and not all orders were run",
}
"""Why an error may be right that no run shows, by its rule."""


def main(wanted: int = 10_000, first: int = 0) -> int:
    """Judge so many choreographies, and some large ones that are sound; tell what came of it."""
    begun, found = time.monotonic(), Counter[str]()
    with ProcessPoolExecutor(int(os.environ.get("JOBS") or os.cpu_count() or 1)) as pool:
        for judged_some, share in ((judged, wanted), (judged_large, wanted // SHARE_OF_LARGE)):
            for counts, differences in pool.map(judged_some, _chunks(first, share)):
                found.update(counts)
                print(*differences, sep="\n\n", end="\n\n" if differences else "", flush=True)
                _tell(f"{found['choreographies']:,} judged, {found['large']:,} large ones")
    seconds = time.monotonic() - begun
    print(*_explanations(found), sep="\n")
    print(json.dumps({"fuzz": "verify", **dict(sorted(found.items())), "seconds": round(seconds)}))
    made_up = found["made_up"] / max(found["errors"], 1)
    wrong = ("missed", "crashed", "large_made_up")
    return int(made_up > MOST_MADE_UP or any(found[each] for each in wrong))


def _explanations(found: Counts) -> Iterator[str]:
    """Return how many errors of each kind nothing confirms, and why one of that kind may be right."""
    for kind, count in sorted(found.items()):
        if kind.startswith(MADE_UP):
            why = [
                EXPLAINED.get(rule, "unexplained")
                for rule in kind[len(MADE_UP) : kind.index(" (")].split(", ")
            ]
            yield f"{count:,} {kind}: {'; '.join(dict.fromkeys(why))}"


def alone(judged_one: Judged) -> int:
    """Print what there is to say of one choreography."""
    print(judged_one)
    return int(not judged_one.agrees)


def judged(seeds: range) -> tuple[Counts, list[str]]:
    """Judge some seeds; return the counts, and what there is to say of each difference."""
    return _judged((question(seed) for seed in seeds), judge, _counted)


def judged_large(seeds: range) -> tuple[Counts, list[str]]:
    """Judge, for each seed, the next large choreography that is sound as it grew."""
    return _judged(map(_large, seeds), lambda asked: judge(asked, LARGE_RUNS), _counted_large)


def _large(seed: int) -> Question:
    return next(filter(None, (large_and_sound(1_000 * seed + each) for each in range(1_000))))


def _judged(
    questions: Iterable[Question],
    judge_one: Callable[[Question], Judged],
    count: Callable[[Judged], Iterator[str]],
) -> tuple[Counts, list[str]]:
    found, differences = Counter[str](), []
    gc.disable()  # all states are kept until a judgement is over, so to look for garbage sooner finds none
    gc.freeze()
    for asked in questions:
        gc.collect()
        try:
            both = judge_one(asked)
        except Exception as error:  # of verify, or of the oracles: the seed tells
            found["crashed"] += 1
            differences.append(f"seed {asked.seed}: {traceback.format_exc()}")
            found[f"crashed {type(error).__name__}"] += 1
            continue
        found.update(count(both))
        if not both.agrees:
            differences.append(str(both))
    return found, differences


def _counted(both: Judged) -> Iterator[str]:
    yield "choreographies"
    counts = {
        "spoilt": both.question.spoilt,
        "searched": both.whole,
        "wrong": both.is_wrong,
        "errors": both.errors,
        "inconclusive": both.is_inconclusive,
        "missed": both.is_missed,
        "made_up": both.is_made_up,
    }
    yield from (name for name, holds in counts.items() if holds)
    if not both.agrees:
        yield f"{both.kind} ({both.question.spoilt.partition(':')[0] or 'as it grew'})"


def _counted_large(both: Judged) -> Iterator[str]:
    yield "large"
    if both.is_inconclusive:
        yield "large_inconclusive"
    if both.is_wrong:
        yield "large_wrong"
        yield from ("missed", both.kind) if both.is_missed else ()
    elif both.errors:
        yield "large_made_up"
        yield f"large: {both.kind}"


def _chunks(first: int, wanted: int) -> list[range]:
    return [range(seed, min(seed + CHUNK, first + wanted)) for seed in range(first, first + wanted, CHUNK)]


def _tell(progress: str) -> None:
    print(f"\r{progress}", end="", file=sys.stderr, flush=True)


def _main(*arguments: str) -> int:
    if arguments[:1] == ("--seed",):
        return alone(judge(question(int(arguments[1]))))
    if arguments[:1] == ("--large",):
        return alone(judge(_large(int(arguments[1])), LARGE_RUNS))
    return main(*map(int, arguments))


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
