"""The version of choreo."""

__version__ = "0.1.0"
