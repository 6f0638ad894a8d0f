"""``Document``: a kind of JSON file with a format number and a hash, whose content is not trusted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from choreo import limits
from choreo.errors import ManifestError
from choreo.escape import escaped_json
from choreo.manifest.fields import Fields

MAX_BYTES = limits.DOCUMENT
"""The size beyond which a document is refused."""


class Document(NamedTuple):
    """A kind of document: its description, the newest readable format, and the command that writes one.

    ``least`` is the format of a document that uses nothing of the newest one, so that an earlier choreo reads
    it.
    """

    description: str
    format: int
    hint: str
    least: int = 0

    def write(self, content: Mapping[str, Any], *, is_newest: bool = True, compact: bool = False) -> str:
        """Return the text of a document, which is the same for the same content.

        ``is_newest``: it uses what only the newest format has. ``compact``: in one line, for a machine.
        """
        whole = {"format": self.format if is_newest else self.least, **content}
        signed = {**whole, "hash": hash_of(whole)}
        if compact:
            return json.dumps(signed, sort_keys=True, separators=(",", ":"))
        return escaped_json(json.dumps(signed, indent=2, sort_keys=True, ensure_ascii=False)) + "\n"

    def read(self, content: bytes | str, where: str) -> Fields:
        """Return the fields of a document from its text; ``where`` is its place, for error messages.

        Raises `ManifestError` when it is too large, not JSON, of another kind or a newer format, or was
        changed after it was written.
        """
        if len(content) > MAX_BYTES:
            raise ManifestError(f"{where}: larger than {MAX_BYTES} bytes", hint=f"is it {self.description}?")
        try:
            given = json.loads(content)
        except (ValueError, RecursionError):
            raise ManifestError(f"{where}: not JSON, or cut off", hint=self.hint) from None
        if not isinstance(given, dict) or type(given.get("format")) is not int:
            raise ManifestError(f"{where}: not {self.description}", hint=self.hint)
        if given["format"] > self.format:
            raise ManifestError(
                f"{where}: of format {given['format']}; this choreo reads up to {self.format}",
                hint="upgrade choreo here",
            )
        self._refuse_changed(given, where)
        return Fields(given, where, self.hint)

    def _refuse_changed(self, given: dict[str, Any], where: str) -> None:
        claimed = given.pop("hash", None)
        try:
            fits = claimed == hash_of(given)
        except (RecursionError, ValueError):
            raise ManifestError(f"{where}: nested too deeply", hint=self.hint) from None
        if not fits:
            raise ManifestError(
                f"{where}: the hash doesn't fit: it was changed by hand, or merged", hint=self.hint
            )


def hash_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON object, independent of its spacing and the order of its fields.

    >>> hash_of({"b": 1, "a": 2}) == hash_of({"a": 2, "b": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
