"""Apache Kafka's jars: fetched once with Maven, kept outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

VERSION = "4.1.0"
POM = Path(__file__).with_name("pom.xml")
FETCH_DEADLINE = 300.0


class Unavailable(Exception):
    """Raised when Java, Maven or Kafka can't be had on this machine."""


def jars() -> Path:
    """Return the folder of the jars, fetching them on first use; two fetches at once don't disturb."""
    home = _cache() / f"kafka-{VERSION}"
    if not home.is_dir():
        _fetch(home)
    return home


def java() -> str:
    """Return the path of ``java``."""
    return _tool("java")


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "choreo-tests"


def _fetch(home: Path) -> None:
    """Fetch into a folder of our own, then rename: a half-filled cache can't be seen."""
    home.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{home.name}-", dir=home.parent))
    try:
        _maven(fresh)
        fresh.rename(home)
    except OSError:
        if not home.is_dir():
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _maven(target: Path) -> None:
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target}"]
    command = [_tool("mvn"), "-q", "-B", "-f", str(POM), *goal]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_DEADLINE, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable("Maven did not fetch Kafka in time") from error
    if done.returncode or not any(target.glob("kafka_*.jar")):
        raise Unavailable(f"Maven could not fetch Kafka: {(done.stdout + done.stderr)[-500:]}")


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Unavailable(f"{name} is not installed")
    return path
