"""The oracles at length: ``python -m tests.programs.naive [CHOREOGRAPHIES [FIRST SEED]]``, 10,000 by default.

Prints every difference, and a line of JSON at the end; exits with 1 where there was a difference.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.verify.judging import judge
from tests.verify.naive import TooLarge

CHUNK = 50


def main(wanted: int = 10_000, first: int = 0) -> int:
    """Judge as many choreographies; those that are too large are left out, and counted."""
    begun, found = time.monotonic(), Counter[str]()
    with ProcessPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
        seed = first
        while found["choreographies"] < wanted:
            missing = wanted - found["choreographies"]
            chunks = [range(s, s + CHUNK) for s in range(seed, seed + missing, CHUNK)]
            seed = chunks[-1].stop
            for counts, differences in pool.map(judged, chunks):
                found.update(counts)
                print(*differences, sep="\n\n", end="\n\n" if differences else "")
                print(f"\r{found['choreographies']} judged", end="", file=sys.stderr, flush=True)
    seconds = time.monotonic() - begun
    told = {"fuzz": "verify", **found, "differences": found["differences"], "seconds": round(seconds, 1)}
    print(json.dumps({**told, "per_second": round(found["choreographies"] / seconds, 1)}))
    return 1 if found["differences"] else 0


def judged(seeds: range) -> tuple[Counter[str], list[str]]:
    """Judge some seeds; give the counts, and what there is to say of each difference."""
    found, differences = Counter[str](), []
    for seed in seeds:
        try:
            both = judge(seed)
        except TooLarge:
            found["too_large"] += 1
            continue
        found["choreographies"] += 1
        found["spoilt"] += bool(both.spoilt)
        found["wrong"] += both.is_wrong
        found["states"] += both.searched.states
        if not both.agrees:
            found["differences"] += 1
            differences.append(str(both))
    return found, differences


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
