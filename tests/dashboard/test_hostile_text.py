"""Whatever customers and other services wrote stays text, in every field and every view."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from choreo.dashboard import app
from choreo.escape import escaped
from choreo.records import DeadLetter, Entry, Partition, Scheduled, Unpublished
from choreo.store.opening import open_store
from tests.dashboard.asking import Skeleton, ask, post

EVIL = (
    "</textarea></title></style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "javascript:alert(1)",
    "<!--",
    "-->",
    "]]>",
    "&lt;b&gt;",
    "&#60;",
    "{{7*7}}",
    "\u202egnp.exe",
    "a\r\nSet-Cookie: a=b",
    "\x1b[2J",
    "\ud800",
    "%3Cscript%3E",
    "?a=b&c=d#e",
    "../../etc/passwd",
    "\x00",
    "<svg/onload=alert(1)>",
    "x" * 400,
)
texts = st.lists(st.sampled_from(EVIL), min_size=1, max_size=2).map("".join) | st.text(
    min_size=1, max_size=12
)
names = texts.filter(lambda text: "\x00" not in text and _can_be_kept(text))
FIELDS = (
    "saga_id",
    "saga_type",
    "step",
    "note",
    "source",
    "topic",
    "event_type",
    "detail",
    "reason",
    "participant",
)


def _can_be_kept(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def store_with(folder: Path, text: dict[str, str]) -> None:
    """Make a store in which one saga waits, in whose rows these texts stand."""
    saga = (text["saga_id"], text["saga_type"])
    topic = text["topic"]
    with closing(open_store(folder / "one.db")) as store:
        store.bind("cluster", text["participant"])
        with store.turn():
            store.join(Partition(topic, 0), 3, 0, 0)
            store.append(
                (
                    Entry(
                        *saga,
                        1,
                        "pending",
                        1_000,
                        "event",
                        "start",
                        "pending",
                        "completed",
                        "e1",
                        text["event_type"],
                        "succeeded",
                        "start",
                        text["source"],
                        "",
                        topic,
                        0,
                        1,
                        1_000,
                        b"\xc3\x01" + b"x" * 9,
                        "",
                    ),
                    Entry(
                        *saga,
                        1,
                        "pending",
                        2_000,
                        "",
                        text["step"],
                        "pending",
                        "executing",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "e1",
                        note=text["note"],
                    ),
                    Entry(
                        *saga,
                        1,
                        "pending",
                        3_000,
                        "deferred",
                        text["step"],
                        "executing",
                        "executing",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "e1",
                        note=text["note"],
                    ),
                    Entry(
                        *saga,
                        1,
                        "pending",
                        4_000,
                        "buried",
                        text["step"],
                        "executing",
                        "executing",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "e1",
                        note=text["note"],
                    ),
                )
            )
            letter = DeadLetter(
                text["reason"],
                text["detail"],
                4_000,
                *saga,
                "action",
                text["step"],
                "e1",
                text["event_type"],
                topic,
                0,
                1,
                b"k",
                '[["a", "PGI+"]]',
                b"<b>not avro</b>",
                3,
            )
            store.add_dead_letter(letter)
            number = store.add_dead_letter(letter._replace(saga_id="", saga_type="", task="", name=""))
            store.close_dead_letter(number, "discarded", text["note"], 5_000)
            store.schedule((Scheduled(*saga, "deadline", text["step"], "e1", 5_000),))
            store.enqueue((Unpublished("e2", *saga, topic, "ce_time: nonsense", b""),))


def skeletons(text: dict[str, str]) -> tuple[list[list[tuple[str, ...]]], str]:
    """Return the elements of every page of such a store, and all that the pages say."""
    with TemporaryDirectory() as name:
        store_with(Path(name), text)
        page = app(name, schemas=Path(name))
        saga = urlencode({"type": text["saga_type"], "id": text["saga_id"], "payloads": "shown"})
        who = urlencode({"participant": text["participant"], "number": 1})
        group = urlencode({"participant": text["participant"], "reason": text["reason"]})
        answers = [
            ask(page, address)
            for address in (
                "/",
                "/sagas",
                "/participants",
                "/letters",
                f"/saga?{saga}",
                f"/letter?{who}&event=shown",
                f"/letter?{who.replace('number=1', 'number=2')}",
                f"/act?verb=discard&{group}",
                f"/edit?{who}",
                f"/by-hand?{who}",
                f"/sagas?{urlencode({'id': text['saga_id'], 'why': text['note']})}",
                f"/sagas?{urlencode({'older': text['note']})}",
            )
        ]
        form = {**answers[7].form, "who": "", "why": text["note"]}
        answers.append(post(page, "/act", form))
    found = [Skeleton(each.text) for each in answers]
    assert [answer.status for answer in answers] == [200] * 8 + [404, 404, 200, 404, 400]
    return [each.found for each in found], "\n".join(part for each in found for part in each.said)


PLAIN = {name: f"harmless {name}" for name in FIELDS}
PLAIN_SKELETONS: list[list[tuple[str, ...]]] = []


@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(st.fixed_dictionaries(dict.fromkeys(FIELDS, names)))
def test_a_text_adds_no_element(text: dict[str, str]) -> None:
    """A page has the same elements and attributes as with harmless texts, and says the hostile ones."""
    # With their names, as pages differ where two of them are the same.
    text = {name: f"{each} {name}" for name, each in text.items()}
    found, said = skeletons(text)
    if not PLAIN_SKELETONS:
        PLAIN_SKELETONS.extend(skeletons(PLAIN)[0])
    for one, other in zip(found, PLAIN_SKELETONS, strict=True):
        assert one == other
    for name in ("saga_id", "reason", "detail"):
        assert escaped(text[name]) in said
