"""``saga_machine``: participants as a hypothesis state machine, in which a test adds rules of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from choreo.errors import ConfigurationError
from choreo.participant import Participant
from choreo.testing.harness import Harness
from choreo.testing.invariants import check
from choreo.testing.violation import require

try:
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
except ImportError:  # pragma: no cover (a test runs it in a process of its own)
    raise ConfigurationError(
        "hypothesis is not installed", hint='pip install "choreo-saga[testing]"'
    ) from None


def saga_machine(
    *participants: Participant, invariant: Callable[[Mapping[str, Any]], object] | None = None
) -> type[RuleBasedStateMachine]:
    """Make the state machine in which participants run; a subclass says in its rules what starts sagas.

    Its own rules are the moves of the simulation: one participant goes on, time passes, a process crashes, a
    record comes twice. When hypothesis has gone far enough, everything runs to its end, and the invariants of
    `choreo.testing.check` are checked, and ``invariant``, the service's own. ``self.harness`` is the harness.

    >>> from hypothesis.stateful import rule
    >>> from choreo.testing import events, saga_machine
    >>> from examples.bank.contract import TransferRequested
    >>> from examples.bank.scenario import scenario
    >>> class Transfers(saga_machine(*scenario.participants)):
    ...     @rule(transfer=events(TransferRequested))
    ...     def request(self, transfer):
    ...         self.harness.start(transfer)
    >>> TestTransfers = Transfers.TestCase
    """

    class SagaMachine(RuleBasedStateMachine):
        """Runs participants in memory, by the moves that hypothesis chooses."""

        def __init__(self) -> None:
            super().__init__()
            self.harness = Harness(participants)

        @precondition(lambda self: self.harness.can_move)
        @rule(choice=st.integers(0, 7))
        def goes_on(self, choice: int) -> None:
            """One participant takes a record, publishes, or goes on with a call."""
            self.harness.step(choice)

        @rule(seconds=st.integers(1, 600))
        def time_passes(self, seconds: int) -> None:
            """Nobody does anything meanwhile."""
            self.harness.clock.advance(timedelta(seconds=seconds).total_seconds())

        @rule(name=st.sampled_from([each.name for each in participants]))
        def crashes(self, name: str) -> None:
            """A process ends, and another starts."""
            self.harness.crash(name)

        @precondition(lambda self: self.harness.broker.latest is not None)
        @rule()
        def comes_twice(self) -> None:
            """The last record is appended once more."""
            latest = self.harness.broker.latest
            assert latest is not None
            self.harness.broker.repeat(latest)

        def teardown(self) -> None:
            """Let everything come to its end, and check it."""
            try:
                self.harness.run()
                check(self.harness)
                if invariant is not None:
                    require(invariant(self.harness.databases) is not False, "the invariant does not hold")
            finally:
                self.harness.close()

    return SagaMachine
