"""``make releases``: `choreo verify --against` against the real worker, on one random pair after the other.

``python -m tests.programs.releases [PAIRS [FIRST]]`` runs sagas of the old choreography on the simulator
while its participants are upgraded, in every order or in 20 random ones, from every position.
``python -m tests.programs.releases --seed 17`` judges that pair alone and prints it. Prints every difference,
and a line of JSON at the end. Exits with 1 where a run breaks that the verdict calls right, where more than
one alarm in 50 is one that no run confirms, or where anything raises.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count

from tests.verify.releasing import Judged, judge_seed

MOST_MADE_UP = 0.02


def main(wanted: int = 200, first: int = 0) -> int:
    """Judge so many pairs, and tell what came of it."""
    begun, found = time.monotonic(), Counter[str]()
    processes = int(os.environ.get("JOBS") or os.cpu_count() or 1)
    with ProcessPoolExecutor(processes, initializer=logging.disable, initargs=(logging.CRITICAL,)) as pool:
        for counts, told in pool.map(judged, range(first, first + wanted)):
            found.update(counts)
            print(told, end="", flush=True)
            print(f"\r{found['pairs']} pairs", end="", file=sys.stderr, flush=True)
    seconds = round(time.monotonic() - begun)
    print(json.dumps({"fuzz": "releases", **dict(sorted(found.items())), "seconds": seconds}))
    made_up = found["made_up"] / max(found["alarms"], 1)
    return int(made_up > MOST_MADE_UP or found["missed"] > 0 or found["crashed"] > 0)


def judged(number: int) -> tuple[Counter[str], str]:
    """Judge the pair of a number; return the counts, and what there is to say of a difference."""
    try:
        both = next(filter(None, (judge_seed(1_000 * number + each) for each in count())))
    except Exception:
        return Counter(["crashed"]), f"\n\nnumber {number}: {traceback.format_exc()}"
    return Counter(_counted(both)), "" if both.agrees else f"\n\n{both}\n"


def _counted(both: Judged) -> Iterator[str]:
    yield "pairs"
    yield from (f"mutation {kind}" for kind in both.pair.kinds)
    yield from (f"rule {rule}" for rule in both.rules)
    counts = {
        "alarms": both.alarms,
        "broken": both.broken,
        "refused": both.refused,
        "refused_unsaid": both.is_refused_unsaid,
        "missed": both.is_missed,
        "made_up": both.is_made_up,
    }
    yield from (name for name, holds in counts.items() if holds)
    if not both.agrees:
        yield f"{both.kind} ({', '.join(both.pair.kinds)})"
    yield from ["runs"] * both.runs
    yield from ["sagas"] * both.sagas


def alone(seed: int) -> int:
    """Print what there is to say of one pair."""
    logging.disable(logging.CRITICAL)
    both = judge_seed(seed)
    print(both or f"seed {seed} has no pair")
    return int(both is not None and not both.agrees)


def _main(*arguments: str) -> int:
    if arguments[:1] == ("--seed",):
        return alone(int(arguments[1]))
    return main(*map(int, arguments))


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
