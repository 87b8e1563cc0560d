"""Running programs of this machine under Valgrind with the tool."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from diagmem.base.children import bound
from diagmem.base.errors import DiagmemError
from diagmem.base.files import JsonObject
from diagmem.base.filetypes import FileType, refuse_other
from diagmem.base.shell import command
from diagmem.record.elf import aliases, is_elf, platform_of, sanitizer
from diagmem.record.names import in_object, place
from diagmem.record.places import check_names
from diagmem.record.request import Request
from diagmem.record.ring import Ring
from diagmem.record.run import Run, exit_text
from diagmem.record.stream import Received
from diagmem.record.tool import find_tool
from diagmem.record.uncalled import has_function, why_uncalled
from diagmem.trace.records import Record


def find_program(name: str) -> Path:
    """The file that a command's first word means."""
    path = shutil.which(name)
    if path is None:
        if Path(name).is_file():
            refuse_other(Path(name), FileType.PROGRAM)
            raise DiagmemError(f"{name}: is not executable; {command('chmod', '+x', name)}")
        raise DiagmemError(f"{name}: no such program")
    refuse_other(Path(path), FileType.PROGRAM)
    return Path(path)


def _options(request: Request, program: Path) -> list[str]:
    options = [f"--mode={request.mode}"]
    names = [in_object(f)[1] for f in request.functions if place(f) is None]
    mangled = [name for name in names if name.startswith("_Z")]
    if mangled and len(mangled) < len(names):
        raise DiagmemError(
            f"function {mangled[0]!r} is a mangled name and others are not; give all of one kind"
        )
    options.append(f"--demangle={'no' if mangled else 'yes'}")
    for function in request.functions:
        options += _function_options(function, program)
    check_names(list(request.buffers))
    for buffer in request.buffers:
        if buffer.needs_function and not request.functions:
            raise DiagmemError(
                f"buffer {buffer.name}={buffer.place}: an argument of which function?"
                " give --function NAME"
            )
        options.append(buffer.tool_option(program.resolve()))
    return options + _switches(request)


def _function_options(function: str, program: Path) -> list[str]:
    if not function:
        raise DiagmemError(
            "an empty function name; expected NAME, OBJECT:NAME, OBJECT+0xOFFSET or 0xADDRESS"
        )
    where = place(function)
    if where is not None:
        file, offset = where
        return [f"--function-at={_real(file)}{'+' if file else ''}0x{offset:x}"]
    file, name = in_object(function)
    options = [f"--function={_real(file)}{':' if file else ''}{name}"]
    target = program.resolve()
    if is_elf(program) and _real(file) in ("", target.name, str(target)):
        options += [f"--function-at={target}+0x{a:x}" for a in aliases(target, name)]
    return options


def _real(file: str) -> str:
    """A path as the tool sees it; a file name alone is any file's of that name."""
    return str(Path(file).resolve()) if "/" in file else file


def _switches(request: Request) -> list[str]:
    switches = {
        "--all=yes": request.everything,
        "--whole-program=yes": request.whole_program,
        "--vex-iropt-register-updates=allregs-at-mem-access": request.every_load,
        "--values=yes": request.values is not None,
        "--raw-copies=yes": request.copies_are_raw,
    }
    watched = [f"--watch={name}" for name in request.watch]
    return watched + [switch for switch, on in switches.items() if on]


class UnderValgrind:
    """Runs a program of this machine under Valgrind with the tool."""

    ring: Ring | None = None

    def __init__(self, request: Request) -> None:
        self._request = request
        self._tool = find_tool()
        self._program = find_program(request.command[0])
        if is_elf(self._program):
            platform = platform_of(self._program)
            self._tool = self._tool.for_program(self._program, platform)
        self._options = _options(request, self._program)

    @property
    def header(self) -> JsonObject:
        return {"valgrind": self._tool.valgrind_version, "platform": self._tool.platform}

    def start(self, fifo: Path, log: Path) -> subprocess.Popen[bytes]:
        command = [
            *self._tool.command,
            "--quiet",
            # Nobody debugs through it, and its pipes would stay behind a kill.
            "--vgdb=no",
            f"--log-file={log}",
            # A program that executes another is followed into it.
            "--trace-children=yes",
            "--child-silent-after-fork=yes",
            f"--stream={fifo}",
            *self._options,
            "--",
            *self._request.command,
        ]
        # The program's output is not ours: it goes to our standard error (2), so
        # that standard output stays data.
        copies = not self._request.copies_are_raw
        environment = self._tool.environment(fifo.parent, copies=copies)
        return subprocess.Popen(
            bound(command), env=environment, stdout=2, cwd=self._request.directory
        )

    def complete(self, record: Record, received: Received) -> None:
        """The tool says it all."""

    def why_stopped(self, received: Received, log: Path, *, late: bool) -> str:
        if late:
            return f"{self._program}: still running after {self._request.time_limit_seconds:g} s"
        # Of a child that it gave up on the end would be there all the same.
        why = "" if received.ended else gave_up(log)
        return f"{self._program}: {why}" if why else ""

    def why_no_window(self, received: Received, run: Run) -> str:
        program, exit_code = self._program, run.exit_code
        if received.error:
            return received.error
        if not received.hello:
            return f"{program}: did not start under Valgrind: {last_words(run.log, exit_code)}"
        names = ", ".join(self._request.functions)
        ended = f" (the program ended with {exit_text(exit_code)})" if exit_code else ""
        if not names:
            return (
                f"{program}: no window opened{ended}: name a function with --function, or mark one"
                " in the program with DIAGMEM_WINDOW_BEGIN (diagmem.h)"
            )
        line = f"{program}: {names} was never called{ended}"
        if received.picked:
            one = received.picked[0]
            return (
                f"{line}; {one.symbol} is an IFUNC, and the {one.function} that it picked was not"
            )
        if _noted(run.fifo, "forked"):
            return (
                f"{program}: {names} was called in a forked child only, and children are not"
                " recorded: have the program call it in its first process"
            )
        unfit = sanitizer(program) if exit_code and is_elf(program) else ""
        if unfit:
            return f"{line}: it is built with -fsanitize={unfit}, which Valgrind cannot run"
        function = self._request.functions[0]
        started = _noted(run.fifo, "children")
        those = [path for path in started if has_function(Path(path), in_object(function)[1])]
        if those:
            return f"{line}; it only started {', '.join(those)}: trace that instead"
        loaded = [path for path in received.objects if not self._is_ours(path)]
        why = why_uncalled(function, program, loaded)
        if not started:
            return line + why
        children = ", ".join(Path(path).name for path in started[:5])
        return f"{line}{why} (it started {children}, where no such function was seen)"

    def _is_ours(self, path: str) -> bool:
        """The tool's own objects are nobody's kernels."""
        return Path(path).resolve().is_relative_to(self._tool.libexec.resolve())


def _noted(fifo: Path, what: str) -> list[str]:
    """What the tool in the program's children left beside the stream."""
    path = Path(f"{fifo}.{what}")
    if not path.exists():
        return []
    return list(dict.fromkeys(path.read_text(encoding="utf-8", errors="replace").splitlines()))


def gave_up(log: Path) -> str:
    """Why Valgrind itself ended a program, and what helps; empty where it did not."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    if "debuginfo reader:" in text and "Giving up" in text:
        forms = re.search(r"unhandled dwarf\w* \w+ form code 0x[0-9a-f]+", text)
        image = re.search(r'Valgrind: +"([^"\n]+)"', text)
        form = f" ({forms[0]})" if forms else ""
        of = image[1] if image and image[1].isprintable() else "the program or a library of it"
        return (
            f"Valgrind cannot read the debug information of {of} and gave up{form}: compile with"
            " -gdwarf-4 and without -gsplit-dwarf, or trace a copy without it, made by"
            " strip --strip-debug"
        )
    if "the 'impossible' happened" in text or "Giving up" in text:
        return f"Valgrind gave up: {_words(text)}"
    return ""


def _words(text: str) -> str:
    """All of a log on one line, as far as that may be long."""
    lines = [re.sub(r"^==\d+== ?", "", line).strip() for line in text.split("\n")]
    return " ".join(line for line in lines if line)[:300]


def last_words(log: Path, exit_code: int) -> str:
    """What a runner said last, on one line; its exit code where it said nothing."""
    if not log.exists():
        return f"exit code {exit_code}"
    text = log.read_text(encoding="utf-8", errors="replace")
    return _words(text) or f"exit code {exit_code}"
