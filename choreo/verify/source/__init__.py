"""What stands in the bodies of handlers: what they emit, and what they do beyond the local transaction.

By the syntax tree alone: nothing is imported or run, and no file is read here. Names are followed through the
project's own modules, so that a finding gives its reason: handler, function, call. What can't be told is
not guessed.
"""

from choreo.verify.source.comments import Comment, comments
from choreo.verify.source.examine import Seen, examine
from choreo.verify.source.module import Source
from choreo.verify.source.subject import Subject

__all__ = ["Comment", "Seen", "Source", "Subject", "comments", "examine"]
