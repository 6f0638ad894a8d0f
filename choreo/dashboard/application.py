"""``app``: the page as an ASGI application, for a server of its own or to be mounted in another one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from choreo.dashboard import deadlines
from choreo.dashboard.actions import act, offer
from choreo.dashboard.attention import attention
from choreo.dashboard.by_hand import by_hand, resolve
from choreo.dashboard.changes import MOST, Changes, mark_of
from choreo.dashboard.choreography import choreography
from choreo.dashboard.editing import editor, keep
from choreo.dashboard.element import element, joined
from choreo.dashboard.forms import given_in
from choreo.dashboard.frame import Body, framed, trouble
from choreo.dashboard.guard import (
    ENTER,
    Application,
    Guard,
    Refusal,
    Scope,
    cookie_name,
    fields_in,
    host_in,
    path_of,
)
from choreo.dashboard.letters import letter, letters
from choreo.dashboard.participants import participants
from choreo.dashboard.saga import saga
from choreo.dashboard.sagas import sagas
from choreo.dashboard.settings import Settings, is_same
from choreo.dashboard.stores import Shown, Stores
from choreo.dashboard.visit import Visit, root_of
from choreo.dashboard.what_if import run, what_if
from choreo.errors import ChoreoError, ConfigurationError, StoreError
from choreo.operations.settling import LONGEST_NAME
from choreo.project.choreography import choreography_known, targets_of
from choreo.render.style import BASE

if TYPE_CHECKING:
    from choreo.graph import SagaGraph

log = logging.getLogger("choreo.dashboard")

View = Callable[[Visit, Shown], Body]
Action = Callable[[Visit, Shown, Mapping[str, str]], Body]

_VIEWS: Final[Mapping[str, View]] = {
    "/": attention,
    "/sagas": sagas,
    "/saga": saga,
    "/letters": letters,
    "/letter": letter,
    "/choreography": choreography,
    "/participants": participants,
    "/what-if": what_if,
}
_OFFERS: Final[Mapping[str, tuple[View, Action]]] = {
    "/act": (offer, act),
    "/edit": (editor, keep),
    "/by-hand": (by_hand, resolve),
    "/deadline": (deadlines.offer, deadlines.act),
}
_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke="#1a5fd0" '
    'stroke-width="3">'
    '<path d="M7 9C16 9 16 23 25 23"/><circle cx="7" cy="9" r="4" fill="#1a5fd0"/>'
    '<circle cx="25" cy="23" r="4" fill="#1a7f4b" stroke="#1a7f4b"/></svg>'
)
_WHO: Final = "choreo_who"
_MONTH: Final = 30 * 86_400


def app(
    stores: str | Sequence[str],
    modules: Sequence[str] = (),
    *,
    schemas: str | Path = "schemas",
    read_only: bool = False,
    token: str = "",
    hosts: Sequence[str] = (),
    is_open: bool = False,
    secret: bytes | None = None,
    stopping: Event | None = None,
) -> Application:
    """Return the page as an ASGI application.

    ``stores`` are as ``--store`` names them, ``modules`` those of the choreography, by default the project's.
    ``hosts`` are the names by which browsers call it, besides those of the loopback; with ``is_open``, also
    any address in numbers. Without a ``token`` it asks nobody who he is: mount it behind your own
    authentication. Give the same ``secret`` to all processes that serve one page. ``stopping`` ends the
    streams once it is set.
    """
    settings = Settings(
        (stores,) if isinstance(stores, str) else tuple(stores),
        graphs_of(modules),
        Path(schemas),
        read_only,
        token,
        frozenset(filter(None, map(_name_in, hosts))),
        is_open,
        secret or os.urandom(32),
        stopping or Event(),
        targets_of(modules),
    )
    return Guard(_routes(settings), settings, partial(_refused, settings))


def _name_in(host: str) -> str:
    """Return a name of the page as `host_in` has it; an address of IPv6 may stand without its brackets."""
    return host.lower() if host.count(":") > 1 and not host.startswith("[") else host_in(host)


def graphs_of(modules: Sequence[str]) -> dict[str, list[SagaGraph]]:
    """Return the graphs of a choreography by saga type, oldest versions first; none where it isn't known."""
    found = choreography_known(tuple(modules))
    graphs: dict[str, list[SagaGraph]] = {}
    for graph in found.graphs if found else ():
        graphs.setdefault(graph.name, []).append(graph)
    return graphs


class _Site(NamedTuple):
    """What all pages of one application share."""

    settings: Settings
    stores: Stores


def _routes(settings: Settings) -> Starlette:
    site = _Site(settings, Stores(settings))
    changes = Changes(settings, site.stores)
    style = BASE + (files("choreo.dashboard") / "dashboard.css").read_text()
    script = (files("choreo.dashboard") / "dashboard.js").read_text()
    routes = [
        Route("/dashboard.css", _file(style, "text/css"), methods=["GET"]),
        Route("/dashboard.js", _file(script, "text/javascript"), methods=["GET"]),
        Route("/dashboard.svg", _file(_ICON, "image/svg+xml"), methods=["GET"]),
        Route("/changes", _stream(changes), methods=["GET"]),
        *(Route(path, _view(site, view), methods=["GET"]) for path, view in _VIEWS.items()),
    ]
    for path, (view, action) in _OFFERS.items():
        if not settings.read_only:
            routes.append(Route(path, _view(site, view), methods=["GET"]))
            routes.append(Route(path, _action(site, action), methods=["POST"]))
    if not settings.read_only:
        routes.append(Route("/what-if", _action(site, run), methods=["POST"]))
    if settings.token:
        routes.append(Route(ENTER, _enter(settings), methods=["GET", "POST"]))
    handlers: Any = {404: partial(_not_there, settings), 405: partial(_not_so, settings)}
    found = Starlette(routes=routes, exception_handlers=handlers)
    found.router.redirect_slashes = False
    return found


def _file(text: str, kind: str) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        return Response(text, media_type=kind)

    return answer


class _Stream(StreamingResponse):
    """A stream of changes; it counts until it has ended, in whatever way."""

    def __init__(self, changes: Changes, known: str) -> None:
        super().__init__(changes.stream(known), media_type="text/event-stream")
        self._changes = changes
        changes.streams += 1

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._changes.streams -= 1


def _stream(changes: Changes) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        if changes.streams >= MOST:
            return Response("too many streams", 503, headers={"retry-after": "30"})
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        known = request.headers.get("last-event-id") or request.query_params.get("since", "")
        return _Stream(changes, known)

    return answer


def _view(site: _Site, view: View) -> Callable[[Request], Any]:
    def answer(request: Request) -> Response:
        return _page(site, request, view)

    return answer


def _action(site: _Site, action: Action) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        fields = given_in(fields_in(await request.body()) or {})

        def act(visit: Visit, shown: Shown) -> Body:
            return action(visit, shown, fields)

        response: Response = await run_in_threadpool(_page, site, request, act)
        who = fields.get("who", "").strip()
        if who and len(who) <= LONGEST_NAME:
            secure = _is_encrypted(request)
            path = _cookie_path(request)
            response.set_cookie(
                _WHO, _packed(who), _MONTH, path=path, httponly=True, samesite="strict", secure=secure
            )
        return response

    return answer


def _cookie_path(request: Request) -> str:
    """Return the path of this page's cookies; one that a cookie could not hold is the path of all."""
    root = root_of(request)
    return root if root and ";" not in root else "/"


def _is_encrypted(request: Request) -> bool:
    """Whether a browser sees the page encrypted, as by a proxy in front of it, as far as it says."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")


def _packed(text: str) -> str:
    return text.encode().hex()


def _unpacked(text: str) -> str:
    try:
        return bytes.fromhex(text).decode()[:LONGEST_NAME]
    except ValueError:
        return ""


def _visit(settings: Settings, request: Request) -> Visit:
    return Visit(settings, request, path_of(request.scope), _unpacked(request.cookies.get(_WHO, "")))


def _page(site: _Site, request: Request, view: View) -> Response:
    """Return a view as a page; an error is a page as well, which says what to do."""
    visit = _visit(site.settings, request)
    try:
        body, shown, mark = _made(site.stores, visit, view, is_again=request.method != "POST")
        return HTMLResponse(framed(visit, body, shown.away, shown.now, mark), body.status)
    except ChoreoError as error:
        body = _explained(error)
    except Exception:
        log.exception("a page could not be made: %s", visit.path)
        body = trouble(
            "This page could not be made", ConfigurationError("something went wrong: see the log"), 500
        )
    return HTMLResponse(framed(visit, body), body.status)


def _made(stores: Stores, visit: Visit, view: View, *, is_again: bool) -> tuple[Body, Shown, str]:
    """Return a view, and the mark of what it shows.

    Where one store can't be read, it is made again without that one, if it may be.
    """
    broken: dict[str, ChoreoError] = {}
    while True:
        with stores.open(broken) as shown:
            mark = ""
            try:
                mark = mark_of(shown)
                return view(visit, shown), shown, mark
            except ChoreoError as error:
                blamed = _blamed(error.message, [each.path for each in shown.read])
                if not isinstance(error, StoreError) or not blamed or not is_again:
                    return _explained(error), shown, mark
                broken.update(dict.fromkeys(blamed, error))


def _blamed(message: str, paths: Sequence[str]) -> list[str]:
    """Return the paths that a message names; one that is a part of another one is looked for behind it."""
    found = []
    for path in sorted(paths, key=len, reverse=True):
        if path in message:
            found.append(path)
            message = message.replace(path, "")
    return found


def _explained(error: ChoreoError) -> Body:
    if isinstance(error, StoreError):
        return trouble("A store can’t be used", error, 503)
    return trouble("That can’t be shown", error, 404)


def _not_there(settings: Settings, request: Request, error: Exception) -> Response:
    missing = ConfigurationError("there is no such page", hint="the views are above")
    return HTMLResponse(framed(_visit(settings, request), trouble("Not found", missing, 404)), 404)


def _not_so(settings: Settings, request: Request, error: Exception) -> Response:
    wrong = ConfigurationError("this page is only read", hint="changes are made by forms")
    return HTMLResponse(framed(_visit(settings, request), trouble("Not allowed", wrong, 405)), 405)


def _refused(settings: Settings, scope: Scope, refusal: Refusal) -> Application:
    """Return the answer to a refused request; who lacks the token is asked for it."""
    if refusal.status == 401 and path_of(scope) != "/changes":
        visit = _visit(settings, Request(scope))
        return HTMLResponse(framed(visit, _asked_for_token(visit)), 401, {"www-authenticate": "Bearer"})
    return Response(f"{refusal.text}\n", refusal.status, media_type="text/plain")


def _asked_for_token(visit: Visit, problem: str = "") -> Body:
    form = element(
        "form",
        element(
            "label",
            element("span", "Token"),
            element("input", type="password", name="token", required=True, autocomplete="current-password"),
        ),
        element("div", element("button", "Enter", class_="button"), class_="buttons"),
        method="post",
        action=visit.url(ENTER),
        class_="act card",
    )
    note = element("p", problem, class_="note bad", role="alert") if problem else None
    told = element(
        "p",
        "It was chosen when this page was started: ",
        element("code", "--token"),
        ", or ",
        element("code", "CHOREO_TOKEN"),
        ".",
    )
    return Body("Who are you?", joined(element("h1", "Who are you?"), note, told, form), 401)


def _enter(settings: Settings) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        visit = _visit(settings, request)
        given = request.query_params if request.method == "GET" else fields_in(await request.body()) or {}
        if not is_same(given.get("token", ""), settings.token):
            problem = "That is not the token." if given.get("token") else ""
            return HTMLResponse(framed(visit, _asked_for_token(visit, problem)), 401)
        response = RedirectResponse(visit.url("/"), 303)
        response.set_cookie(
            cookie_name(request.scope),
            settings.visit_token,
            path=_cookie_path(request),
            httponly=True,
            samesite="strict",
            secure=_is_encrypted(request),
        )
        return response

    return answer
