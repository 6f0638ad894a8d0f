"""How many files one reads to follow choreo at work, beside those of before.

Run with ``python -m tests.programs.walk [--json] [--root DIR]``. Calls are recorded with ``sys.setprofile``,
in this thread and only of functions of the package choreo; what other packages do in between is skipped.

Move: a function is entered whose file is not that of the function entered before it. Crossing: a function is
entered whose file is not that of the nearest caller in choreo. A generator is entered each time it goes on.

Everything is warm: the same was done before, and modules are loaded. What happens only now and then, such as
the commit of positions once a second, is left out: of several measures the least counts.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FrameType
from typing import Any

from click.testing import CliRunner

from tests.programs.table import ROOT, Figures, report

REPEATS = 8
NO_FUNCTIONS = frozenset({"<module>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


class Walk:
    """Records which functions of a folder are entered."""

    def __init__(self, folder: Path) -> None:
        self.files: set[str] = set()
        self.functions: set[CodeType] = set()
        self.moves = 0
        self.crossings = 0
        self._prefix = f"{folder}/"
        self._last = ""

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what this thread does."""
        sys.setprofile(self._on_event)
        try:
            yield
        finally:
            sys.setprofile(None)

    def figures(self) -> dict[str, int]:
        """Return what was counted."""
        functions = sum(code.co_name not in NO_FUNCTIONS for code in self.functions)
        return {
            "files": len(self.files),
            "functions": functions,
            "moves": self.moves,
            "crossings": self.crossings,
        }

    def _on_event(self, frame: FrameType, event: str, _argument: object) -> None:
        if event != "call" or not self._is_inside(frame):
            return
        file = frame.f_code.co_filename
        self.files.add(file)
        self.functions.add(frame.f_code)
        self.moves += self._last not in ("", file)
        self.crossings += self._caller(frame) not in ("", file)
        self._last = file

    def _caller(self, frame: FrameType) -> str:
        """Return the file of the nearest caller inside the folder, empty where there is none."""
        caller = frame.f_back
        while caller and not self._is_inside(caller):
            caller = caller.f_back
        return caller.f_code.co_filename if caller else ""

    def _is_inside(self, frame: FrameType) -> bool:
        return frame.f_code.co_filename.startswith(self._prefix)


class Package:
    """The package choreo of a checkout, whose classes are found wherever they are defined."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.folder = self.root / "choreo"
        sys.path.insert(0, str(self.root))
        found = Path(str(importlib.import_module("choreo").__file__)).resolve().parent
        if found != self.folder:
            raise SystemExit(f"choreo was loaded from {found}, not from {self.folder}")

    def walk(self) -> Walk:
        """Return a new record of what is entered."""
        return Walk(self.folder)

    def find(self, name: str) -> Any:
        """Return the class of that name."""
        for path in sorted(self.folder.rglob("*.py")):
            source = path.read_text()
            if f"class {name}" in source and _defines(source, name):
                module = ".".join(path.relative_to(self.root).with_suffix("").parts)
                return getattr(importlib.import_module(module.removesuffix(".__init__")), name)
        raise SystemExit(f"no class of choreo is named {name}")


class Shop:
    """Participants of the example of orders, each with a worker and a store, on a broker in memory."""

    def __init__(self, package: Package, folder: Path) -> None:
        self._package = package
        self.folder = folder
        self.broker = package.find("MemoryBroker")(1)
        self.workers: dict[str, Any] = {}
        self._stores: list[Any] = []
        self._orders = 0

    def open(self, *names: str) -> None:
        """Start the workers of participants; a saga starts at ``orders``."""
        connect = importlib.import_module("choreo").connect
        lock = self._package.root / "examples/choreography.json"
        for name in names:
            participant = self._participant(name)
            connect(
                participant, self.folder / f"{name}.db", **({"lock": lock} if participant.is_derived else {})
            )
            store = self._package.find("SQLiteStore")(self.folder / f"{name}.db")
            codec = self._package.find("AvroCodec")(participant.events)
            clock = self._package.find("SystemClock")()
            worker = self._package.find("Worker")(participant, store, self.broker.log(name), codec, clock)
            worker.start()
            self.workers[name] = worker
            self._stores.append(store)

    def place(self) -> str:
        """Place an order that succeeds; return the saga's id."""
        self._orders += 1
        event = importlib.import_module("examples.orders.contract").OrderCreated
        place = importlib.import_module("examples.orders.orders").place_order
        return str(place(event(f"o-{self._orders}", "ada", "apple", 1, 250, "home")))

    def settle(self) -> None:
        """Let the workers go round until none has anything left to do."""
        idle = 0
        while idle < 3:
            done = [worker.turn() for worker in self.workers.values()]
            idle = 0 if any(done) else idle + 1

    def close(self) -> None:
        """Close the stores."""
        for store in self._stores:
            store.close()

    def _participant(self, name: str) -> Any:
        return getattr(importlib.import_module(f"examples.orders.{name}"), name)


def live_event(package: Package) -> Figures:
    """Return the figures of one event that calls one action: from its take to the answer's publication."""
    with _shop(package, "orders", "inventory") as shop:
        return least(lambda: _one_turn(shop, package.walk()))


def _one_turn(shop: Shop, walk: Walk) -> Figures:
    shop.settle()
    shop.place()
    shop.workers["orders"].turn()
    begun = len(shop.broker.records())
    with walk.recording():
        shop.workers["inventory"].turn()
    published = len(shop.broker.records()) - begun
    if published != 1:
        raise SystemExit(f"one turn of the worker published {published} events, not one")
    return walk.figures()


def verify(package: Package) -> Figures:
    """Return the figures of ``choreo verify examples.orders``."""
    return least(lambda: _command(package, "verify", "examples.orders"))


def trace(package: Package) -> Figures:
    """Return the figures of ``choreo trace`` of an order, on the stores of all participants."""
    with _shop(package, "orders", "inventory", "payments", "shipping", "notifications") as shop:
        saga_id = shop.place()
        shop.settle()
        arguments = ("trace", saga_id, "--store", str(shop.folder), "--graph", "examples.orders")
        return least(lambda: _command(package, *arguments))


def _command(package: Package, *arguments: str) -> Figures:
    """Run a command of choreo in this process; return its figures."""
    main, walk = importlib.import_module("choreo.cli").main, package.walk()
    with chdir(package.root), walk.recording():
        done = CliRunner().invoke(main, arguments)
    if done.exit_code:
        raise SystemExit(f"choreo {' '.join(arguments)}: {done.output}{done.exception or ''}")
    return walk.figures()


def least(measured: Callable[[], Figures]) -> Figures:
    """Return the least of several measures, after one that loads modules and fills caches."""
    measured()
    return min(
        (measured() for _ in range(REPEATS)), key=lambda figures: (figures["moves"], figures["functions"])
    )


@contextmanager
def _shop(package: Package, *names: str) -> Iterator[Shop]:
    with TemporaryDirectory(prefix="choreo-walk-") as folder:
        shop = Shop(package, Path(folder))
        shop.open(*names)
        try:
            yield shop
        finally:
            shop.close()


def _defines(source: str, name: str) -> bool:
    return any(isinstance(node, ast.ClassDef) and node.name == name for node in ast.parse(source).body)


def measure(root: Path) -> Figures:
    """Return all figures of a checkout."""
    package = Package(root)
    walks = {"live event": live_event, "choreo verify": verify, "choreo trace": trace}
    return {
        f"{name}: {figure}": value for name, walk in walks.items() for figure, value in walk(package).items()
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.walk", description="Measure the calls.")
    parser.add_argument("--json", action="store_true", help="data instead of a table")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR", help="the checkout to measure")
    options = parser.parse_args()
    print(report("walk", measure(options.root), options.json))


if __name__ == "__main__":
    main()
