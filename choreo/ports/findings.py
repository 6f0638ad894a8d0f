"""``Finding``: one thing that is wrong with a deployment, and what to do about it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["error", "warning"]
"""With an error a worker doesn't start, or something is lost; with a warning that may be so one day."""


class Finding(NamedTuple):
    """One thing that is wrong: with what, in one sentence, and what to do."""

    level: Level
    subject: str
    text: str
    hint: str = ""
