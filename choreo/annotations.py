"""Annotations as if they were written out, without the aliases and the metadata around their types.

Known are ``Annotated``, ``NewType``, and the aliases of Python 3.12's ``type`` statement and of
``typing_extensions.TypeAliasType``, with parameters too; a plain ``X = A | B`` needs nothing.
"""

from __future__ import annotations

import sys
import types
import typing
from typing import Annotated, Any, NewType, Union, get_args, get_origin

MAX_LAYERS = 64
"""The number of aliases and unions around a type beyond which an alias stands for itself."""


def written_out(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the type that an annotation stands for, and all metadata of ``Annotated`` around it.

    The members of a union and the arguments of a generic type stay as they are. Raises `TypeError` for an
    alias that stands for itself, `NameError` for one whose names can't be found.

    >>> from typing import Annotated, NewType
    >>> written_out(Annotated[NewType("Sku", Annotated[str, "as printed"]), "of an item"])
    (<class 'str'>, ('as printed', 'of an item'))
    """
    metadata: tuple[Any, ...] = ()
    for _ in range(MAX_LAYERS):
        if get_origin(annotation) is Annotated:
            metadata = (*annotation.__metadata__, *metadata)
            annotation = annotation.__origin__
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif _is_alias(annotation):
            annotation = _value(annotation)
        elif _is_alias(get_origin(annotation)):
            annotation = _with_arguments(get_origin(annotation), get_args(annotation))
        else:
            return annotation, metadata
    raise TypeError(f"{annotation} stands for itself")


def members(annotation: Any, layers: int = MAX_LAYERS) -> list[tuple[Any, tuple[Any, ...]]]:
    """Return the types that an annotation admits, those of nested unions too, each with its metadata.

    Raises as `written_out` does.

    >>> members(int | Annotated[str | None, "doc"])
    [(<class 'int'>, ()), (<class 'str'>, ('doc',)), (<class 'NoneType'>, ('doc',))]
    """
    bare, metadata = written_out(annotation)
    if get_origin(bare) not in (Union, types.UnionType):
        return [(type(None) if bare is None else bare, metadata)]
    if not layers:
        raise TypeError(f"{annotation} stands for itself")
    found: list[tuple[Any, tuple[Any, ...]]] = []
    for each in get_args(bare):
        pairs = [(member, (*inner, *metadata)) for member, inner in members(each, layers - 1)]
        found += [pair for pair in pairs if pair not in found]
    return found


def _is_alias(annotation: Any) -> bool:
    return type(annotation).__name__ == "TypeAliasType"


def _value(alias: Any) -> Any:
    """Return what an alias stands for, also where it is written as a string."""
    value = alias.__value__
    if not isinstance(value, str | typing.ForwardRef):
        return value
    module = sys.modules.get(alias.__module__)
    holder = type("holder", (), {"__annotations__": {"value": value}})
    names = vars(module) if module else {}
    return typing.get_type_hints(holder, names, names, include_extras=True)["value"]


def _with_arguments(alias: Any, arguments: tuple[Any, ...]) -> Any:
    """Return what ``alias[arguments]`` stands for."""
    value, parameters = _value(alias), alias.__type_params__
    if value in parameters:
        return arguments[parameters.index(value)]
    given = dict(zip(parameters, arguments, strict=True))
    wanted = getattr(value, "__parameters__", ())
    return value[tuple(given[each] for each in wanted)] if wanted else value
