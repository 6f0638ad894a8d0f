"""The hint for a word that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: object, known: Iterable[str], otherwise: str) -> str:
    """Give the known word that is meant, it seems, or else say ``otherwise`` and all known words.

    >>> did_you_mean("timeot", ["fails", "timeout"], "options")
    "did you mean 'timeout'?"
    >>> did_you_mean("colour", ["fails", "timeout"], "options")
    'options: fails, timeout'
    """
    words = list(known)
    close = get_close_matches(str(word), words, n=1)
    return f"did you mean {close[0]!r}?" if close else f"{otherwise}: {', '.join(words) or 'none yet'}"
