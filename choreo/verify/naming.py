"""Names for what a mend adds: a class for an event, a parameter for what it takes."""

from __future__ import annotations

import re


def class_name(function: str) -> str:
    """Give the name of a class as a function's name would be written there.

    >>> class_name("reserve_stock")
    'ReserveStock'
    """
    return "".join(part.capitalize() for part in function.split("_"))


def participle(event: str) -> str:
    """Give a parameter's name for an event: its last word, mostly a participle.

    >>> participle("InventoryReserved")
    'reserved'
    """
    words = re.findall(r"[A-Z][a-z0-9]*", event)
    return words[-1].lower() if words else "done"


def lines_of_class(name: str, like: str) -> tuple[str, ...]:
    """Give the declaration of a new event, in the namespace of another one."""
    namespace = like.rpartition(".")[0]
    options = f'(namespace="{namespace}")' if namespace else ""
    return (f"@event{options}", f"class {name}:", '    """Undone; give it the fields that you need."""', "")
