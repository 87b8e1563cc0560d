"""What an Arm program's file says of the processor that it is for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import ARMAttributesSection

from diagmem.base.errors import DiagmemError
from diagmem.record.targets import Target

_ARCHITECTURES = {
    0: "pre-v4",
    1: "v4",
    2: "v4T",
    3: "v5T",
    4: "v5TE",
    5: "v5TEJ",
    6: "v6",
    7: "v6KZ",
    8: "v6T2",
    9: "v6K",
    10: "v7",
    11: "v6-M",
    12: "v6S-M",
    13: "v7E-M",
    14: "v8-A",
    15: "v8-R",
    16: "v8-M.baseline",
    17: "v8-M.mainline",
    21: "v8.1-M.mainline",
    22: "v9-A",
}
_PROFILES = {0x41: "application", 0x52: "real-time", 0x4D: "microcontroller", 0x53: "classic"}
_EXECUTABLE = 1


@contextmanager
def _opened(path: Path) -> Iterator[ELFFile]:
    try:
        with path.open("rb") as stream:
            yield ELFFile(stream)
    except (ELFError, OSError, ValueError, KeyError) as error:
        raise DiagmemError(f"{path}: not a readable ELF program: {error}") from None


def _check_arm(path: Path, file: ELFFile) -> None:
    machine, bits = file["e_machine"], file.elfclass
    if machine != "EM_ARM" or not file.little_endian:
        raise DiagmemError(
            f"{path}: a program for another processor ({machine}, {bits} bits), expected"
            " little-endian EM_ARM, 32 bits"
        )
    if file["e_type"] not in ("ET_EXEC", "ET_DYN"):
        raise DiagmemError(f"{path}: is not linked ({file['e_type']}), expected an executable")


def check_image(path: Path, target: Target) -> None:
    """Refuse an image that the target's board cannot boot.

    Raises
    ------
    DiagmemError
        It is for another processor, needs a floating-point unit that is not
        there, or has no vector table where the board looks for one.
    """
    with _opened(path) as file:
        _check_arm(path, file)
        given = _attributes(file)
    architecture = given.get("TAG_CPU_ARCH", 0)
    profile = given.get("TAG_CPU_ARCH_PROFILE", 0)
    micro = profile == ord("M") or architecture in (11, 12)
    if given and not (micro and architecture in target.architectures):
        name = _ARCHITECTURES.get(architecture, f"architecture {architecture}")
        kind = f", {_PROFILES[profile]} profile" if profile in _PROFILES else ""
        raise DiagmemError(
            f"{path}: compiled for another processor (Arm{name}{kind}), expected one that"
            f" {target.name} runs"
        )
    if given.get("TAG_FP_ARCH", 0) and not target.has_fpu:
        raise DiagmemError(
            f"{path}: has floating-point instructions, which {target.name} has not; compile it"
            " with -mfloat-abi=soft"
        )
    if all(words_at(path, table, 8) is None for table in target.vectors):
        places = " or ".join(f"0x{table:x}" for table in target.vectors)
        raise DiagmemError(
            f"{path}: has nothing at {places}, where {target.machine} looks for the vector table;"
            " it is linked for another board"
        )


def check_linux_program(path: Path) -> None:
    """Refuse a program that is not for 32-bit Arm Linux."""
    with _opened(path) as file:
        _check_arm(path, file)
        if _attributes(file).get("TAG_CPU_ARCH_PROFILE", 0) == ord("M"):
            raise DiagmemError(
                f"{path}: an image for a micro-controller, expected a Linux program;"
                " give --target cortex-m4 or its like"
            )


def _attributes(file: ELFFile) -> dict[str, int]:
    """The build attributes for the whole file; none where it has none."""
    attributes: dict[str, int] = {}
    for section in file.iter_sections():
        if not isinstance(section, ARMAttributesSection):
            continue
        for part in section.iter_subsections():
            for scope in part.iter_subsubsections():
                try:
                    for attribute in scope.iter_attributes():
                        if isinstance(attribute.value, int):
                            attributes[attribute.tag] = attribute.value
                # pyelftools does not know the newest, which come last.
                except (ELFError, KeyError, ValueError):
                    continue
    return attributes


def words_at(path: Path, address: int, size_bytes: int) -> bytes | None:
    """The bytes that a loader puts at an address; None where it puts none, or fewer."""
    with _opened(path) as file:
        for segment in file.iter_segments():
            start, size = segment["p_paddr"], segment["p_filesz"]
            if segment["p_type"] == "PT_LOAD" and start <= address <= start + size - size_bytes:
                return bytes(segment.data()[address - start :][:size_bytes])
    return None


def extent(path: Path) -> tuple[int, int]:
    """The addresses ``[start, end)`` that the file's segments span, as it counts."""
    with _opened(path) as file:
        spans = [
            (int(segment["p_vaddr"]), int(segment["p_vaddr"] + segment["p_memsz"]))
            for segment in file.iter_segments()
            if segment["p_type"] == "PT_LOAD"
        ]
    return min((a for a, _ in spans), default=0), max((b for _, b in spans), default=0)


def code_start(path: Path) -> int | None:
    """Where the code of a position-independent program begins; None for another."""
    with _opened(path) as file:
        if file["e_type"] != "ET_DYN":
            return None
        starts = [
            int(segment["p_vaddr"])
            for segment in file.iter_segments()
            if segment["p_type"] == "PT_LOAD" and segment["p_flags"] & _EXECUTABLE
        ]
        return min(starts, default=None)
