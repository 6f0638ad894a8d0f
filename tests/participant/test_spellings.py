"""However a type is spelled, it is declared as if written out, or refused where it stands."""

# ruff: noqa: UP007, UP045 (the spellings are what is tested)

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from itertools import product
from typing import Annotated, Any, NewType, Optional, TypeVar, Union

import pytest
from typing_extensions import TypeAliasType

from choreo import Aborted, Context, DecimalOf, DeclarationError, Earlier, Participant, Saga, event
from choreo.avro import AvroCodec, schema_of
from choreo.errors import SchemaError
from choreo.manifest import manifest_of
from choreo.participant.answers import build

T = TypeVar("T")


@event(namespace="lend")
class Asked:
    book: str


@event(namespace="lend")
class Reserved:
    book: str


@event(namespace="lend")
class Lent:
    book: str


@event(namespace="lend")
class Refused:
    book: str
    reason: str


@event(namespace="lend")
class Returned:
    book: str


lending = Saga("lending", starts=Asked, completes=Lent, fails=Refused)

Spelling = Callable[[Any], Any]
Same = TypeAliasType("Same", T, type_params=(T,))  # type: ignore[misc]
Wrapped = TypeAliasType("Wrapped", Annotated[T, "wrapped"], type_params=(T,))  # type: ignore[misc]


def alias(kind: Any) -> Any:
    return TypeAliasType("Named", kind)  # type: ignore[misc]


SPELLINGS: dict[str, Spelling] = {
    "plain": lambda kind: kind,
    "annotated": lambda kind: Annotated[kind, "doc"],
    "twice annotated": lambda kind: Annotated[Annotated[kind, "doc"], 5],
    "alias": alias,
    "alias of an alias": lambda kind: alias(alias(kind)),
    "alias of what is annotated": lambda kind: alias(Annotated[kind, "doc"]),
    "annotated alias": lambda kind: Annotated[alias(kind), "doc"],
    "generic alias": lambda kind: Same[kind],
    "generic alias of what is annotated": lambda kind: Wrapped[kind],
    "new type": lambda kind: NewType("New", kind),
    "union with itself": lambda kind: Union[alias(kind), kind],
}


def unions(one: Any, other: Any) -> dict[str, Any]:
    """Return spellings of ``one | other``."""
    return {
        "written out": Union[one, other],
        "alias": alias(Union[one, other]),
        "annotated": Annotated[Union[one, other], "doc"],
        "of an alias and the other": Union[alias(one), other],
        "of the annotated": Union[Annotated[one, "a"], Annotated[other, "b"]],
        "of a union and one": Union[alias(Union[one, other]), one],
        "of an annotated union": Union[Annotated[Union[one, other], "doc"], one],
    }


def declared(kinds: dict[str, Any], declare: Callable[[Participant, Any], Any] | None = None) -> Any:
    """Return the manifest of a participant with one handler of those annotations."""
    desk = Participant("desk", sagas=[lending])

    names = [name for name in kinds if name != "return"]
    scope: dict[str, Any] = {}
    exec(compile(f"def handle({', '.join(names)}): ...", __file__, "exec"), scope)
    handle = scope["handle"]
    handle.__annotations__ = kinds
    (declare or (lambda one, function: one.observer(function)))(desk, handle)
    return dataclasses.replace(manifest_of(desk, {}), origin="")


def as_action(desk: Participant, function: Any) -> None:
    desk.action(fails=Refused, kind="pivot", answer=lambda *_, reason: Refused("", reason))(function)


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_parameter_is_read_however_it_is_spelled(spell: Spelling) -> None:
    """An event, an earlier event, and the context."""
    plain = {"first": Earlier[Asked], "event": Reserved, "ctx": Context, "return": None}
    names = [name for name in plain if name != "return"]

    for name in names:
        assert declared({**plain, name: spell(plain[name])}) == declared(plain), name


@pytest.mark.parametrize("spelled", unions(Asked, Reserved).values(), ids=unions(Asked, Reserved))
def test_a_union_of_events_is_read_however_it_is_spelled(spelled: Any) -> None:
    """As what calls a handler, as `Earlier`, in ``on=``, as what is returned and in ``emits=``."""
    one_of = Asked | Reserved
    observer: dict[str, Any] = {"return": None}
    assert declared({"event": spelled, **observer}) == declared({"event": one_of, **observer})
    earlier = {"event": Lent, "first": Earlier[one_of], **observer}  # type: ignore[valid-type]
    assert declared({**earlier, "first": Earlier[spelled]}) == declared(earlier)
    assert declared({**earlier, "first": alias(Earlier[spelled])}) == declared(earlier)

    def on(condition: Any) -> Any:
        return declared({"ctx": Context, **observer}, lambda desk, f: desk.observer(on=condition)(f))

    assert on(spelled) == on(one_of)


@pytest.mark.parametrize("spelled", unions(Lent, Refused).values(), ids=unions(Lent, Refused))
def test_what_is_returned_is_read_however_it_is_spelled(spelled: Any) -> None:
    """By the annotation and by ``emits=``; None is refused in each."""
    plain = declared({"event": Asked, "return": Lent | Refused}, as_action)

    assert declared({"event": Asked, "return": spelled}, as_action) == plain
    for nothing in (Optional[spelled], Union[None, alias(spelled)], alias(Optional[spelled])):
        with pytest.raises(DeclarationError, match="may return None"):
            declared({"event": Asked, "return": nothing}, as_action)


def test_an_optional_earlier_event_is_optional_however_it_is_spelled() -> None:
    plain = declared({"event": Lent, "first": Optional[Earlier[Asked]], "return": None})

    for spelled in (Earlier[Asked] | None, alias(Earlier[Asked] | None), Union[alias(Earlier[Asked]), None]):
        assert declared({"event": Lent, "first": spelled, "return": None}) == plain


def test_an_alias_that_stands_for_itself_is_refused() -> None:
    """Where it is declared, instead of without end."""
    loop = type(
        "TypeAliasType", (), {"__value__": None, "__module__": __name__, "__hash__": object.__hash__}
    )()
    type(loop).__value__ = loop  # type: ignore[attr-defined]

    with pytest.raises(DeclarationError, match=r"'event': .* stands for itself \(hint: write out"):
        declared({"event": loop, "return": None})
    with pytest.raises(SchemaError, match=r"lend\.One\.x: .* stands for itself \(hint: write out"):
        schema_of(one(loop))


FIELDS = [
    str,
    int,
    datetime,
    bytes,
    Annotated[Decimal, DecimalOf(9, 2)],
    list[str],
    dict[str, int],
    str | None,
]


def one(kind: Any, **default: Any) -> type:
    return event(namespace="lend")(type("One", (), {"__annotations__": {"x": kind}, **default}))


def without_docs(cls: type) -> Any:
    schema = schema_of(cls)
    schema["fields"][0].pop("doc", None)
    return schema


@pytest.mark.parametrize(("kind", "name"), list(product(FIELDS, SPELLINGS)))
def test_a_field_has_one_schema_however_it_is_spelled(kind: Any, name: str) -> None:
    """Inside of lists, maps and optional fields too."""
    spelled = SPELLINGS[name](kind)

    assert without_docs(one(spelled)) == without_docs(one(kind))
    assert without_docs(one(list[spelled])) == without_docs(one(list[kind]))
    assert without_docs(one(dict[alias(str), spelled])) == without_docs(one(dict[str, kind]))  # type: ignore[misc]
    assert without_docs(one(Optional[spelled], x=None)) == without_docs(one(Optional[kind], x=None))


@pytest.mark.parametrize("name", SPELLINGS)
def test_an_answer_copies_a_field_however_it_is_spelled(name: str) -> None:
    """Both ways, and what the class's module can't resolve is not taken for another type."""
    for kind in FIELDS:
        plain = type("Plain", (), {"__annotations__": {"x": kind}})
        other = type("Other", (), {"__annotations__": {"x": SPELLINGS[name](kind)}})
        source, answer = event(namespace="lend")(plain), event(namespace="lend")(other)
        for made, given in ((source, answer), (answer, source)):
            assert build(made, [given("any")], "").x == "any"  # type: ignore[attr-defined]


Money = Annotated[Decimal, DecimalOf(20, 6)]


class Colour(Enum):
    RED = 1


Other = Enum("Colour", "RED")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (Colour, Other),
        (list[Colour], list[Other]),
        (Annotated[Decimal, DecimalOf(12, 4)], Annotated[Decimal, DecimalOf(12, 2)]),
        (Annotated[Decimal, DecimalOf(12, 2)], Annotated[Decimal, DecimalOf(9, 2)]),
        (str | None, str),
        (int, float),
        (list[int], list[str]),
        (list[str], tuple[str, ...]),
    ],
)
def test_an_answer_takes_no_field_of_another_type(given: Any, wanted: Any) -> None:
    """Where the types only look alike, the declaration asks for ``answer=``."""
    source = event(namespace="lend")(type("Given", (), {"__annotations__": {"x": given}}))
    answer = event(namespace="lend")(type("Wanted", (), {"__annotations__": {"x": wanted}}))

    with pytest.raises(DeclarationError, match=r"no field x of the same type \(hint: give answer="):
        build(answer, [source(None)], "")
    room = event(namespace="lend")(type("Room", (), {"__annotations__": {"x": Money}}))
    if given == Annotated[Decimal, DecimalOf(12, 4)]:
        assert build(room, [source(Decimal("1.5"))], "").x == Decimal("1.5")


def dataclasses_of(**options: Any) -> Iterator[Any]:
    """Return events of the fields shelf and pieces, decorated in each order, and what went wrong."""
    for make in (
        lambda cls: event(namespace="stock")(dataclass(**options)(cls)),
        lambda cls: dataclass(**options)(event(namespace="stock")(cls)),
    ):
        plain = type("Counted", (), {"__annotations__": {"shelf": str, "pieces": int}, "pieces": 0})
        try:
            yield make(plain)
        except (DeclarationError, TypeError) as error:  # the latter is dataclass's own, at the declaration
            yield error


FLAGS = ["frozen", "slots", "kw_only", "order", "eq"]


@pytest.mark.parametrize("values", list(product([True, False], repeat=len(FLAGS))))
def test_dataclass_and_event_together_make_an_event_or_are_refused(values: tuple[bool, ...]) -> None:
    """Both orders; where an event comes of it, it is frozen, has its schema, and comes back."""
    options = dict(zip(FLAGS, values, strict=True))
    if options["order"] and not options["eq"]:
        return
    plain = event(namespace="stock")(
        type("Counted", (), {"__annotations__": {"shelf": str, "pieces": int}, "pieces": 0})
    )
    for made in dataclasses_of(**options):
        if isinstance(made, Exception):
            assert isinstance(made, TypeError) or "@dataclass(frozen=True" in made.hint  # type: ignore[attr-defined]
            assert options["frozen"] == isinstance(made, TypeError)
            continue
        assert schema_of(made) == schema_of(plain)
        counted = made(shelf="a1", pieces=3)
        back = AvroCodec([made]).decode("stock.Counted", AvroCodec([made]).encode(counted))
        assert (back.shelf, back.pieces) == ("a1", 3)  # type: ignore[attr-defined]
        with pytest.raises(AttributeError):
            counted.shelf = "b"


def own_init(self: Any, x: int) -> None:
    self.x = x


def other_name(self: Any, y: int) -> None:
    object.__setattr__(self, "x", y)


def no_field(self: Any) -> None:
    object.__setattr__(self, "x", 1)


def sets_itself(self: Any) -> None:
    self.x = 5


class Plain:
    shelf: str


@dataclass
class Thawed:
    shelf: str


@pytest.mark.parametrize(
    ("bases", "body", "why", "hint"),
    [
        ((), {"__init__": own_init}, "__init__ assigns to self.x", "property"),
        ((), {"__init__": other_name}, "__init__ takes 'y', which is not a field", "leave __init__ out"),
        ((), {"__init__": no_field}, "__init__ takes no 'x'", "leave __init__ out"),
        ((), {"__post_init__": sets_itself}, "__post_init__ assigns to self.x", "property"),
        ((), {"x": dataclasses.field(init=False)}, "x has init=False", "property"),
        ((), {"__setattr__": own_init}, "__setattr__", "frozen dataclass"),
        ((Plain,), {}, "Plain.shelf would be no field", "decorate Plain"),
        ((Thawed,), {}, "cannot inherit frozen dataclass from a non-frozen one", "frozen"),
    ],
)
def test_a_class_that_could_not_be_made_again_is_refused(
    bases: tuple[type, ...], body: dict[str, Any], why: str, hint: str
) -> None:
    """At its declaration, with its place."""
    with pytest.raises(DeclarationError) as caught:
        event(namespace="stock")(type("Made", bases, {"__annotations__": {"x": int}, **body}))

    assert why in caught.value.message
    assert caught.value.message.startswith(f"{__name__}.Made")
    assert hint in caught.value.hint


def test_an_event_inherits_the_fields_of_another() -> None:
    """Of an event and of a frozen dataclass; it has a name of its own, and is no version of its base."""

    @dataclass(frozen=True)
    class Common:
        shelf: str

    @event(namespace="stock")
    class Counted(Common):
        pieces: int

    @event(namespace="stock")
    class Recounted(Counted):
        by: str

    codec = AvroCodec([Counted, Recounted])
    recounted = Recounted("a1", 3, "ada")
    assert codec.decode("stock.Recounted", codec.encode(recounted)) == recounted
    assert [each["name"] for each in schema_of(Recounted)["fields"]] == ["shelf", "pieces", "by"]


@pytest.mark.parametrize(
    ("aliases", "why"),
    [
        ("old", "a list of names"),
        ([5], "not an Avro name"),
        (["a-b"], "not an Avro name"),
        (["y"], "already"),
    ],
)
def test_an_alias_that_finds_no_field_is_refused(aliases: Any, why: str) -> None:
    body = {"__annotations__": {"x": int, "y": int}, "x": dataclasses.field(metadata={"aliases": aliases})}

    with pytest.raises(SchemaError, match=rf"stock\.Made\.x: .*{why}"):
        schema_of(event(namespace="stock")(type("Made", (), body)))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement is of Python 3.12")
def test_the_type_statement_is_read() -> None:
    """The aliases of the language, lazy and generic ones too."""
    scope: dict[str, Any] = dict(globals())
    lines = (
        "type Answer = Later | Refused\ntype Later = Lent\n"
        "type Several[T] = list[T]\ntype Many[T] = dict[str, Several[T]]"
    )
    exec(compile(lines, __file__, "exec"), scope)

    answer = declared({"event": Asked, "return": scope["Answer"]}, as_action)
    assert answer == declared({"event": Asked, "return": Lent | Refused}, as_action)
    assert schema_of(one(scope["Many"][int])) == schema_of(one(dict[str, list[int]]))


def test_aborted_is_admitted_however_it_is_spelled() -> None:
    desk = Participant("desk", sagas=[lending])

    @desk.compensation(of=lending.start)
    def undo(event: Annotated[alias(Lent | Aborted), "doc"], asked: alias(Asked)) -> Refused: ...  # type: ignore[valid-type]

    assert [each.admits_aborted for each in desk.handlers[0].parameters] == [True, False]
