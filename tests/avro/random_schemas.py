"""Random Avro schemas, readers that have drifted from them, and values that touch every part of a schema."""

from __future__ import annotations

import copy
from itertools import count
from random import Random
from typing import Any

Json = Any

PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
SAMPLES: dict[str, list[Any]] = {
    "null": [None],
    "boolean": [True],
    "int": [-7],
    "long": [2**40],
    "float": [0.5],
    "double": [0.25],
    "bytes": [b"a", b"\xff\xfe"],
    "string": ["ü"],
}


class Schemas:
    """Makes schemas by a seed: records of a few fields, whose types nest a little."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._names = (f"T{number}" for number in count())

    def record(self, depth: int = 2) -> Json:
        """Make a record; every named type in it has a name of its own."""
        fields = [self._field(f"f{number}", depth) for number in range(self._chance.randint(1, 4))]
        return {"type": "record", "name": next(self._names), "fields": fields}

    def drifted(self, schema: Json) -> Json:
        """Return a reader's version of a schema: the same with one or a few changes."""
        reader = copy.deepcopy(schema)
        for _ in range(self._chance.randint(1, 3)):
            reader = self._changed(reader)
        return reader

    def _field(self, name: str, depth: int) -> Json:
        made = {"name": name, "type": self._type(depth)}
        if self._chance.random() < 0.3:
            made["default"] = default_of(made["type"])
        return made

    def _type(self, depth: int) -> Json:
        forms = ["primitive"] * 3 + ["enum", "fixed", "union"] + ["array", "map", "record"] * (depth > 0)
        return getattr(self, f"_{self._chance.choice(forms)}")(depth - 1)

    def _primitive(self, depth: int) -> Json:
        del depth
        return self._chance.choice(PRIMITIVES)

    def _enum(self, depth: int) -> Json:
        del depth
        symbols = self._chance.sample(["A", "B", "C", "D"], self._chance.randint(1, 3))
        made = {"type": "enum", "name": next(self._names), "symbols": symbols}
        if self._chance.random() < 0.4:
            made["default"] = symbols[0]
        return made

    def _fixed(self, depth: int) -> Json:
        del depth
        return {"type": "fixed", "name": next(self._names), "size": self._chance.randint(1, 3)}

    def _array(self, depth: int) -> Json:
        items = self._type(depth)
        while fewest(items) == 0:
            items = self._type(depth)
        return {"type": "array", "items": items}

    def _map(self, depth: int) -> Json:
        return {"type": "map", "values": self._type(depth)}

    def _record(self, depth: int) -> Json:
        return self.record(depth)

    def _union(self, depth: int) -> Json:
        branches: list[Json] = []
        for _ in range(self._chance.randint(1, 4)):
            branch = self._type(min(depth, 0))
            taken = {_branch(each) for each in branches}
            if not isinstance(branch, list) and (_branch(branch) not in taken or "name" in branch):
                branches.append(branch)
        return branches or ["null"]

    def _changed(self, schema: Json) -> Json:
        """Change one place of a schema, chosen by walking down at random."""
        inner = _inner(schema)
        if inner and self._chance.random() < 0.75:
            holder, key = self._chance.choice(inner)
            changed = self._changed(holder[key])
            while isinstance(holder, list) and isinstance(changed, list):
                changed = changed[0]  # a union holds no union
            holder[key] = changed
            _mend_default(holder)
            return schema
        kind = schema["type"] if isinstance(schema, dict) else "union" if isinstance(schema, list) else schema
        change = getattr(self, f"_change_{kind}", self._change_other)
        return change(schema)

    def _change_record(self, schema: Json) -> Json:
        fields = schema["fields"]
        match self._chance.randrange(5):
            case 0:
                fields.append(self._field(f"g{len(fields)}", 1))
            case 1 if len(fields) > 1:
                fields.pop(self._chance.randrange(len(fields)))
            case 2:
                self._chance.shuffle(fields)
            case 3:
                field = self._chance.choice(fields)
                field["aliases"], field["name"] = [field["name"]], f"h{field['name']}"
            case 4:
                self._rename(schema)
        return schema

    def _change_enum(self, schema: Json) -> Json:
        symbols = schema["symbols"]
        match self._chance.randrange(4):
            case 0:
                symbols.append(next(name for name in "NOPQ" if name not in symbols))
            case 1 if len(symbols) > 1:
                symbols.remove(self._chance.choice(symbols))
            case 2:
                self._rename(schema)
        if schema.get("default") not in symbols:
            schema.pop("default", None)
        return schema

    def _change_fixed(self, schema: Json) -> Json:
        if self._chance.random() < 0.5:
            schema["size"] += 1
        else:
            self._rename(schema)
        return schema

    def _rename(self, schema: Json) -> None:
        old, schema["name"] = schema["name"], next(self._names)
        if self._chance.random() < 0.5:
            schema["aliases"] = [old]

    def _change_union(self, schema: Json) -> Json:
        if len(schema) > 1 and self._chance.random() < 0.5:
            schema.pop(self._chance.randrange(len(schema)))
            return schema if self._chance.random() < 0.7 else schema[0]
        self._chance.shuffle(schema)
        return schema

    def _change_other(self, schema: Json) -> Json:
        match self._chance.randrange(3):
            case 0 if isinstance(schema, str):
                return self._chance.choice(PRIMITIVES)
            case 1:
                return (
                    [schema]
                    if schema == "null"
                    else self._chance.choice([["null", schema], [schema, "null"]])
                )
        return self._type(1)


def default_of(schema: Json) -> Json:
    """Return a default that a field of this type may have, as JSON writes it."""
    if isinstance(schema, list):
        return default_of(schema[0])
    if isinstance(schema, str):
        return {"null": None, "boolean": False, "bytes": "", "string": ""}.get(schema, 0)
    match schema["type"]:
        case "enum":
            return schema["symbols"][0]
        case "fixed":
            return "\u0000" * schema["size"]
        case "array":
            return []
        case "map":
            return {}
    return {field["name"]: default_of(field["type"]) for field in schema["fields"]}


def values_of(schema: Json) -> list[Any]:
    """Return values that together take every branch of a union, every symbol, and items in what holds any."""
    if isinstance(schema, list):
        return [_in_union(branch, value) for branch in schema for value in values_of(branch)]
    if isinstance(schema, str):
        return SAMPLES[schema]
    match schema["type"]:
        case "enum":
            return list(schema["symbols"])
        case "fixed":
            return [b"\xff" * schema["size"]]
        case "array":
            return [values_of(schema["items"])]
        case "map":
            return [{f"k{number}": value for number, value in enumerate(values_of(schema["values"]))}]
    columns = {field["name"]: values_of(field["type"]) for field in schema["fields"]}
    rows = max(map(len, columns.values()))
    return [{name: column[row % len(column)] for name, column in columns.items()} for row in range(rows)]


def fewest(schema: Json) -> int:
    """Return the fewest bytes that a value takes, 0 or 1: items of no bytes are refused."""
    if isinstance(schema, dict) and schema["type"] == "record":
        return max(fewest(field["type"]) for field in schema["fields"])
    return 0 if schema == "null" else 1


def _in_union(branch: Json, value: Any) -> Any:
    return (branch["name"], value) if isinstance(branch, dict) and "name" in branch else value


def _branch(schema: Json) -> str:
    return schema if isinstance(schema, str) else str(schema["type"])


def _inner(schema: Json) -> list[tuple[Any, Any]]:
    """Return the places within a schema where another one stands."""
    if isinstance(schema, list):
        return [(schema, number) for number, branch in enumerate(schema) if isinstance(branch, dict)]
    if not isinstance(schema, dict):
        return []
    if schema["type"] == "record":
        return [(field, "type") for field in schema["fields"]]
    return [(schema, key) for key in ("items", "values") if key in schema]


def _mend_default(holder: Any) -> None:
    if isinstance(holder, dict) and "default" in holder and "name" in holder and "symbols" not in holder:
        holder["default"] = default_of(holder["type"])
