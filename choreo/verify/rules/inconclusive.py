"""inconclusive: a limit was reached before every run had been looked at.

Why it is bad: nothing was found in what was looked at, and more is not proved. `choreo verify` exits with
3, so that nobody takes it for a pass.

For example, many long branches in parallel, each with failures and deadlines, of one saga.

How to fix it: give it more room with `--states` and `--seconds`; or cut the saga: a branch that is a
business transaction of its own may be a saga of its own.
"""

from __future__ import annotations

from choreo.verify.rule import Rule

RULE = Rule("CHO901", "inconclusive", __doc__, "warning")
