"""How every refusal is checked: it says where, what, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from choreo import DeclarationError


@contextmanager
def refused(*words: str, hint: str, placed: bool = True) -> Iterator[None]:
    """Expect a refusal with these words and this hint, and for a handler the place."""
    with pytest.raises(DeclarationError) as caught:
        yield
    for word in words:
        assert word in caught.value.message
    assert hint in caught.value.hint
    if placed:
        assert re.match(r"\S+[/\\]test_\w+\.py:\d+: @?inventory\.", caught.value.message)
