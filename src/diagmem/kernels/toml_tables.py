"""Checked access to TOML tables: every complaint names its file and place."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagmem.base.errors import DiagmemError
from diagmem.base.filetypes import FileType, refuse_other

MAX_FILE_BYTES = 1 << 20
MAX_TEXT = 1000
SHOWN_CHARACTERS = 60
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)


def read_toml(path: Path) -> dict[str, Any]:
    """The whole file as plain data, or a `DiagmemError` that says where it breaks."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DiagmemError(f"{path}: cannot read the kernel description: {reason}") from error
    if len(data) > MAX_FILE_BYTES:
        refuse_other(path, FileType.KERNEL)
        raise DiagmemError(f"{path}: {len(data)} bytes, expected at most {MAX_FILE_BYTES}")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except RecursionError as error:
        raise DiagmemError(f"{path}: nested too deeply") from error
    except ValueError as error:
        refuse_other(path, FileType.KERNEL)
        raise DiagmemError(f"{path}: not valid TOML: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def show(value: object) -> str:
    """What was found, short, quoted and on one line."""
    text = f'"{value}"' if isinstance(value, str) and value.isprintable() else ascii(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def suggest(word: str, known: list[str]) -> str:
    """A `` (did you mean ...?)`` where a known word is close."""
    close = difflib.get_close_matches(word, known, 1)
    return f' (did you mean "{close[0]}"?)' if close else ""


@dataclass(frozen=True, slots=True)
class TomlTable:
    """One table of the file and what to call it in a message."""

    file: str
    place: str
    items: Mapping[str, Any]

    def error(self, text: str) -> DiagmemError:
        place = f"{self.place}: " if self.place else ""
        return DiagmemError(f"{self.file}: {place}{text}")

    def only(self, *keys: str) -> None:
        """Refuse any key that is not one of these."""
        for key in self.items:
            if key not in keys:
                raise self.error(
                    f"unknown key {show(key)}, expected one of {', '.join(keys)}"
                    + suggest(key, list(keys))
                )

    def has(self, key: str) -> bool:
        return key in self.items

    def wrong(self, key: str, expected: str) -> DiagmemError:
        return self.error(f'"{key}" is {show(self.items[key])}, expected {expected}')

    def string(self, key: str, default: str | None = None) -> str:
        if key not in self.items:
            if default is None:
                raise self.error(f'"{key}" is missing')
            return default
        value = self.items[key]
        if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_TEXT:
            raise self.wrong(key, "a string on one line")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of strings; one string stands for a list of one."""
        value = self.items.get(key, [])
        entries = [value] if isinstance(value, str) else value
        if not isinstance(entries, list) or not all(
            isinstance(e, str) and e and e.isprintable() for e in entries
        ):
            raise self.wrong(key, "a list of strings")
        return tuple(entries)

    def choice(self, key: str, choices: list[str], default: str | None = None) -> str:
        value = self.string(key, default)
        if value not in choices:
            raise self.error(
                f'"{key}" is {show(value)}, expected one of {", ".join(choices)}'
                + suggest(value, choices)
            )
        return value

    def name(self, key: str = "name") -> str:
        value = self.string(key)
        if not _NAME.fullmatch(value):
            raise self.wrong(key, "letters, digits and _, at most 64, not a digit first")
        return value

    def table(self, key: str) -> TomlTable:
        """The table under a key; an empty one where the key is missing."""
        value = self.items.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, "a table")
        return TomlTable(self.file, f"[{key}]" if not self.place else f"{self.place} {key}", value)

    def tables(self, key: str) -> list[TomlTable]:
        """The tables of an array of tables, each called by number and name."""
        value = self.items.get(key, [])
        if not isinstance(value, list) or not all(isinstance(e, dict) for e in value):
            raise self.wrong(key, "an array of tables")
        return [
            TomlTable(self.file, self._entry(key, number, entry), entry)
            for number, entry in enumerate(value, 1)
        ]

    def _entry(self, key: str, number: int, entry: dict[str, Any]) -> str:
        place = f"{self.place} {key} {number}" if self.place else f"[[{key}]] {number}"
        name = entry.get("name")
        return f'{place} "{name}"' if isinstance(name, str) and _NAME.fullmatch(name) else place
