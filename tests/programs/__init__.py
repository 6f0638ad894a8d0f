"""Programs that measure choreo; each is run with ``python -m tests.programs.NAME``."""
