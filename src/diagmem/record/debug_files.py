"""Where a stripped file's symbols went: found by build ID or debug link, as gdb does."""

from __future__ import annotations

import zlib
from functools import lru_cache
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import NoteSection

from diagmem.base.files import state_of

ROOT = Path("/usr/lib/debug")


def debug_link(path: Path) -> str:
    """The name of the file that a stripped one's debugging information went to, or empty."""
    return _links(path)[0]


def debug_folders(path: Path) -> list[Path]:
    """Where a file of that name is looked for."""
    folder = path.resolve().parent
    return [folder, folder / ".debug", ROOT / folder.relative_to("/")]


def debug_file(path: Path) -> Path | None:
    """The file that has a stripped one's symbols, if it is there and fits."""
    name, checksum, identity = _links(path)
    by_identity = ROOT / ".build-id" / identity[:2] / f"{identity[2:]}.debug"
    if identity and by_identity.is_file():
        return by_identity
    for folder in debug_folders(path) if name else ():
        file = folder / name
        if file.is_file() and _checksum_of(file) == checksum:
            return file
    return None


def _links(path: Path) -> tuple[str, int, str]:
    """Name and checksum of the debug link, and build ID; empty for a file with symbols."""
    try:
        with path.open("rb") as stream:
            file = ELFFile(stream)
            if file.get_section_by_name(".symtab") is not None:
                return "", 0, ""
            section = file.get_section_by_name(".gnu_debuglink")
            data = section.data() if section is not None else b""
            identity = _identity(file)
    # A damaged file makes pyelftools fail in many ways; who reads its symbols says how.
    except Exception:
        return "", 0, ""
    name = data.partition(b"\0")[0].decode("utf-8", "replace")
    # Name and checksum, each padded to four bytes.
    if len(data) < 4 or "/" in name:
        name = ""
    return name, int.from_bytes(data[-4:], "little"), identity


def _identity(file: ELFFile) -> str:
    section = file.get_section_by_name(".note.gnu.build-id")
    notes = section.iter_notes() if isinstance(section, NoteSection) else ()
    identities = (str(note["n_desc"]) for note in notes if note["n_type"] == "NT_GNU_BUILD_ID")
    identity = next(identities, "")
    return identity if identity.isalnum() else ""


def _checksum_of(path: Path) -> int:
    try:
        return _checksum(path, state_of(path))
    except OSError:
        return -1


@lru_cache(maxsize=8)
def _checksum(path: Path, state: tuple[int, int]) -> int:
    """Of a file as it is now; some are large, and asked for often."""
    value = 0
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            value = zlib.crc32(piece, value)
    return value
