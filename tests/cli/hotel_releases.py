"""Releases of one participant, for commands that load it by its name."""

from __future__ import annotations

from tests.worker.test_releases import Declared

before = Declared().participant()
renamed = Declared(book="reserve").participant()
renamed_well = Declared(book="reserve", formerly=("book",)).participant()
looking = Declared(look="look").participant()
empty = Declared(kind="", look="look").participant()
