"""Examines the bodies of handlers, by their syntax trees alone: what they emit, and their effects outside.

Nothing is imported or run, and no file is read here. Names are followed through the project's own modules,
so that a finding shows the way to its cause: handler, function, call. A name that can't be followed yields no
finding, never a guess.
"""

from choreo.verify.source.examine import Examined, Reader, examine
from choreo.verify.source.handlers import RegisteredHandler
from choreo.verify.source.module import Source

__all__ = ["Examined", "Reader", "RegisteredHandler", "Source", "examine"]
