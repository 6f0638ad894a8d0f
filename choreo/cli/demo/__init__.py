"""``choreo demo``: an example, whole, in one process."""

from choreo.cli.demo.command import demo

__all__ = ["demo"]
