"""``Visit``: one request, and the addresses of this page as seen from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from choreo.dashboard.element import Child, Html, element
from choreo.dashboard.settings import Settings

if TYPE_CHECKING:
    from starlette.requests import Request


def root_of(request: Request) -> str:
    """Return where this page is mounted, as browsers write it: without a last slash."""
    return quote(str(request.scope.get("root_path") or "").rstrip("/"), safe="/!$&'()*+,;=:@")


class Visit:
    """One request: what it asks for, by whom, and how the addresses begin that it may go on to."""

    def __init__(self, settings: Settings, request: Request, path: str, who: str) -> None:
        self.settings = settings
        self.path = path
        self.query: Mapping[str, str] = request.query_params
        self.who = who
        self._root = root_of(request)

    def url(self, path: str, /, **query: str | int) -> str:
        """Return an address of this page; what is empty is left out.

        A name that is Python's own ends with an underscore, which is left out.
        """
        given = {name.rstrip("_"): value for name, value in query.items() if value not in ("", 0)}
        asked = urlencode(given, errors="replace")
        return f"{self._root}{path}{'?' if asked else ''}{asked}"

    def again(self, /, **changed: str | int) -> str:
        """Return this very address with some of its query changed."""
        return self.url(self.path, **{**self.query, **changed})

    def link(self, text: Child, path: str, /, *, class_: str | None = None, **query: str | int) -> Html:
        """Return a link to another address of this page."""
        return element("a", text, href=self.url(path, **query), class_=class_)

    def saga(self, saga_id: str, saga_type: str, text: Child = None) -> Html:
        """Return a link to a saga."""
        return self.link(text or saga_id or "…", "/saga", type_=saga_type, id_=saga_id, class_="saga")
