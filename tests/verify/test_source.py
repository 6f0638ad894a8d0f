"""The bodies of handlers: what is found in them, through which functions, and what is not."""

from __future__ import annotations

from textwrap import dedent

import pytest

from choreo.errors import ConfigurationError
from choreo.manifest.manifest import Remark
from choreo.verify.source import RegisteredHandler, Source, examine
from choreo.verify.source.suppressions import comments

CONTRACT = """
from choreo import event

@event(namespace="shop")
class Asked:
    n: int

@event(namespace="shop")
class Done:
    n: int

    @classmethod
    def of(cls, asked):
        return cls(asked.n)

@event(namespace="shop")
class Failed:
    reason: str
"""
EVENTS = {f"shop.contract.{name}": f"shop.{name}" for name in ("Asked", "Done", "Failed")}
HEAD = """
from choreo import Context, Participant
from .contract import Asked, Done, Failed
payments = Participant("payments", sagas=[])
"""


def look(
    body: str, *, head: str = "", inside: bool = True, task: str = "action", **others: str
) -> list[Remark]:
    """Look at one handler, ``charge``, whose module is ``shop.payments``; ``others`` are modules beside
    it."""
    text = HEAD + dedent(head) + "\n" + dedent(body)
    line = text[: text.index("@payments.")].count("\n") + 1
    emits = () if task == "observer" else ("shop.Done", "shop.Failed")
    subject = RegisteredHandler("payments.charge", task, "shop.payments", line, inside, emits, emits[1:])
    sources = [
        Source("shop.payments", "shop/payments.py", text),
        Source("shop.contract", "shop/contract.py", CONTRACT),
        *(Source(f"shop.{name}", f"shop/{name}.py", dedent(source)) for name, source in others.items()),
    ]
    return list(examine({source.module: source for source in sources}, [subject], EVENTS).remarks)


def rules(remarks: list[Remark]) -> list[str]:
    return [remark.rule for remark in remarks]


GOOD = "@payments.action\ndef charge(event: Asked, ctx: Context) -> Done:\n    {}\n    return Done(1)\n"


@pytest.mark.parametrize(
    ("head", "call", "origin"),
    [
        ("import requests", "requests.post('u')", "requests.post"),
        ("import requests as web", "web.get('u')", "requests.get"),
        ("from requests import post as send", "send('u')", "requests.post"),
        ("import requests\nsession = requests.Session()", "session.put('u')", "requests.Session().put"),
        ("import httpx", "httpx.Client().send(1)", "httpx.Client().send"),
        ("import httpx", "with httpx.Client() as c: c.get('u')", "httpx.Client().get"),
        ("import httpx", "c = httpx.Client(); c.get('u')", "httpx.Client().get"),
        ("from urllib.request import urlopen", "urlopen('u')", "urllib.request.urlopen"),
        ("import time", "time.sleep(1)", "time.sleep"),
        ("import subprocess", "subprocess.run(['x'])", "subprocess.run"),
        ("", "open('f', 'w')", "open"),
        ("", "open('f', mode='ab')", "open"),
        ("from pathlib import Path", "Path('f').write_text('x')", "pathlib.Path().write_text"),
        ("from pathlib import Path", "Path('f').open('w')", "pathlib.Path().open"),
        ("", "ctx.db.commit()", "choreo.Context().db.commit"),
        ("", "ctx.db.conn.rollback()", "choreo.Context().db.conn.rollback"),
        ("", "with payments.transaction() as tx: tx.start(event)", "choreo.Participant().transaction"),
        (
            "from confluent_kafka import Producer\nproducer = Producer({})",
            "producer.produce('t', b'x')",
            "confluent_kafka.Producer().produce",
        ),
        ("import sqlite3", "sqlite3.connect('other.db')", "sqlite3.connect"),
        ("import smtplib", "smtplib.SMTP('h').sendmail(1)", "smtplib.SMTP().sendmail"),
        (
            "from concurrent.futures import ThreadPoolExecutor\nimport requests\npool = ThreadPoolExecutor()",
            "pool.submit(requests.post, 'u')",
            "concurrent.futures.ThreadPoolExecutor().submit",
        ),
        ("import requests\ndef cast(f, u): return f(u)", "cast(requests.post, 'u')", "requests.post"),
    ],
)
def test_an_effect_outside_of_the_transaction_is_found(head: str, call: str, origin: str) -> None:
    """However it was imported, and through whichever object."""
    (remark,) = look(GOOD.format(call), head=head)

    assert (remark.rule, remark.handler, remark.about) == ("CHO605", "payments.charge", origin)
    assert remark.where.text == call


@pytest.mark.parametrize(
    ("head", "call"),
    [
        ("", "open('f')"),
        ("", "open('f', 'rb')"),
        ("from pathlib import Path", "Path('f').read_text()"),
        ("import requests", "requests.Request('u')"),
        ("import requests", "requests.codes.ok"),
        ("", "ctx.db.execute('select 1')"),
        ("", "ctx.log.info('x')"),
        ("class requests:\n    def post(x): return 1\n", "requests.post(1)"),
        ("import json", "json.dumps({})"),
        ("import os", "os.path.join('a', 'b')"),
        ("import time", "time.strftime('%Y')"),
        ("import logging\nlog = logging.getLogger()", "log.info('x')"),
        ("import requests", "def later(): requests.post('u')"),
        ("import sqlite_utils", "isinstance(ctx.db, sqlite_utils.Database)"),
        ("from sqlite_utils import Database", "assert issubclass(type(ctx.db), Database)"),
        ("import typing\nfrom sqlite_utils import Database", "typing.cast(Database, ctx.db).execute('x')"),
        ("from typing import cast\nfrom sqlite_utils import Database", "db = cast(Database, ctx.db)"),
        ("import requests", "hasattr(requests.post, 'x') or print(requests.post)"),
    ],
)
def test_what_stays_inside_is_left_alone(head: str, call: str) -> None:
    """Reading, the transaction's own database, names that only look alike, functions that nobody calls."""
    assert look(GOOD.format(call), head=head) == []


def test_an_effect_is_followed_through_the_functions_of_the_project() -> None:
    """With the chain that leads there, line by line."""
    gateway = """
        import requests
        from .wire import send

        class Gateway:
            def __init__(self):
                self.session = requests.Session()

            def charge(self, n):
                return self._post(n)

            def _post(self, n):
                send(n)
        gateway = Gateway()
    """
    wire = """
        import httpx
        client = httpx.Client()

        def send(n):
            client.post("https://bank.example", json=n)
    """
    body = GOOD.format("gateway.charge(1)")
    (remark,) = look(body, head="from .gateway import gateway", gateway=gateway, wire=wire)

    assert remark.about == "httpx.Client().post"
    assert remark.where.place.startswith("shop/payments.py:")
    assert [link.text for link in (remark.where, *remark.chain)] == [
        "gateway.charge(1)",
        "return self._post(n)",
        "send(n)",
        'client.post("https://bank.example", json=n)',
    ]
    assert remark.chain[-1].place == "shop/wire.py:6"


def test_an_attribute_that_a_class_sets_on_itself_is_known() -> None:
    """``self.session = requests.Session()``."""
    gateway = """
        import requests
        class Gateway:
            def __init__(self):
                self.session = requests.Session()
            def charge(self, n):
                self.session.post("u")
    """
    (remark,) = look(
        GOOD.format("Gateway().charge(1)"), head="from shop.gateway import Gateway", gateway=gateway
    )

    assert remark.about == "requests.Session().post"


def test_what_runs_outside_may_have_effects() -> None:
    """``async def`` and ``blocking=True`` are for that."""
    assert look(GOOD.format("requests.post('u')"), head="import requests", inside=False) == []


@pytest.mark.parametrize(
    ("head", "call"),
    [
        ("from datetime import datetime", "datetime.now()"),
        ("import datetime", "datetime.datetime.utcnow()"),
        ("from datetime import date", "date.today()"),
        ("import time", "time.time()"),
        ("import random", "random.choice([1])"),
        ("import uuid", "uuid.uuid4()"),
        ("from uuid import uuid4", "str(uuid4())"),
        ("import secrets", "secrets.token_hex()"),
        ("import os", "os.urandom(8)"),
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_clock_and_chance_are_found_wherever_a_handler_runs(head: str, call: str, inside: bool) -> None:
    """A repeated attempt, or a replay, would do something else."""
    (remark,) = look(GOOD.format(f"x = {call}"), head=head, inside=inside)

    assert remark.rule == "CHO606"


def test_chance_with_a_seed_is_no_chance() -> None:
    """``random.Random(ctx.idempotency_key)`` gives the same each time."""
    body = GOOD.format("x = random.Random(ctx.idempotency_key).random()")

    assert look(body, head="import random") == []


def test_several_effects_of_one_handler_are_one_finding() -> None:
    """The nearest is its place, the others stand beside it."""
    body = GOOD.format("requests.get('a'); time.sleep(1)")
    (remark,) = look(body, head="import requests, time")

    assert remark.about == "requests.get"
    assert [link.text for link in remark.chain] == ["and time.sleep"]


def returning(*lines: str) -> str:
    body = "\n".join(f"    {line}" for line in lines)
    return f"@payments.action\ndef charge(event: Asked, ctx: Context) -> Done | Failed:\n{body}\n"


@pytest.mark.parametrize(
    "lines",
    [
        ["return Done(1)"],
        ["return Done.of(event)"],
        ["x = Done(1)", "return x"],
        ["return Done(1) if event.n else Failed('x')"],
        ["return make(event)"],
        ["return (done := Done(1))"],
        ["import dataclasses", "return dataclasses.replace(Done(1), n=2)"],
        ["def inner(): return Done(1)", "return inner()"],
        ["if event.n:", "    return Done(1)", "raise ValueError"],
        ["try:", "    return Done(1)", "except KeyError:", "    return Failed('x')"],
        ["match event.n:", "    case 1:", "        return Done(1)", "return Failed('x')"],
        ["return opaque(event)"],
    ],
)
def test_what_is_declared_may_be_returned(lines: list[str]) -> None:
    """Built here, kept in a name, made by a function of the project, or vouched for by its annotation."""
    makers = """
        from .contract import Asked, Done
        import magic
        def make(event): return Done(event.n)
        def opaque(event) -> "Done": return magic.of(event)
    """

    assert look(returning(*lines), head="from .makers import make, opaque", makers=makers) == []


@pytest.mark.parametrize(
    ("lines", "about"),
    [
        (["return Asked(1)"], "shop.Asked"),
        (["return event"], "shop.Asked"),
        (["if event.n:", "    return", "return Done(1)"], "None"),
        (["if event.n:", "    return None", "return Done(1)"], "None"),
        (["return Done(1) if event.n else {}"], "a dict"),
        (["return 'done'"], "a str"),
    ],
)
def test_what_is_not_declared_must_not_be_returned(lines: list[str], about: str) -> None:
    """The runtime would refuse it, at the worst moment."""
    found = [remark for remark in look(returning(*lines)) if remark.rule == "CHO601"]

    assert [remark.about for remark in found] == [about]


def test_an_undeclared_event_is_found_through_a_function() -> None:
    """With the chain."""
    makers = "from .contract import Asked\ndef make(event):\n    return Asked(1)\n"
    found = look(returning("return make(event)"), head="from .makers import make", makers=makers)

    assert [(remark.rule, remark.about) for remark in found] == [
        ("CHO601", "shop.Asked"),
        ("CHO602", "shop.Done"),
    ]
    assert [link.text for link in found[0].chain] == ["return Asked(1)"]


def test_what_is_declared_and_never_returned_is_dead() -> None:
    """But the first failure event is the answer to a refusal as well: nobody needs to return it."""
    assert rules(look(returning("return Failed('x')"))) == ["CHO602"]
    assert look(returning("return Done(1)")) == []


@pytest.mark.parametrize("body", ["...", "pass", "raise NotImplementedError", '"""Later."""'])
def test_a_body_that_is_left_out_says_nothing(body: str) -> None:
    """It is a sketch."""
    assert look(returning(body)) == []


def test_what_cannot_be_told_is_said() -> None:
    """Not guessed; and then nothing is called dead."""
    assert rules(look(returning("return MAKERS[event.n](event)"))) == ["CHO603"]
    assert rules(look(returning("import magic", "return magic.make(event)"))) == ["CHO603"]


def test_an_observer_returns_nothing() -> None:
    """A bare return is what it should do."""
    body = "@payments.observer\ndef charge(event: Asked, ctx: Context) -> None:\n    {}\n"

    assert look(body.format("return"), task="observer") == []
    assert rules(look(body.format("return Done(1)"), task="observer")) == ["CHO601"]


def test_a_handler_that_importing_does_not_register_is_found() -> None:
    """It stands under a condition, or in a module that nobody imports."""
    refunds = """
        from .contract import Done, Failed
        from .payments import payments

        @payments.compensation(of="charge")
        def refund(event: Failed, ctx) -> Failed: ...
    """
    (remark,) = look(GOOD.format("pass"), refunds=refunds)

    assert (remark.rule, remark.handler, remark.about) == ("CHO604", "payments.refund", "compensation")
    assert remark.where == ("shop/refunds.py:5", '@payments.compensation(of="charge")')


def test_handlers_of_others_are_not_missed_here() -> None:
    """Another participant's module may lie in the same folder."""
    other = """
        from choreo import Participant
        stock = Participant("stock", sagas=[])
        @stock.action
        def reserve(): ...
    """

    assert look(GOOD.format("pass"), other=other) == []


def test_names_that_lead_in_circles_end() -> None:
    """However they are knotted."""
    knots = "\n".join(f"    x{n} = x{(n + 1) % 9}\n    x{n} = x{(n + 4) % 9}" for n in range(9))
    body = (
        "@payments.action\ndef charge(event: Asked, ctx: Context) -> Done:\n"
        f"{knots}\n    x1.post(1)\n    return Done(1)\n"
    )
    ring = "from .ring import b as a, a as b\ndef f(): return g()\ndef g(): return f()\n"

    assert look(body) == []
    assert look(GOOD.format("f().post(); a.post()"), head="from .ring import a, f", ring=ring) == []


def test_text_that_is_no_python_is_one_line_where_it_is_needed() -> None:
    """With its place; a file beside that nobody imports may be anything."""
    assert look(GOOD.format("pass"), bad="def") == []
    with pytest.raises(ConfigurationError, match=r"shop/bad.py:1: not Python"):
        look(GOOD.format("call()"), head="from .bad import call", bad="def")


def test_suppressions_are_comments_not_strings() -> None:
    """Several rules, a reason, in any case."""
    text = dedent("""
        x = "# choreo: ignore[CHO204] no comment"
        @a  # choreo: ignore[cho204, CHO103] because
        # choreo: ignore
        # choreo: ignore[CHO301]
    """)

    assert [tuple(each) for each in comments(text)] == [
        (3, ("CHO204", "CHO103"), "because"),
        (4, (), ""),
        (5, ("CHO301",), ""),
    ]


STARS = {
    "of the contract": ("from .contract import *", {}),
    "of what imports it": ("from .all import *", {"all": "from .contract import Asked, Done, Failed"}),
    "of a star": ("from .all import *", {"all": "from .contract import *"}),
    "after another star": ("from .none import *\nfrom .contract import *", {"none": "x = 1"}),
    "by an absolute name": ("from shop.contract import *", {}),
    "in a condition": ("if True:\n    from .contract import *", {}),
}


@pytest.mark.parametrize("what", STARS)
def test_a_star_import_is_read(what: str) -> None:
    """What a handler returns is known, and what it should not return is found."""
    line, others = STARS[what]
    head = HEAD.replace("from .contract import Asked, Done, Failed", line)
    for returned, expected in (("Done", []), ("Asked", ["CHO601", "CHO602"])):
        body = (
            f"@payments.action\ndef charge(event: Asked, ctx: Context) -> Done:\n    return {returned}(1)\n"
        )
        text = head + body
        sources = {
            "shop.payments": text,
            "shop.contract": CONTRACT,
            **{f"shop.{name}": source for name, source in others.items()},
        }
        subject = RegisteredHandler(
            "payments.charge", "action", "shop.payments", text[: text.index("@pay")].count("\n") + 1, True,
            ("shop.Done", "shop.Failed"), ("shop.Failed",),
        )  # fmt: skip
        found = examine({n: Source(n, f"{n}.py", each) for n, each in sources.items()}, [subject], EVENTS)
        assert rules(list(found.remarks)) == expected


HIDDEN = {
    "a name with an underscore": ("_client", "__all__"),
    "a name that __all__ leaves out": ("client", "__all__ = ['other']"),
}


@pytest.mark.parametrize("what", HIDDEN)
def test_a_star_gives_no_name_that_it_does_not_export(what: str) -> None:
    """Then nothing is known of it, and nothing is said."""
    name, listed = HIDDEN[what]
    wire = f"import requests\n{name} = requests.Session()\nother = 1\n{listed if '=' in listed else ''}"
    body = GOOD.format(f"{name}.post('u')")

    assert look(body, head="from .wire import *", wire=wire) == []
    assert rules(look(body, head=f"from .wire import {name}", wire=wire)) == ["CHO605"]


def test_effects_are_followed_through_a_star() -> None:
    wire = "import requests\ndef send(n):\n    requests.post(n)\n"

    assert rules(look(GOOD.format("send(1)"), head="from .wire import *", wire=wire)) == ["CHO605"]
