"""Running Arm images and programs in QEMU under the plugin.

The plugin is told addresses; what has names is looked up here, in the file.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from diagmem.base.children import bound
from diagmem.base.errors import DiagmemError
from diagmem.base.files import JsonObject
from diagmem.base.filetypes import FileType, refuse_other
from diagmem.record.dwarf import inlined_into
from diagmem.record.elf import Symbol, symbols
from diagmem.record.emulator import emulator_version, find_emulator, find_plugin
from diagmem.record.image import check_image, check_linux_program, code_start, extent, words_at
from diagmem.record.lines import lines_of
from diagmem.record.names import demangled, in_object, matches, place
from diagmem.record.places import BufferPlace, check_names
from diagmem.record.request import Request
from diagmem.record.ring import Ring
from diagmem.record.run import Run, exit_text
from diagmem.record.stream import Entry, Received
from diagmem.record.targets import LINUX, board
from diagmem.record.uncalled import similar_functions
from diagmem.trace.records import Record

LINUX_ROOT = Path("/usr/arm-linux-gnueabihf")
"""Where Debian's cross compiler keeps the libraries of such programs."""
_COPY = re.compile(
    r"_*(?:aeabi_)?(memcpy|mempcpy|memmove|memset|memclr|bcopy|bzero|explicit_bzero)[48]?(?:_chk)?"
    r"(?:_(?:arm|vfp|neon))?"
)
"""newlib's, the Arm run-time ABI's, and those of a static glibc."""
_COPIES_AS = {
    "mempcpy": "memcpy",
    "bcopy": "memmove",
    "memclr": "memset",
    "bzero": "memset",
    "explicit_bzero": "memset",
}
_FAULTS = {
    3: "HardFault",
    4: "MemManage",
    5: "BusFault",
    6: "UsageFault",
    7: "SecureFault",
}
"""Entries of the vector table that only a fault reaches (Armv7-M and Armv8-M)."""


def image_command(target: str, image: Path, *arguments: str) -> list[str]:
    """The command that boots an image on the target's board, with semihosting.

    What the image prints goes to standard output, what QEMU says to standard error.
    """
    words = "".join(f",arg={_escaped(word)}" for word in (image.name, *arguments))
    return [
        str(find_emulator(target)),
        *("-M", board(target).machine),
        *("-display", "none", "-monitor", "none", "-serial", "none"),
        *("-chardev", "stdio,id=console,signal=off"),
        *("-semihosting-config", f"enable=on,target=native,chardev=console{words}"),
        *("-kernel", str(image)),
    ]


def _escaped(text: str) -> str:
    """A comma ends an option's value in QEMU; two are one."""
    return text.replace(",", ",,")


class InQemu:
    """Runs an image or an Arm Linux program in QEMU with the plugin."""

    def __init__(self, request: Request) -> None:
        if request.values is not None:
            raise DiagmemError(
                "--mirror: QEMU's plugin interface tells no values; not with --target"
            )
        self._request = request
        self._emulator = find_emulator(request.target)
        self._plugin = find_plugin()
        self._image = find_image(request.command[0])
        if request.target == LINUX:
            check_linux_program(self._image)
        else:
            check_image(self._image, board(request.target))
        self._lines = lines_of(self._image)
        self._extent = extent(self._image)
        self._entries = self._find_entries()
        self._config = "\n".join(self._settings()) + "\n"
        self.ring: Ring | None = None

    @property
    def header(self) -> JsonObject:
        return {"qemu": emulator_version(self._emulator), "platform": self._request.target}

    # ---- what to watch

    def _settings(self) -> Iterator[str]:
        """The lines of the plugin's configuration, all but the stream's."""
        request = self._request
        yield f"machine {request.target}"
        yield f"mode {request.mode}"
        if request.everything:
            yield "all"
        if request.whole_program:
            yield "whole-program"
        if request.target == LINUX:
            start = code_start(self._image)
            if start is not None:
                yield f"relocated {start:x}"
        for label, (address, _) in self._entries.items():
            yield f"function {address:x} {label}"
        yield from self._copies()
        yield from self._faults()
        yield from self._buffers(request.buffers)
        for buffers in request.later_buffers:
            yield "next-window"
            yield from self._buffers(buffers)

    def _find_entries(self) -> dict[str, tuple[int, Entry]]:
        """What was asked for, by what its windows are called: address and more."""
        by_address = {
            a: name for asked in self._request.functions for a, name in self._functions(asked)
        }
        names = list(by_address.values())
        entries = {}
        for address, name in sorted(by_address.items()):
            at = f"{self._image.name}+0x{address:x}"
            # Static functions of several files may have one name.
            label = name if name and names.count(name) == 1 else f"{name}@{at}" if name else at
            entries[label] = (address, Entry(name, label, at))
        return entries

    def _functions(self, asked: str) -> list[tuple[int, str]]:
        """Addresses, without Thumb bit, and names as people write them."""
        if not asked:
            raise DiagmemError(
                "an empty function name; expected NAME, IMAGE+0xADDRESS or 0xADDRESS"
            )
        where = place(asked)
        file, name = (where[0], "") if where else in_object(asked)
        if file and Path(file).name != self._image.name:
            raise DiagmemError(f"function {asked!r}: {file} is not {self._image.name}, the image")
        if where:
            address = where[1] & ~1
            return [(address, self._lines.function(address))]
        known = [s for s in symbols(self._image) if s.is_function]
        readable = demangled(s.name for s in known)
        functions = [
            s for s in known if name == s.name or matches(readable.get(s.name, s.name), name)
        ]
        if not functions:
            raise DiagmemError(self._no_function(name))
        self._refuse_ifuncs(functions, known)
        return [(s.address & ~1, readable.get(s.name, s.name)) for s in functions]

    def _refuse_ifuncs(self, functions: list[Symbol], known: list[Symbol]) -> None:
        for one in functions:
            if one.is_ifunc:
                kin = [
                    s.name for s in known if s.name.startswith(f"{one.name}.") and not s.is_ifunc
                ]
                others = [name for name in kin if not name.endswith(".resolver")]
                those = f" ({', '.join(others[:5])})" if others else ""
                raise DiagmemError(
                    f"{self._image}: {one.name} is picked at run time (an IFUNC), by what QEMU's"
                    f" plugin interface does not tell; name the function that it picks{those}"
                )

    def _no_function(self, name: str) -> str:
        line = f"{self._image}: no function {name!r}"
        callers = inlined_into(self._image, name)
        if callers:
            return (
                f"{line}; it was inlined into {', '.join(callers[:5])}: trace one of these, or"
                " compile it noinline"
            )
        similar = similar_functions(name, self._image, [self._image])
        return f"{line}; did you mean {', '.join(similar)}?" if similar else line

    def _copies(self) -> Iterator[str]:
        if self._request.copies_are_raw or self._request.everything:
            return
        places = {}
        for symbol in symbols(self._image):
            match = _COPY.fullmatch(symbol.name) if symbol.is_function else None
            if match:
                places[symbol.address & ~1] = _COPIES_AS.get(match[1], match[1])
        for address, kind in sorted(places.items()):
            yield f"copy {kind} {address:x}"

    def _faults(self) -> Iterator[str]:
        if self._request.target == LINUX:
            return
        for table in board(self._request.target).vectors:
            vectors = words_at(self._image, table, 4 * (max(_FAULTS) + 1))
            if vectors is None:
                continue
            handlers = struct.unpack(f"<{len(vectors) // 4}I", vectors)
            named: dict[int, str] = {}
            for number, name in _FAULTS.items():
                if handlers[number]:
                    named.setdefault(handlers[number] & ~1, name)
            # A handler of the image's own choice may be what it is asked about.
            watched = {address for address, _ in self._entries.values()}
            yield from (f"fault {a:x} {name}" for a, name in named.items() if a not in watched)
            return

    def _buffers(self, buffers: Sequence[BufferPlace]) -> Iterator[str]:
        check_names(list(buffers))
        places = []
        for buffer in buffers:
            if buffer.place.startswith(("arg:", "heap:")):
                raise DiagmemError(
                    f"buffer {buffer.name}={buffer.place}: QEMU's plugin interface reads no"
                    " registers; with --target expected symbol:NAME or address:0xA,bytes:B"
                )
            start, size = self._range(buffer)
            if not self._request.watch or buffer.name in self._request.watch:
                places.append((start, -(start + size), buffer.name, buffer.role, size))
        for start, _, name, role, size in sorted(places):
            yield f"buffer {name} {role} {start:x} {size:x}"

    def _range(self, buffer: BufferPlace) -> tuple[int, int]:
        """Address and bytes in the image."""
        option = buffer.tool_option(self._image)
        _, _, place, size = option.removeprefix("--buffer=").rsplit(",", 3)
        address = place.removeprefix("address:").rpartition("+")[2]
        return int(address, 0), int(size.removeprefix("bytes:"))

    # ---- the run

    def start(self, fifo: Path, log: Path) -> subprocess.Popen[bytes]:
        config = fifo.with_name("config")
        self.ring = ring = Ring()
        where = f"stream {fifo}\nring {ring.fd} {ring.size_bytes}\n"
        config.write_text(f"{where}{self._config}", encoding="utf-8")
        plugin = f"{_escaped(str(self._plugin))},config={_escaped(str(config))}"
        arguments = [str(word) for word in self._request.command[1:]]
        if self._request.target == LINUX:
            command = [str(self._emulator), "-plugin", plugin]
            if "QEMU_LD_PREFIX" not in os.environ and LINUX_ROOT.is_dir():
                command += ["-L", str(LINUX_ROOT)]
            # Its standard error is the program's, too.
            return subprocess.Popen(
                bound([*command, str(self._image), *arguments]),
                stdout=2,
                cwd=self._request.directory,
                pass_fds=[ring.fd],
            )
        command = image_command(self._request.target, self._image, *arguments)
        with log.open("wb") as output:
            return subprocess.Popen(
                bound([*command, "-plugin", plugin]),
                stdin=subprocess.DEVNULL,
                stdout=2,
                stderr=output,
                cwd=self._request.directory,
                pass_fds=[ring.fd],
            )

    def complete(self, record: Record, received: Received) -> None:
        """Names and lines of sites; words for a fault."""
        address = record.get("offset", -1)
        if record["type"] == "window" and record["function"] in self._entries:
            _, entry = self._entries[record["function"]]
            if entry not in received.entries:
                received.entries.append(entry)
        elif record["type"] == "site" and not self._is_ours(address):
            record.pop("offset", None)  # in a shared library
        elif record["type"] == "site":
            record["object"] = str(self._image)
            record["function"] = self._lines.function(address)
            file, line = self._lines.line(address)
            if file:
                record.update(file=file, line=line)
        elif record["type"] == "fault":
            record["message"] = (
                f"{self._image}: the image faulted in {self._lines.place(record['offset'])}"
                f" ({record['name']})"
            )
        elif record["type"] == "end" and self._is_ours(record["offset"]):
            record["place"] = self._lines.place(record["offset"])

    def _is_ours(self, address: int) -> bool:
        return self._extent[0] <= address < self._extent[1]

    def why_stopped(self, received: Received, log: Path, *, late: bool) -> str:
        if late:
            at = f", in {received.place}" if received.place else ""
            ending = (
                "" if self._request.target == LINUX else "; an image ends by a semihosting exit"
            )
            seconds = self._request.time_limit_seconds
            return f"{self._image}: still running after {seconds:g} s{at}{ending}"
        fatal = re.search(r"qemu: fatal: ([^\n]+)", _text(log))
        return f"{self._image}: the image faulted: {fatal[1]}" if fatal else ""

    def why_no_window(self, received: Received, run: Run) -> str:
        if received.error:
            return received.error
        if not received.hello:
            words = " ".join(_text(run.log).split())[:300] or exit_text(run.exit_code)
            return f"{self._image}: did not start in QEMU: {words}"
        ended = f" (it ended with {exit_text(run.exit_code)})" if run.exit_code else ""
        if not self._request.functions:
            return f"{self._image}: no window opened{ended}: name a function with --function"
        return f"{self._image}: {', '.join(self._request.functions)} was never called{ended}"


def find_image(name: str) -> Path:
    """The file to run, which need not be executable here."""
    path = Path(name)
    if not path.is_file():
        raise DiagmemError(f"{name}: no such file")
    refuse_other(path, FileType.PROGRAM)
    return path.resolve()


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
