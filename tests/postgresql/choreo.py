"""The command ``choreo``, whose handlers may write SQLite's SQL: ``python -m tests.postgresql.choreo``."""

from __future__ import annotations

from choreo.cli import main
from tests.postgresql.portable import install

if __name__ == "__main__":
    install()
    main()
