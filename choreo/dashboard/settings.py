"""``Settings``: what a page is of, and who may see it and change what."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from choreo.graph import SagaGraph


class Settings(NamedTuple):
    """What `choreo.dashboard.app` was given.

    ``stores`` are as ``--store`` names them. ``hosts`` are the names by which browsers may call the page,
    besides those of the loopback; with ``is_open``, also any address in numbers, which nobody else can give
    to a page of his own. ``secret`` is what forms and visits are told by. ``stopping`` ends the streams.
    ``targets`` are the participants that known modules declare, each as ``MODULE:PARTICIPANT``.
    """

    stores: tuple[str, ...]
    graphs: Mapping[str, Sequence[SagaGraph]]
    schemas: Path
    read_only: bool
    token: str
    hosts: frozenset[str]
    is_open: bool
    secret: bytes
    stopping: Event
    targets: Mapping[str, str] = MappingProxyType({})

    @property
    def form_token(self) -> str:
        """What a form of this page has in it, and no other page can know."""
        return self._sealed("form")

    @property
    def visit_token(self) -> str:
        """What the cookie of a visitor holds who has given the token."""
        return self._sealed(f"visit {self.token}")

    def _sealed(self, text: str) -> str:
        return hmac.new(self.secret, text.encode(), sha256).hexdigest()


def is_same(given: str, wanted: str) -> bool:
    """Whether two texts are the same, in a time that tells nothing."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode(errors="replace"))
