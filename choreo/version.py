"""choreo's own version, by which a manifest says what wrote it."""

__version__ = "0.1.0"
