"""What is not for the page is refused before anything else looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo.dashboard import guard
from choreo.dashboard.guard import LARGEST_FORM, LONGEST_ADDRESS
from tests.dashboard.asking import FORM, HERE, HOST, Answer, ask, post
from tests.dashboard.conftest import Page, page_of

TOKEN = "a token of this very page"
VIEWS = ("/", "/sagas", "/choreography", "/participants", "/letters", "/saga?id=o-1", "/letter?number=1")
GOOD_HOSTS = (
    "localhost",
    "localhost:1",
    "127.0.0.1",
    "127.0.0.1:9470",
    "[::1]:9470",
    "LOCALHOST",
    "127.9.9.9",
)
BAD_HOSTS = (
    "evil.example",
    "evil.example:9470",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "10.0.0.1",
    "169.254.169.254",
    "[fe80::1]",
    "localhost@evil.example",
    "evil.example#localhost",
    "",
    " ",
    "[::2",
    "0.0.0.0:9470",
)


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_names_of_the_loopback_are_known(page: Page, host: str) -> None:
    assert ask(page(), "/participants", host=host).status == 200


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_another_name_is_misdirected(ended_shop: Path, host: str) -> None:
    """So no name that somebody else points here is of use to him; neither for the script or the style."""
    page = page_of(ended_shop)
    for address in ("/", "/dashboard.js", "/changes", "/nothing"):
        assert ask(page, address, host=host).status == 421


def test_no_name_and_two_names_are_misdirected(ended_shop: Path) -> None:
    page = page_of(ended_shop)
    assert ask(page, "/", host=None).status == 421
    assert ask(page, "/", headers=[("host", "localhost")]).status == 421


def test_names_that_were_given_are_known(ended_shop: Path) -> None:
    """Addresses in numbers as well, where anybody may ask who knows the token."""
    page = page_of(ended_shop, hosts=["Ops.shop.example"], is_open=True)
    for host, status in {
        "ops.shop.example": 200,
        "10.0.0.7:9470": 200,
        "[fe80::1]": 200,
        "evil.example": 421,
    }.items():
        assert ask(page, "/participants", host=host).status == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"])
def test_other_methods_are_refused(ended_shop: Path, method: str) -> None:
    assert ask(page_of(ended_shop), "/", method=method, headers=HERE).status == 405


@pytest.mark.parametrize("address", [f"/{'a' * LONGEST_ADDRESS}", f"/?a={'b' * LONGEST_ADDRESS}"])
def test_a_long_address_is_refused(ended_shop: Path, address: str) -> None:
    assert ask(page_of(ended_shop), address).status == 414


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["..", "/", "\\", "%2e%2e", ".", "etc", "passwd", "dashboard.css", "\x00", "//", "é"]
        ),
        min_size=1,
        max_size=8,
    )
)
def test_no_path_leads_anywhere_else(ended_shop: Path, parts: list[str]) -> None:
    """There are the views and three files, whatever the path."""
    path = "/" + "".join(parts)
    answer = ask(page_of(ended_shop), path)
    assert answer.status == (200 if path in ("/", "/dashboard.css") else 404)
    assert "root:" not in answer.text


def every_answer(ended_shop: Path) -> list[Answer]:
    page, closed = page_of(ended_shop), page_of(ended_shop, token=TOKEN)
    found = [
        ask(page, each)
        for each in (*VIEWS, "/nothing", "/dashboard.css", "/dashboard.js", "/letter?number=x")
    ]
    found += [
        ask(page, "/", host="evil.example"),
        ask(page, "/", method="PUT"),
        ask(closed, "/"),
        ask(closed, "/changes"),
    ]
    return [*found, post(page, "/act", {}), ask(page, "/act", method="POST")]


def test_every_answer_is_guarded(ended_shop: Path) -> None:
    """Refusals and errors, too: no script but ours, no frame around, nothing kept, no type guessed."""
    for answer in every_answer(ended_shop):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert " style=" not in answer.text
        assert "javascript:" not in answer.text


ORIGINS: tuple[Mapping[str, str], ...] = (
    {},
    {"origin": "null"},
    {"origin": "http://evil.example"},
    {"origin": f"http://{HOST}.evil.example"},
    {"origin": "http://127.0.0.1:9471"},
    {"origin": f"http://{HOST}", "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"origin": "http://[", "sec-fetch-site": "same-origin"},
)


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_form_of_another_page_is_refused(page: Page, origin: Mapping[str, str]) -> None:
    """Even with the right token, and on whatever path."""
    asked = page()
    fields = ask(asked, "/act?verb=requeue&participant=payments&number=1").form
    body = urlencode({**fields, "who": "eve", "why": "because"}).encode()
    for address in ("/act", "/edit", "/enter", "/"):
        headers = {"content-type": FORM, **origin}
        assert ask(asked, address, method="POST", body=body, headers=headers).status == 403
    assert len(ask(asked, "/letters").text.split("#1<")) == 2


@pytest.mark.parametrize("token", ["", "wrong", "of another process"])
def test_a_form_without_this_process_token_is_refused(page: Page, token: str) -> None:
    asked, other = page(), page()
    fields = ask(other, "/act?verb=requeue&participant=payments&number=1").form
    if token != "of another process":
        fields["token"] = token
    assert post(asked, "/act", {**fields, "who": "eve", "why": "because"}).status == 403
    assert "#1<" in ask(asked, "/letters").text


def test_processes_that_share_a_secret_serve_one_page(page: Page) -> None:
    one, other = page(secret=b"x" * 32), page(secret=b"x" * 32)
    fields = ask(one, "/act?verb=requeue&participant=payments&number=1").form
    assert post(other, "/act", {**fields, "who": "eve", "why": "because"}).status == 200


@pytest.mark.parametrize("chunks", [1, 7])
def test_a_large_form_is_refused(page: Page, chunks: int) -> None:
    """By what comes, whatever its length was said to be."""
    part = b"a=" + b"b" * (LARGEST_FORM // chunks + 1)
    headers = {**HERE, "content-length": "3"}
    assert ask(page(), "/act", method="POST", body=[part] * chunks, headers=headers).status == 413


def test_a_form_that_does_not_come_is_not_waited_for(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.05)

    async def never() -> None:
        await asyncio.sleep(60)

    assert ask(page(), "/act", method="POST", headers=HERE, body=[b"a=b", never]).status == 408


def test_a_form_that_did_not_come_whole_changes_nothing(page: Page) -> None:
    """The connection ended within it: more would have come."""
    asked = page()
    fields = ask(asked, "/act?verb=requeue&participant=payments&number=1").form
    body = urlencode({**fields, "who": "eve", "why": "not"}).encode()
    assert ask(asked, "/act", method="POST", headers=HERE, body=[body, None]).status == 413
    assert "#1<" in ask(asked, "/letters").text


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("https://ops.shop.example", "ops.shop.example:443", 404),
        ("http://ops.shop.example", "ops.shop.example:80", 404),
        ("http://ops.shop.example:80", "ops.shop.example", 404),
        ("http://[::1]", "[::1]:80", 404),
        ("https://ops.shop.example", "ops.shop.example:80", 403),
        ("http://ops.shop.example", "ops.shop.example:443", 403),
        ("https://ops.shop.example:8443", "ops.shop.example:443", 403),
        ("ftp://ops.shop.example", "ops.shop.example:80", 403),
    ],
)
def test_a_port_that_goes_without_saying_is_none(page: Page, origin: str, host: str, status: int) -> None:
    """A proxy may write it where no browser does."""
    asked = page(hosts=["ops.shop.example"])
    token = ask(asked, "/act?verb=requeue&participant=payments&number=1").form["token"]
    headers = {"origin": origin}
    assert post(asked, "/nothing", {"token": token}, headers=headers, host=host).status == status


@pytest.mark.parametrize(
    "name", ["Ops.Shop.example", "ops.shop.example:8443", "[fd00::7]", "fd00::7", "[fd00::7]:1"]
)
def test_a_name_may_have_a_port_and_an_address_brackets(ended_shop: Path, name: str) -> None:
    """As browsers have them."""
    page = page_of(ended_shop, hosts=[name])
    host = "[fd00::7]:9470" if "fd00" in name else "ops.shop.example:9470"
    assert ask(page, "/participants", host=host).status == 200
    assert ask(page, "/participants", host="evil.example").status == 421
    assert ask(page, "/participants", host="").status == 421


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"a=b", "text/plain", 415),
        (b"a=b", "", 415),
        (b"\xff=b", FORM, 400),
        (b"a", FORM, 400),
        (b"token=a&token=b", FORM, 400),
        (b"&".join(b"a%d=b" % number for number in range(guard.MOST_FIELDS + 1)), FORM, 400),
    ],
)
def test_what_is_no_form_is_refused(page: Page, body: bytes, kind: str, status: int) -> None:
    headers = {**HERE, "content-type": kind}
    assert ask(page(), "/act", method="POST", body=body, headers=headers).status == status


def test_a_read_only_page_changes_nothing(page: Page) -> None:
    """It has no buttons for it, and refuses forms, even with the token of a page that shares its secret."""
    asked, other = page(read_only=True, secret=b"x" * 32), page(secret=b"x" * 32)
    fields = ask(other, "/act?verb=requeue&participant=payments&number=1").form
    for address in ("/act", "/edit", "/"):
        assert post(asked, address, {**fields, "who": "eve", "why": "because"}).status == 403
    for address in (*VIEWS, "/saga?id=o-11"):
        shown = ask(asked, address)
        assert shown.status == 200
        assert 'method="post"' not in shown.text
        assert not [each for each in shown.links if each.startswith(("/act", "/edit"))]
    assert ask(asked, "/act?verb=requeue&participant=payments&number=1").status == 404


def test_who_lacks_the_token_sees_nothing(ended_shop: Path) -> None:
    page = page_of(ended_shop, token=TOKEN)
    for address, known in product(
        (*VIEWS, "/changes"),
        ({}, {"authorization": "Bearer wrong"}, {"cookie": "choreo_dashboard_9470=wrong"}),
    ):
        answer = ask(page, address, headers=known)
        assert answer.status == 401
        assert "o-1" not in answer.text
    assert ask(page, "/dashboard.css").status == 200
    assert ask(page, "/participants", headers={"authorization": f"Bearer {TOKEN}"}).status == 200


def test_a_visitor_gives_the_token_once(ended_shop: Path) -> None:
    """Then a cookie says so that no script can read and no other site sends; it is not the token."""
    page = page_of(ended_shop, token=TOKEN)
    assert post(page, "/enter", {"token": "wrong"}).status == 401
    for entered in (
        post(page, "/enter", {"token": TOKEN}),
        ask(page, f"/enter?{urlencode({'token': TOKEN})}"),
    ):
        assert (entered.status, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"]
        assert "httponly" in cookie.lower()
        assert "samesite=strict" in cookie.lower()
        assert TOKEN not in cookie
        kept = cookie.partition(";")[0]
        assert ask(page, "/participants", headers={"cookie": f"a=b; {kept}"}).status == 200
        assert ask(page_of(ended_shop, token=TOKEN), "/", headers={"cookie": kept}).status == 401


def test_a_cookie_that_came_encrypted_goes_no_other_way(page: Page) -> None:
    """Behind a proxy only the browser knows it."""
    closed = page(token=TOKEN, hosts=["ops.shop.example"])
    given = {"headers": {"origin": "https://ops.shop.example"}, "host": "ops.shop.example"}
    assert "; Secure" in post(closed, "/enter", {"token": TOKEN}, **given).headers["set-cookie"]
    assert "; Secure" not in post(closed, "/enter", {"token": TOKEN}).headers["set-cookie"]


@pytest.mark.parametrize("root", ["/ops", "/my ops", "/opérations", "/操作"])
def test_cookies_are_of_where_the_page_is_mounted(page: Page, root: str) -> None:
    """As browsers write it: they compare it with the address."""
    closed, opened = page(token=TOKEN), page()
    entered = post(closed, "/enter", {"token": TOKEN}, root=root)
    form = ask(opened, "/act?verb=discard&participant=payments&number=1", root=root).form
    done = post(opened, "/act", {**form, "who": "eve", "why": "because"}, root=root)
    assert (entered.status, done.status) == (303, 200)
    for answer in (entered, done):
        assert f"Path={quote(root)};" in answer.headers["set-cookie"]
    assert entered.headers["location"] == f"{quote(root)}/"


OTHER_COOKIES = (
    'a={"x":1}',
    "x[y]=1",
    "alone",
    "n=\xe9",
    "a b=1",
    "=1",
    "t=12:00, x",
    '"',
    "choreo_dashboard_9470=of-another",
)


@pytest.mark.parametrize("other", OTHER_COOKIES)
def test_cookies_of_other_pages_are_in_nobodys_way(ended_shop: Path, other: str) -> None:
    """All pages of a host share them, whatever they are; also one of this name, for a shorter path."""
    page = page_of(ended_shop, token=TOKEN)
    kept = post(page, "/enter", {"token": TOKEN}).headers["set-cookie"].partition(";")[0]
    for cookies in (f"{other}; {kept}", f"{kept}; {other}", f"{kept};{other}"):
        assert ask(page, "/participants", headers={"cookie": cookies}).status == 200
    assert ask(page, "/participants", headers=[("cookie", other), ("cookie", kept)]).status == 200
    assert ask(page, "/participants", headers={"cookie": other}).status == 401


def test_without_a_token_there_is_none_to_give(ended_shop: Path) -> None:
    assert ask(page_of(ended_shop), "/enter?token=").status == 404
