"""What every store must do. A driver's test is three lines: subclass, and give the fixture ``connect``.

``connect()`` opens one more connection to the same, at first empty, database; the suite closes them.
"""

# ruff: noqa: PT012 (what raises is the leaving of a block, so the block is longer than a statement)

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from random import Random

import pytest
from confluent_kafka.cimpl import murmur2

from choreo.chain import ZEROS, Row, digest_of, first_broken_link, link_of
from choreo.errors import Fenced, PayloadErased, StoreChanged, StoreError, StoreMismatch, TransactionControl
from choreo.ports import Store
from choreo.records import DeadLetter, Entry, Partition, Release, SagaKey, Scheduled, Unpublished
from tests.store.in_flight import STEPS, alike, counts_of, fill, seen_of, work_of

Connect = Callable[[], Store]

ORDERS = Partition("orders", 0)


def entry(saga_id: str = "s1", event_type: str = "shop.OrderCreated", **others: object) -> Entry:
    row = Entry(saga_id, "shop", 1, "started", 1000, "event", "reserve", "pending", "executing")
    return row._replace(event_type=event_type, **others)  # type: ignore[arg-type]


def ended(saga_id: str, **others: object) -> Entry:
    return entry(saga_id, step="start", new_state="completed")._replace(
        **{"saga_state": "completed", **others}  # type: ignore[arg-type]
    )


def key(saga_id: str, saga_type: str = "shop") -> SagaKey:
    return SagaKey(saga_id, saga_type)


def ended_before(store: Store, time: int) -> Iterator[SagaKey]:
    """Return all sagas that ended before a time."""
    after: int | None = 0
    while after is not None:
        found, after = store.saga_log.ended(time, after)
        yield from found


def unpublished(event_id: str = "e1") -> Unpublished:
    return Unpublished(event_id, "s1", "shop", "orders", "[]", b"body")


def scheduled(saga_id: str = "s1", due: int = 10, **others: object) -> Scheduled:
    given = {"task": "action", "name": "reserve", "event_id": "e1", **others}
    return Scheduled(saga_id, "shop", due=due, **given)  # type: ignore[arg-type]


def check_chain(store: Store, saga_id: str = "s1", saga_type: str = "shop") -> list[Row]:
    """Hold a saga's chain to the law, row by row; give its rows."""
    rows, before = list(store.saga_log.chain(saga_id, saga_type)), ZEROS
    for row in rows:
        assert len(row.salt or b"") == (0 if row.entry.payload is None else 16)
        assert row.link == link_of(before, row.entry, digest_of(row.entry.payload, row.salt))
        before = row.link
    assert first_broken_link(rows) is None
    return rows


class StoreConformance:
    """The tests; ``connect`` is the driver's."""

    @pytest.fixture
    def store(self, connect: Connect) -> Iterator[Store]:
        store = connect()
        yield store
        store.close()

    @pytest.fixture
    def other(self, store: Store, connect: Connect) -> Iterator[Store]:
        other = connect()
        yield other
        other.close()

    def test_a_new_store_is_empty(self, store: Store) -> None:
        """Nothing is there before the first turn."""
        assert not store.history("s1")
        assert store.payload("s1", "shop", "shop.OrderCreated") is None
        assert not store.unpublished(0, 10)
        assert not store.due(10**15, 10)
        assert store.next_due() is None
        assert not store.positions()
        assert not store.joined()
        assert not store.dead_letters()

    def test_another_thread_is_refused(self, store: Store) -> None:
        """One store, one thread."""
        refused: list[StoreError] = []

        def read() -> None:
            try:
                store.positions()
            except StoreError as error:
                refused.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        assert "thread" in str(refused[0])

    def test_connections_agree_on_the_store_id(self, store: Store, other: Store) -> None:
        """The id is the database's, not the connection's."""
        assert len(store.store_id) == 32
        assert store.store_id == other.store_id

    def test_history_gives_every_field_back_in_order(self, store: Store, other: Store) -> None:
        """What was appended comes back as it was, oldest first, to others as well."""
        full = Entry(
            *("s1", "shop", 2, "started", 7, "event", "reserve", "pending", "executing", "e1", "shop.A"),
            *("succeeded", "action", "orders", "e0", "orders", 3, 2**40, 9, b"\x00\xff", "a note — ✓"),
        )
        with store.turn():
            store.append([full, entry("s2")])
            store.append([entry(note="later")])
        assert list(store.history("s1")) == [full, entry(note="later")]
        assert list(other.history("s1")) == [full, entry(note="later")]

    def test_the_last_entry_of_an_id_grows_with_each_of_its_entries(self, store: Store, other: Store) -> None:
        """Of any saga type, and of no other id."""
        assert store.last_entry("s1") == 0
        seen = [0]
        for number in range(3):
            with store.turn():
                store.append([entry(saga_type=f"type-{number}"), entry("s2")])
                seen.append(store.last_entry("s1"))
            assert other.last_entry("s1") == seen[-1]
        assert seen == sorted(set(seen))

    def test_history_sees_the_open_turn(self, store: Store, other: Store) -> None:
        """A turn reads what it wrote; others only what was committed."""
        with store.turn():
            store.append([entry(note="1")])
            assert [e.note for e in store.history("s1")] == ["1"]
            store.append([entry(note="2")])
            assert [e.note for e in store.history("s1")] == ["1", "2"]
            assert not other.history("s1")

    def test_histories_are_what_history_is(self, store: Store) -> None:
        """Of as many of the sagas as the store likes; with rows not written yet, in chains that hold."""
        with store.turn():
            store.append([entry(payload=b"a"), entry("s2"), entry("ü😀'\"")])
        keys = [key(each) for each in ("s1", "new", "s1-", "s2", "written", "later", "ü😀'\"", "🙈")]
        keys.append(key("s1", "other"))
        with store.turn():
            store.append([entry("written")])
            assert store.history("written")
            store.append([entry("later"), entry("s2", note="2")])
            found = store.histories(keys)
            assert set(found) <= set(keys)
            for each, entries in found.items():
                assert list(entries) == list(store.history(*each))
            assert found == store.histories(set(found))
            store.append([entry(each.saga_id, saga_type=each.saga_type, payload=b"b") for each in keys])
        for each in keys:
            check_chain(store, *each)
        assert not store.histories([])

    def test_many_entries_keep_their_order(self, store: Store) -> None:
        """However a driver groups its writing."""
        for size in (1, 49, 50, 51, 137):
            saga = f"of-{size}"
            with store.turn():
                store.append(entry(saga, note=str(n)) for n in range(size))
            assert [e.note for e in store.history(saga)] == [str(n) for n in range(size)]

    def test_payload_is_of_the_first_event_that_counts(self, store: Store) -> None:
        """Entries without a body, void ones and other types are passed over."""
        with store.turn():
            store.append([entry(payload=None), entry(payload=b"void", note="void")])
            store.append([entry(event_type="shop.Paid", payload=b"paid"), entry("s2", payload=b"s2")])
            assert store.payload("s1", "shop", "shop.OrderCreated") is None
            store.append([entry(payload=b""), entry(payload=b"second")])
        assert store.payload("s1", "shop", "shop.OrderCreated") == b""
        assert store.payload("s1", "shop", "shop.Paid") == b"paid"

    def test_every_row_is_linked_to_those_before_it_in_its_saga(self, store: Store, other: Store) -> None:
        """By whichever connection, within a turn and across turns; equal payloads have other salts."""
        with store.turn():
            store.append([entry(payload=b"a"), entry("s2", payload=b"b"), entry(payload=b"a")])
            assert store.history("s1")
            store.append([entry(note="a note — ✓\x1f"), entry("s2")])
        with other.turn():
            other.append([entry(note="other"), entry("s3")])
        with store.turn():
            store.append([entry(note="again"), entry("s3"), entry("s4")])
        rows = check_chain(store)
        assert [row.entry for row in rows] == list(store.history("s1"))
        assert [len(check_chain(store, saga)) for saga in ("s2", "s3", "s4")] == [2, 2, 1]
        assert rows[0].salt != rows[1].salt
        assert list(other.saga_log.chain("s1", "shop")) == rows
        assert (
            len({row.link for saga in ("s1", "s2", "s3", "s4") for row in store.saga_log.chain(saga, "shop")})
            == 10
        )

    def test_the_chain_holds_after_what_was_undone(self, store: Store, other: Store) -> None:
        """A row follows the last one that is there, whatever was written and undone meanwhile."""
        with store.turn():
            store.append([entry(note="1")])
            with suppress(ZeroDivisionError), store.savepoint():
                store.append([entry(note="undone"), entry("s2", note="undone")])
                store.history("s1")
                _ = 1 / 0
            store.append([entry(note="2")])
            with suppress(ZeroDivisionError), store.savepoint():
                with store.savepoint():
                    store.append([entry(note="undone")])
                    store.history("s1")
                store.append([entry(note="undone")])
                _ = 1 / 0
        with suppress(ZeroDivisionError), store.turn():
            store.append([entry(note="undone"), entry("s2", note="undone")])
            store.history("s1")
            _ = 1 / 0
        with suppress(StoreError), store.turn():
            store.append([entry(note="undone"), entry(note="\ud800")])
        with store.turn():
            store.append([entry(note="3"), entry("s2")])
        assert [row.entry.note for row in check_chain(store)] == ["1", "2", "3"]
        assert len(check_chain(store, "s2")) == 1

    def test_the_chain_holds_between_writers(self, store: Store, other: Store) -> None:
        """Whatever a connection remembers, another one may have gone on."""
        writers = (store, other, store, store, other, other, store)
        for number, writer in enumerate(writers):
            assert len(writer.history("s1")) == number
            with writer.turn():
                writer.append([entry(note=str(number), payload=b"x")])
        assert len(check_chain(store)) == len(writers)

    def test_saga_ids_are_given_in_pages(self, store: Store) -> None:
        """In their order, each once; those of several types with one id, too."""
        with store.turn():
            store.append([entry(f"s{n % 7}") for n in range(20)])
            store.append([entry("s5", saga_type="other"), entry("s5", saga_type="ship")])
        assert list(store.saga_log.sagas(key("", ""), 3)) == [key("s0"), key("s1"), key("s2")]
        assert list(store.saga_log.sagas(key("s4"), 2)) == [key("s5", "other"), key("s5", "ship")]
        assert list(store.saga_log.sagas(key("s5", "ship"), 9)) == [key("s5"), key("s6")]
        assert not store.saga_log.sagas(key("s6"), 9)
        assert list(store.saga_log.with_id("s5")) == [key("s5", "other"), key("s5", "ship"), key("s5")]
        assert not store.saga_log.with_id("s9")
        assert store.saga_log.unchained == 0

    def test_a_saga_is_at_rest_when_nothing_is_left_to_do(self, store: Store) -> None:
        """It has ended; nothing is due, unpublished or dead. Of another type, its id names another saga."""
        log, letter = store.saga_log, DeadLetter("gave-up", "", 7, "dead", "shop")
        with store.turn():
            store.append(ended(saga) for saga in ("rest", "due", "out", "dead", "two"))
            store.append([entry("begun"), entry("two")._replace(saga_type="other")])
            store.append([entry(saga, saga_type="other") for saga in ("rest", "due")])
            store.schedule([scheduled("due", lane="out"), scheduled("rest")._replace(saga_type="other")])
            store.enqueue([unpublished()._replace(saga_id="rest", saga_type="other")])
            store.add_dead_letter(letter._replace(saga_id="rest", saga_type="other"))
            store.enqueue([unpublished()._replace(saga_id="out")])
            number = store.add_dead_letter(letter)
        sagas = [key(each) for each in ("rest", "due", "out", "dead", "two", "begun", "nowhere")]
        assert log.busy([*sagas, key("two", "other")]) == {
            key("due"): "something is due for it",
            key("out"): "an event of it is not published yet",
            key("dead"): "a dead letter of it is open",
            key("two", "other"): "it has not ended",
            key("begun"): "it has not ended",
            key("nowhere"): "there is no such saga",
        }
        for saga in ("due", "begun", "nowhere"):
            for change in (log.erase, lambda saga: log.prune(saga, 1)):
                with pytest.raises(StoreError, match=saga), store.turn():
                    change(key(saga))
        with store.turn():
            store.unschedule("due", "shop", "action", "reserve")
            store.acknowledge([row.seq for row in store.unpublished(0, 9)])
            store.close_dead_letter(number, "discarded", "by hand", 9)
            assert log.erase(key("two")) == 0
        assert not log.busy(sagas[:5])

    def test_an_erased_payload_is_gone_and_the_chain_holds(self, store: Store, other: Store) -> None:
        """Of the dead letters, too; what then asks for it is told so. Others keep theirs."""
        letter = DeadLetter("gave-up", "", 7, "s1", "shop", value=b"ada", edited=b"ada", result=b"ada")
        with store.turn():
            store.append(entry(saga, payload=b"ada") for saga in ("s1", "s2"))
            store.append([entry(payload=None), ended("s1", event_type="shop.Done"), ended("s2")])
            store.append([entry(saga_type="other", payload=b"bob"), ended("s1", saga_type="other")])
            theirs = store.add_dead_letter(letter._replace(saga_type="other", state="discarded"))
            number = store.add_dead_letter(letter)
            store.close_dead_letter(number, "discarded", "", 8)
        links = [row.link for row in check_chain(store)]
        with store.turn():
            assert store.saga_log.erase(key("s1")) == 2
            assert store.saga_log.erase(key("s1")) == 0
            store.append([entry(payload=b"late", note="void")])
        rows = list(store.saga_log.chain("s1", "shop"))
        assert [row.link for row in rows[:-1]] == links
        assert [row.entry.payload for row in rows] == [None, None, None, b"late"]
        assert [len(row.digest or b"") for row in rows] == [32, 0, 0, 0]
        assert [row.salt is None for row in rows] == [True, True, True, False]
        assert first_broken_link(rows) is None
        with pytest.raises(PayloadErased):
            other.payload("s1", "shop", "shop.OrderCreated")
        assert store.payload("s1", "shop", "shop.Done") is None
        assert store.payload("s2", "shop", "shop.OrderCreated") == b"ada"
        kept = store.dead_letter(number)
        assert kept is not None
        assert (kept.value, kept.edited, kept.result) == (None, None, None)
        assert kept.reason == "gave-up"
        assert store.payload("s1", "other", "shop.OrderCreated") == b"bob"
        other_letter = store.dead_letter(theirs)
        assert other_letter is not None
        assert (other_letter.value, other_letter.edited) == (b"ada", b"ada")

    def test_of_a_pruned_saga_its_end_stays(self, store: Store, other: Store) -> None:
        """One row; the chain goes on from what was taken out, whoever writes next."""
        with store.turn():
            store.append([entry(payload=b"ada"), entry(saga_type="other"), entry("s2")])
            store.append([ended("s1"), entry(saga_type="other"), ended("s2")])
        *_, last = check_chain(store)
        with other.turn():
            other.append([entry("s3")])
            assert other.saga_log.prune(key("s1"), 5000) == 2
            assert other.saga_log.prune(key("s1"), 6000) == 0
        with store.turn():
            store.append([entry(note="void"), entry("s3")])
        with other.turn():
            other.append([entry(note="void")])
        rows = list(store.saga_log.chain("s1", "shop"))
        assert first_broken_link(rows) is None
        assert rows[0].digest == last.link
        assert [(row.entry.saga_type, row.entry.saga_state, row.entry.input) for row in rows] == [
            ("shop", "completed", "pruned"),
            *[("shop", "started", "event")] * 2,
        ]
        assert rows[0].entry.note.startswith("2 rows, since 1970-01-01T00:00:01")
        assert (rows[0].entry.recorded_at, rows[0].entry.event_time) == (5000, 1000)
        for saga, saga_type in (("s2", "shop"), ("s3", "shop"), ("s1", "other")):
            assert len(check_chain(store, saga, saga_type)) == 2

    def test_what_stands_for_a_pruned_saga_comes_after_all_that_was_there(self, store: Store) -> None:
        """Also where nothing else is left: a number that was given once never names another row."""
        with store.turn():
            store.append([entry("s1"), ended("s1"), entry("s2"), ended("s2")])
        last = store.last_entry("s2")
        with store.turn():
            store.saga_log.prune(key("s2"), 5000)
            store.saga_log.prune(key("s1"), 5000)
        assert last < store.last_entry("s2") < store.last_entry("s1")

    @pytest.mark.parametrize("inside", [False, True])
    def test_what_was_erased_or_pruned_in_vain_is_there(self, store: Store, inside: bool) -> None:
        """Undone with its turn or its savepoint; the log can't be changed afterwards either."""
        with store.turn():
            store.append(entry(saga, payload=b"ada") for saga in ("s1", "s2"))
            store.append([ended("s1"), ended("s2")])
        with suppress(ZeroDivisionError), store.turn():
            with suppress(ZeroDivisionError) if inside else nullcontext(), store.savepoint():
                store.saga_log.erase(key("s1"))
                store.saga_log.prune(key("s2"), 7)
                _ = 1 / 0
            store.append([entry("s2", note="void")])
        assert len(check_chain(store, "s1")) == 2
        assert len(check_chain(store, "s2")) == 2 + inside
        assert store.payload("s1", "shop", "shop.OrderCreated") == b"ada"

    def test_sagas_that_ended_before_a_time_are_found(self, store: Store) -> None:
        """By the time of their last row; in pages, each once; not those that go on, nor pruned ones."""
        with store.turn():
            store.append([entry("open"), ended("old"), ended("older"), ended("gone")])
            store.append([ended("new", recorded_at=2000), ended("old", recorded_at=1001)])
            store.append([entry("again"), ended("again"), entry("again", recorded_at=3000)])
            store.saga_log.prune(key("gone"), 1000)
        assert list(ended_before(store, 1001)) == [key("older")]
        assert list(ended_before(store, 2001)) == [key("older"), key("new"), key("old")]
        assert not list(ended_before(store, 1000))

    def test_what_was_deleted_can_be_scrubbed(self, store: Store) -> None:
        """Any number of times; what is there stays."""
        with store.turn():
            store.append([entry(payload=b"x" * 10_000), ended("s1")])
        with store.turn():
            store.saga_log.erase(key("s1"))
        assert store.saga_log.scrub()
        assert store.saga_log.scrub()
        assert len(store.history("s1")) == 2

    def test_the_outbox_numbers_its_rows_in_order(self, store: Store) -> None:
        """``seq`` grows; ``after`` and ``limit`` page through."""
        with store.turn():
            store.enqueue([unpublished(f"e{n}") for n in range(120)])
        rows = store.unpublished(0, 1000)
        assert [row.event_id for row in rows] == [f"e{n}" for n in range(120)]
        assert [row.seq for row in rows] == sorted({row.seq for row in rows})
        assert rows[0] == unpublished("e0")._replace(seq=rows[0].seq)
        assert store.unpublished(rows[4].seq, 2) == rows[5:7]

    def test_an_acknowledged_row_is_gone_and_its_number_never_comes_again(self, store: Store) -> None:
        """A late acknowledgement can't take a newer row away."""
        with store.turn():
            store.enqueue([unpublished("e1"), unpublished("e2")])
        first, second = store.unpublished(0, 10)
        with store.turn():
            store.acknowledge([second.seq])
        assert store.unpublished(0, 10) == [first]
        with store.turn():
            store.acknowledge([first.seq, second.seq, 10**9])
            store.enqueue([unpublished("e3")])
        (third,) = store.unpublished(0, 10)
        assert third.seq > second.seq

    def test_due_comes_oldest_first_then_as_scheduled(self, store: Store) -> None:
        """What lies in the future stays; the limit holds."""
        with store.turn():
            store.schedule([scheduled("b", 20), scheduled("z", 10), scheduled("a", 10), scheduled("f", 30)])
        assert [row.saga_id for row in store.due(20, 10)] == ["z", "a", "b"]
        assert [row.saga_id for row in store.due(20, 2)] == ["z", "a"]
        assert store.next_due() == 10

    def test_scheduling_again_moves_a_row(self, store: Store) -> None:
        """One row each saga, task, name and event."""
        with store.turn():
            store.schedule([scheduled(due=10), scheduled(event_id="e2", due=11)])
        with store.turn():
            store.schedule([scheduled(due=50, attempt=3)])
        rows = store.due(99, 10)
        assert list(rows) == [scheduled(event_id="e2", due=11), scheduled(due=50, attempt=3)]

    def test_unscheduling_takes_all_events_of_that_saga_task_and_name(self, store: Store) -> None:
        """And nothing else."""
        stay = [scheduled("s2", 1), scheduled(task="deadline", due=2), scheduled(name="ship", due=3)]
        with store.turn():
            store.schedule([scheduled(), scheduled(event_id="e2"), *stay])
        with store.turn():
            store.unschedule("s1", "shop", "action", "reserve")
        assert list(store.due(99, 10)) == stay

    def test_the_last_word_on_a_schedule_counts(self, store: Store) -> None:
        """Within one turn, too, whether read in between or not."""
        with store.turn():
            store.schedule([scheduled(event_id="before")])
        with store.turn():
            store.schedule([scheduled(event_id="within")])
            store.unschedule("s1", "shop", "action", "reserve")
            store.schedule([scheduled(event_id="after")])
        assert [row.event_id for row in store.due(99, 10)] == ["after"]
        with store.turn():
            store.unschedule("s1", "shop", "action", "reserve")
            assert store.next_due() is None
            store.schedule([scheduled(due=7)])
            assert store.next_due() == 7

    def test_each_lane_of_the_schedule_is_asked_for_by_itself(self, store: Store) -> None:
        """What waits for a call, or is out, stands in nobody's way."""
        with store.turn():
            store.schedule(
                [scheduled("s1", 1, lane="call"), scheduled("s2", 2, lane="out"), scheduled("s3", 3)]
            )
        assert [row.saga_id for row in store.due(9, 9)] == ["s3"]
        assert [row.saga_id for row in store.due(9, 9, "call")] == ["s1"]
        assert (store.next_due(), store.next_due("call"), store.next_due("out")) == (3, 1, 2)

    def test_what_is_scheduled_for_a_saga_is_found_by_its_id(self, store: Store) -> None:
        """In every lane, however far off, written or not yet."""
        rows = [
            scheduled(due=30),
            scheduled(name="ship", due=9, lane="call"),
            scheduled(name="bill", lane="out"),
        ]
        with store.turn():
            store.schedule([scheduled("s2"), *rows])
            assert list(store.scheduled("s1", "shop")) == rows
        assert list(store.scheduled("s1", "shop")) == rows
        assert not store.scheduled("s3", "shop")

    def test_what_was_out_is_recalled(self, store: Store) -> None:
        """To wait until all else is done; and moving a row changes its lane."""
        with store.turn():
            store.schedule([scheduled("s1", 5, lane="call"), scheduled("s2", 2, lane="call")])
            store.schedule([scheduled("s2", 2, lane="out")])
        assert [row.saga_id for row in store.due(9, 9, "call")] == ["s1"]
        with store.turn():
            store.recall()
        assert [row.saga_id for row in store.due(9, 9, "call")] == ["s1"]
        assert [(row.saga_id, row.deaths) for row in store.due(9, 9, "doubt")] == [("s2", 1)]
        assert store.next_due("out") is None

    def test_positions_move_by_compare_and_set(self, store: Store, other: Store) -> None:
        """A worker that didn't see the last move is fenced, and its turn undone."""
        with store.turn():
            store.join(ORDERS, 5, 8, 6)
        with store.turn():
            store.advance(ORDERS, 5, 7)
        assert other.positions() == {ORDERS: 7}
        assert other.joined() == {ORDERS: (8, 6)}
        with pytest.raises(Fenced, match="another worker"), other.turn():
            other.append([entry()])
            other.advance(ORDERS, 5, 6)
        assert store.positions() == {ORDERS: 7}
        assert not store.history("s1")

    def test_a_partition_that_was_never_joined_can_not_be_advanced(self, store: Store) -> None:
        """There is nothing to compare with."""
        with pytest.raises(Fenced), store.turn():
            store.advance(ORDERS, 0, 1)

    def test_a_partition_is_joined_once(self, store: Store) -> None:
        """The second to join is fenced; the first one's word stays."""
        with store.turn():
            store.join(ORDERS, 5, 8, 6)
        with pytest.raises(Fenced), store.turn():
            store.join(ORDERS, 0, 0, 0)
        assert store.joined() == {ORDERS: (8, 6)}

    def test_a_partition_that_was_only_noted_is_joined_once(self, store: Store) -> None:
        """It keeps the id of its topic; one whose beginning is known moves as any other."""
        with store.turn():
            store.join(ORDERS, -1, 0, -1)
            store.join(Partition("chain", 0), -1, 0, 0)
            store.identify({"orders": "id-1"})
        assert store.positions()[ORDERS] == -1
        with store.turn():
            store.join(ORDERS, 5, 8, 6)
        for known in (ORDERS, Partition("chain", 0)):
            with pytest.raises(Fenced), store.turn():
                store.join(known, 7, 9, 7)
        assert store.joined() == {ORDERS: (8, 6), Partition("chain", 0): (0, 0)}
        assert (store.positions()[ORDERS], store.topics()["orders"]) == (5, "id-1")

    def test_a_store_belongs_to_one_cluster_and_participant(self, store: Store, other: Store) -> None:
        """The first to bind is noted; the same may come again."""
        store.bind("cluster-1", "orders")
        store.bind("cluster-1", "orders")
        other.bind("cluster-1", "orders")
        with pytest.raises(StoreMismatch, match="cluster") as mismatch:
            other.bind("cluster-2", "orders")
        assert mismatch.value.hint
        with pytest.raises(StoreMismatch, match="participant"):
            other.bind("cluster-1", "stock")

    def test_binding_inside_a_turn_is_undone_with_it(self, store: Store) -> None:
        """It is a row like any other."""
        with suppress(ZeroDivisionError), store.turn():
            store.bind("cluster-1", "orders")
            _ = 1 / 0
        store.bind("cluster-2", "orders")

    def test_dead_letters_are_kept_and_closed_once(self, store: Store) -> None:
        """Each has an id of its own, and one taker; what was closed stays."""
        letter = DeadLetter("unreadable", "no ce_id", 7, key=b"k", value=b"\xff", offset=3, topic="orders")
        with store.turn():
            first, second = store.add_dead_letter(letter), store.add_dead_letter(letter)
        kept = [letter._replace(id=first), letter._replace(id=second)]
        assert list(store.dead_letters()) == kept
        with store.turn():
            assert store.close_dead_letter(second, "resolved", "by hand", 9, "anna")
            assert not store.close_dead_letter(second, "requeued", "", 10, "bob")
            store.add_result(second, "shop.Paid", b"paid")
        closed = kept[1]._replace(state="resolved", comment="by hand", closed_at=9, closed_by="anna")
        kept[1] = closed._replace(result_type="shop.Paid", result=b"paid")
        assert list(store.dead_letters()) == kept
        assert store.dead_letter(second) == kept[1]
        assert store.dead_letter(10**9) is None

    def test_an_edited_body_stands_beside_the_original(self, store: Store) -> None:
        """Of an open letter only; found by saga, handler and event, the latest."""
        letter = DeadLetter("unreadable-body", "", 7, "s1", "shop", "action", "pay", "e1", value=b"bad")
        with store.turn():
            first, second = store.add_dead_letter(letter), store.add_dead_letter(letter)
        assert store.edited("s1", "shop", "action", "pay", "e1") is None
        with store.turn():
            assert store.edit_dead_letter(first, b"good")
            assert store.edited("s1", "shop", "action", "pay", "e1") == b"good"
            assert store.edit_dead_letter(second, b"better")
            assert store.close_dead_letter(second, "requeued", "", 9)
            assert not store.edit_dead_letter(second, b"late")
        assert store.edited("s1", "shop", "action", "pay", "e1") == b"better"
        assert store.edited("s1", "shop", "action", "ship", "e1") is None
        assert store.edited("s2", "shop", "action", "pay", "e1") is None
        assert store.edited("s1", "other", "action", "pay", "e1") is None
        assert [each.value for each in store.dead_letters()] == [b"bad", b"bad"]

    def test_a_turn_that_fails_leaves_nothing(self, store: Store) -> None:
        """Neither what was written nor what was kept back, then or later."""
        with suppress(ZeroDivisionError), store.turn():
            store.append([entry()])
            store.enqueue([unpublished()])
            store.schedule([scheduled()])
            store.join(ORDERS, 0, 0, 0)
            assert store.history("s1")
            store.append([entry()])
            _ = 1 / 0
        with store.turn():
            pass
        assert not store.history("s1")
        assert not store.unpublished(0, 10)
        assert not store.due(99, 10)
        assert not store.positions()

    @pytest.mark.parametrize("read_before", [False, True])
    @pytest.mark.parametrize("read_inside", [False, True])
    def test_a_savepoint_undoes_its_own_part_only(
        self, store: Store, read_before: bool, read_inside: bool
    ) -> None:
        """Whether or not reading made the store write what it had kept back."""
        with store.turn():
            store.enqueue([unpublished("before"), unpublished("acknowledged")])
        gone = store.unpublished(0, 10)[1].seq
        with store.turn():
            store.append([entry(note="before")])
            store.schedule([scheduled(name="before")])
            if read_before:
                store.due(99, 10), store.history("s1")
            with suppress(ZeroDivisionError), store.savepoint():
                store.append([entry(note="inside")])
                store.enqueue([unpublished("inside")])
                store.acknowledge([gone])
                store.schedule([scheduled(name="inside")])
                store.unschedule("s1", "shop", "action", "before")
                if read_inside:
                    assert [e.note for e in store.history("s1")] == ["before", "inside"]
                _ = 1 / 0
            store.append([entry(note="after")])
        assert [e.note for e in store.history("s1")] == ["before", "after"]
        assert [row.event_id for row in store.unpublished(0, 10)] == ["before", "acknowledged"]
        assert [row.name for row in store.due(99, 10)] == ["before"]

    def test_history_is_whole_after_an_undone_savepoint(self, store: Store) -> None:
        """An entry that takes the place of an undone one is seen."""
        with store.turn():
            with suppress(ZeroDivisionError), store.savepoint():
                store.append([entry("undone")])
                assert not store.history("s1")
                _ = 1 / 0
            store.append([entry("s1")])
            assert store.history("s1")
            assert not store.history("undone")

    def test_savepoints_nest(self, store: Store) -> None:
        """The inner one is undone alone, the outer one with the inner."""
        with store.turn():
            with store.savepoint():
                store.append([entry(note="1")])
                with suppress(ZeroDivisionError), store.savepoint():
                    store.append([entry(note="2")])
                    _ = 1 / 0
                store.append([entry(note="3")])
            with suppress(ZeroDivisionError), store.savepoint():
                with store.savepoint():
                    store.append([entry(note="4")])
                    store.history("s1")
                _ = 1 / 0
        assert [e.note for e in store.history("s1")] == ["1", "3"]

    def test_releases_come_back_as_they_were(self, store: Store, other: Store) -> None:
        """Oldest first, each with the last entry of its moment, also where that is of the same turn."""
        assert store.newest_release() is None
        positions = {Partition("orders", 3): 2**40, ORDERS: 7}
        first = Release("d1", '{"names": "é \\" ✓"}', 1000, positions)
        second = Release("d2", "", 2000, {}, retired=("shop.charge", "shop.tell"))
        with store.turn():
            store.append([entry(), entry("s2")])
            store.add_release(first)
        with store.turn():
            store.append([entry(), entry()])
            store.add_release(second)
        written = [
            first._replace(after=store.last_entry("s2"), id=1),
            second._replace(after=store.last_entry("s1"), id=2),
        ]
        assert list(store.releases()) == list(other.releases()) == written
        assert other.newest_release() == written[-1]

    def test_a_release_is_undone_with_its_turn(self, store: Store) -> None:
        """So that what it says was retired with it was."""
        with suppress(ZeroDivisionError), store.turn():
            store.add_release(Release("d1", "", 1000, {}))
            _ = 1 / 0
        assert store.newest_release() is None

    def test_what_is_in_flight_is_counted_as_it_is_read(self, store: Store) -> None:
        """By the database, in groups: each is as many sagas as the rows say, and the one that began first."""
        due: list[Scheduled] = []
        for seed in range(4):
            due += fill(store, Random(seed), range(12 * seed, 12 * seed + 12))
            each = list(store.work(lambda *_: True, STEPS))
            assert sorted(each) == sorted(work_of(store, due))
            counted = store.in_flight(lambda *_: True, STEPS, ()).work
            assert len(counted) == len(counts_of(each))
            assert Counter({alike(many.work): many.sagas for many in counted}) == counts_of(each)
            for many in counted:
                began = [store.history(*work[:2]) for work in each if alike(work) == alike(many.work)]
                assert (many.work.saga_id, many.work.since) in {
                    (rows[0].saga_id, rows[0].recorded_at) for rows in began
                }
            many_steps = [*(f"shop.a-{number}" for number in range(30)), *STEPS, "shop.z"]
            found = store.in_flight(lambda *_: True, many_steps, ("Paid", "Sent"))
            assert sorted(found.work) == sorted(counted)
            assert Counter({each[:-1]: each.sagas for each in found.seen}) == seen_of(store, {"Paid", "Sent"})
            assert set(store.in_flight(lambda *_: False, (), ("Paid", "Sent")).seen) == set(found.seen)
            asked = lambda _, task, name, __: (task, name) == ("observer", STEPS[0])  # noqa: E731
            some = [work for work in each if work.task == "observer" and work.name == STEPS[0]]
            assert sorted(store.work(asked, ())) == sorted(some)

    def test_one_turn_at_a_time(self, store: Store) -> None:
        """A turn inside a turn is refused."""
        with pytest.raises(StoreError, match="open already"), store.turn(), store.turn():
            pass

    def test_writing_needs_a_turn(self, store: Store) -> None:
        """Else it would be kept back, and forgotten."""
        for write in (
            lambda: store.append([entry()]),
            lambda: store.enqueue([unpublished()]),
            lambda: store.acknowledge([1]),
            lambda: store.schedule([scheduled()]),
            lambda: store.unschedule("s1", "shop", "action", "reserve"),
            store.recall,
            lambda: store.join(ORDERS, 0, 0, 0),
            lambda: store.advance(ORDERS, 0, 1),
            lambda: store.add_dead_letter(DeadLetter("r", "d", 1)),
            lambda: store.close_dead_letter(1, "requeued", "", 1),
            lambda: store.edit_dead_letter(1, b""),
            lambda: store.add_result(1, "shop.Paid", b""),
            lambda: store.add_release(Release("d", "m", 1, {})),
            lambda: store.savepoint().__enter__(),
        ):
            with pytest.raises(StoreError, match="outside of a turn"):
                write()

    def test_a_handler_can_not_commit(self, store: Store) -> None:
        """The item is undone, the turn goes on."""
        with store.turn():
            with pytest.raises(TransactionControl), store.savepoint():
                store.append([entry(note="inside")])
                store.db.execute("COMMIT")
            store.append([entry(note="after")])
        assert [e.note for e in store.history("s1")] == ["after"]

    def test_a_commit_of_another_connection_is_noticed_once(self, store: Store, other: Store) -> None:
        """Its own commits are no news to a store."""
        store.changed()
        with store.turn():
            store.append([entry()])
        assert not store.changed()
        with other.turn():
            other.append([entry()])
        assert store.changed()
        assert not store.changed()

    def test_closing_twice_does_no_harm(self, connect: Connect) -> None:
        """So that clean-up code needn't ask."""
        store = connect()
        store.close()
        store.close()


class ClaimedStoreConformance:
    """What a store must do that serves one worker, beside `StoreConformance`."""

    def test_who_claimed_a_store_is_fenced_once_another_one_does(self, store: Store, other: Store) -> None:
        """At its next turn, whatever it was about to do; the one that claimed last goes on."""
        with store.turn():
            store.claim()
        with store.turn():
            store.append([entry()])
        with other.turn():
            other.claim()
        with pytest.raises(Fenced, match="another worker") as fenced, store.turn():
            raise AssertionError("the turn was opened")
        assert fenced.value.hint
        with other.turn():
            other.append([entry()])
        assert len(store.history("s1")) == 2

    def test_who_never_claimed_a_store_is_never_fenced(self, store: Store, other: Store) -> None:
        """As a web process that starts sagas beside the worker."""
        with other.turn():
            other.claim()
        with store.turn():
            store.append([entry()])
        with other.turn():
            other.append([entry()])

    def test_a_claim_that_was_not_committed_fences_nobody(self, store: Store, other: Store) -> None:
        """The one that has the store keeps it; the other one is refused."""
        with store.turn():
            store.claim()
        with pytest.raises(RuntimeError), other.turn():
            other.claim()
            raise RuntimeError
        with store.turn():
            store.append([entry()])
        with pytest.raises(Fenced), other.turn():
            raise AssertionError("the turn was opened")


SPREAD = {"shop": ("orders", 4)}
FOUR = [Partition("orders", number) for number in range(4)]


def homes() -> list[str]:
    """Return a saga for each of four partitions, in their order."""
    found = {murmur2(f"s{each}".encode(), 4): f"s{each}" for each in reversed(range(99))}
    return [found[number] for number in range(4)]


def divided(store: Store, other: Store) -> tuple[Store, Store]:
    """Return two workers' stores: the first has the partitions 0 and 1, the other one 2 and 3."""
    with store.turn():
        store.spread(SPREAD)
        for each in FOUR:
            store.join(each, 0, 0, 0)
        assert store.claim() == 0
    with other.turn():
        other.claim()
    with store.turn():
        assert store.take_over(FOUR[:2]) == 0
    with other.turn():
        assert other.take_over(FOUR[2:]) == 0
    return store, other


class SharedStoreConformance:
    """What a store must do that several workers share, beside `StoreConformance`."""

    @pytest.fixture
    def owners(self, store: Store, other: Store) -> tuple[Store, Store]:
        return divided(store, other)

    def test_owners_go_on_side_by_side(self, owners: tuple[Store, Store]) -> None:
        """Their turns are open at the same time."""
        store, other = owners
        first, *_, last = homes()
        with store.turn():
            store.append([entry(first)])
            store.advance(FOUR[0], 0, 1)
            done = threading.Event()

            def beside() -> None:
                with other.turn():
                    other.append([entry(last)])
                    other.advance(FOUR[3], 0, 1)
                done.set()

            other._session._thread = None  # type: ignore[attr-defined]
            threading.Thread(target=beside).start()
            assert done.wait(10)
        assert store.positions() == {FOUR[0]: 1, FOUR[1]: 0, FOUR[2]: 0, FOUR[3]: 1}
        check_chain(store, first)
        check_chain(store, last)

    @pytest.mark.parametrize("count", [1, 2])
    def test_an_earlier_owner_is_fenced_from_what_was_taken_over(
        self, owners: tuple[Store, Store], count: int
    ) -> None:
        """At its next turn, before it does anything; then it goes on with the others."""
        store, other = owners
        with other.turn():
            assert other.take_over(FOUR[:count]) == 1
        with pytest.raises(Fenced, match="taken over") as fenced, store.turn():
            raise AssertionError("the turn was opened")
        assert fenced.value.partitions == set(FOUR[:count])
        with store.turn():
            store.append([entry(homes()[1])])
        with other.turn():
            other.append([entry(homes()[0])])

    def test_what_was_not_committed_takes_nothing_over(self, owners: tuple[Store, Store]) -> None:
        """The owner keeps it, and nobody has claimed what was not claimed."""
        store, other = owners
        with pytest.raises(RuntimeError), other.turn():
            other.take_over(FOUR[:1])
            raise RuntimeError
        with store.turn():
            store.advance(FOUR[0], 0, 1)
        assert not other.due(99, 9)
        with other.turn():
            other.advance(FOUR[2], 0, 1)

    def test_each_owner_sees_the_rows_of_its_partitions(self, store: Store, other: Store) -> None:
        """Whatever is asked for, the owners have all of it together, and no row twice."""
        lanes = ("turn", "call", "undo", "out", "doubt")
        rows = [
            scheduled(saga_id, due, lane=lane, name=f"{lane}{due}", until=due if lane == "call" else 0)
            for saga_id in homes()
            for lane in lanes
            for due in (1, 5)
        ]
        with store.turn():
            store.schedule(rows)
            store.enqueue(unpublished()._replace(saga_id=saga_id) for saga_id in homes())
        before = store.due(9, 99)
        owners = divided(store, other)
        found = [each.due(9, 99) for each in owners]
        assert sorted([*found[0], *found[1]]) == sorted(before)
        assert [{row.saga_id for row in each} for each in found] == [{*homes()[:2]}, {*homes()[2:]}]
        for first, number in zip(owners, (0, 2), strict=True):
            mine = set(homes()[number : number + 2])
            assert [row.due for row in first.due(9, 3, "call")] == [1, 1, 5]
            assert {row.saga_id for row in first.unpublished(0, 9)} == mine
            assert len(first.unpublished(first.unpublished(0, 1)[0].seq, 9)) == 1
            assert first.next_due("undo") == 1
            assert first.waiting("turn", 9) == (4, 1)
            assert {row.saga_id for row in first.overdue(9, 99)} == mine
            assert first.next_limit() == 1
            assert {row.saga_id for row in first.postponed(0)} == mine
            assert len(first.postponed(0)) == 2 * 2 * len(lanes)
            assert first.next_due("out") is None  # what was out when the partition was taken over
            assert len(first.due(9, 99, "doubt")) == 2 * 2 * 2

    def test_ends_of_the_process_are_counted_for_each_partition(self, owners: tuple[Store, Store]) -> None:
        """Until an owner ends in order, or is trusted; what was out is in doubt, or back in its lane."""
        store, other = owners
        saga_id = homes()[0]
        with store.turn():
            store.schedule([scheduled(saga_id, 5, lane="out")])
        with other.turn():
            assert other.take_over(FOUR[:1]) == 1
        assert [row.deaths for row in other.due(9, 9, "doubt")] == [1]
        with other.turn():
            other.schedule([scheduled(saga_id, 5, lane="out", deaths=1)])
            other.give_up(FOUR[:1])
        other.disown(FOUR[:1])
        assert not other.due(9, 9, "call")
        with suppress(Fenced), store.turn():
            pass
        with store.turn():
            assert store.take_over(FOUR[:1]) == 0
        assert [row.deaths for row in store.due(9, 9, "call")] == [1]
        with store.turn():
            store.trust()
        with other.turn():
            assert other.take_over(FOUR[:1]) == 0
        with suppress(Fenced), store.turn():
            pass
        with store.turn():
            assert store.take_over(FOUR[:1]) == 1
            store.release()

    def test_who_is_no_worker_is_alone(self, store: Store, other: Store, connect: Connect) -> None:
        """It sees all, and what it writes into a saga is seen by its owner, whatever that has in memory."""
        first, second = divided(store, other)
        saga_id = homes()[3]
        with second.turn():
            second.append([entry(saga_id)])
        alone = connect()
        try:
            with alone.turn():
                alone.append([entry(saga_id)])
                alone.schedule([scheduled(saga_id, 5)])
                alone.enqueue([unpublished()._replace(saga_id=saga_id)])
        finally:
            alone.close()
        with pytest.raises(StoreChanged), second.turn():
            raise AssertionError("the turn was opened")
        with second.turn():
            second.append([entry(saga_id)])
        assert len(check_chain(second, saga_id)) == 3
        assert [row.saga_id for row in second.due(9, 9)] == [saga_id]
        assert [row.saga_id for row in second.unpublished(0, 9)] == [saga_id]
        assert not first.due(9, 9)

    def test_a_saga_of_another_owner_is_visited(self, owners: tuple[Store, Store]) -> None:
        """Its owner is kept out until the end of the turn, and told then; whoever visits is not."""
        store, other = owners
        own, saga_id = homes()[0], homes()[3]
        with other.turn():
            other.append([entry(saga_id)])
        for _ in range(2):
            with store.turn():
                assert not store.visit(own, "shop")
                assert store.visit(saga_id, "shop")
                store.append([entry(saga_id), entry(own)])
                store.schedule([scheduled(saga_id, 5)])
        with pytest.raises(StoreChanged), other.turn():
            raise AssertionError("the turn was opened")
        with other.turn():
            other.append([entry(saga_id)])
        assert len(check_chain(other, saga_id)) == 4
        assert [row.saga_id for row in other.due(9, 9)] == [saga_id]
        assert not store.due(9, 9)

    def test_rows_move_with_a_topic_that_has_grown(self, store: Store, other: Store) -> None:
        """To the partition on which the next events of their sagas lie."""
        ids = [f"s{number}" for number in range(40)]
        with store.turn():
            assert store.spread({"shop": ("orders", 2)}) == {}
            store.schedule([scheduled(saga_id, 5) for saga_id in ids])
        with store.turn():
            assert store.spread(SPREAD) == {"orders": 2}
            assert store.spread(SPREAD) == {}
        divided(store, other)
        assert {row.saga_id for row in store.due(9, 99)} == {
            saga_id for saga_id in ids if murmur2(saga_id.encode(), 4) < 2
        }
