"""Compiling a kernel and its driver, each once, into a cache.

The key of a build is a hash of everything that goes into it: the preprocessed
sources (so every header, too), objects and libraries, flags, the compiler's
version and the driver.  A build appears in the cache by one rename, so that
several processes may build at the same time.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import diagmem
from diagmem.base.errors import DiagmemError
from diagmem.base.files import state_of
from diagmem.kernels.cache import cache_directory
from diagmem.kernels.cortex_m.start_up import (
    definitions,
    image_files,
    link_options,
    start_up,
    target_of,
)
from diagmem.kernels.driver import call_source, signature
from diagmem.kernels.kernel import Code, Kernel
from diagmem.kernels.preprocessed import preprocessed
from diagmem.record.elf import undefined_symbols
from diagmem.record.tool import find_tool
from diagmem.trace.copies import names_copy

HARNESS = Path(__file__).parent / "harness"
_CXX = frozenset({".cc", ".cpp", ".cxx", ".C"})
_DRIVER_FAILS = "the driver for this function does not compile"
_LINK_FAILS = "cannot link"
_versions: dict[tuple[Path, tuple[int, int]], str] = {}
_LOADED = ("-fsanitize", "-fopenmp", "-pthread", "-static", "-fpic", "-shared")
"""Flags of code that belongs to a program with libraries of its own."""
_ABI_FLAGS = ("-m", "-fsanitize", "-fopenmp", "-pthread", "-static")


@dataclass(frozen=True, slots=True)
class Built:
    """A driver with its kernel, ready to run cases of this ``signature``.

    ``identity`` names the build: equal for equal code, flags and compiler.
    ``compiler`` is the compiler's own first line about itself.  ``target`` is the
    processor whose image it is, empty for this machine's own program.
    """

    binary: Path
    signature: int
    identity: str
    compiler: str
    target: str = ""


def header_directory() -> Path:
    """Where ``diagmem.h`` lies: in the installed package, else in the repository."""
    package = Path(diagmem.__file__).parent
    places = (package / "_valgrind" / "include", package.parent.parent / "valgrind-tool")
    for place in places:
        if (place / "diagmem.h").is_file():
            return place
    find_tool()  # says what is missing and what mends it
    raise DiagmemError(f"diagmem.h: not found, expected in {' or '.join(map(str, places))}")


def build(kernel: Kernel) -> Built:
    """Compile and link, or find what an earlier call has built.

    Raises
    ------
    DiagmemError
        The compiler is missing or finds an error (its first one is quoted), or
        the function is not in the code.
    """
    code, call = kernel.code, call_source(kernel)
    version = _version(kernel, code.compiler)
    sources = _preprocessed(kernel)
    identity = _identity(kernel, call, version, sources)
    place = cache_directory() / identity
    built = Built(place / "driver", signature(kernel), identity, version, target_of(code))
    if built.binary.is_file():
        return built
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=place.parent) as work:
            made = Path(work) / "made"
            made.mkdir()
            objects = [_object(kernel, file, version, text) for file, text in sources.items()]
            _make(kernel, call, objects, made)
            _move(made, place)
    except OSError as error:
        raise DiagmemError(f"{place.parent}: cannot keep builds here: {error}") from error
    return built


def _move(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:
        # Another process was first; its build is as good as ours.
        if not (place / "driver").is_file():
            raise


def _preprocessed(kernel: Kernel) -> dict[Path, bytes]:
    """The sources with all their headers; none where the code is compiled already."""
    code = kernel.code
    if code.kind != "source":
        return {}
    sources = {}
    for file in code.files:
        command = [*_compile(code), "-E", str(file)]
        run = partial(_run, kernel, command, f"{file.name} does not compile")
        sources[file] = preprocessed(command, code.directory, run)
    return sources


def _object(kernel: Kernel, file: Path, version: str, text: bytes) -> Path:
    """A compiled source, which kernels of one file share."""
    command = [*_compile(kernel.code), "-c", str(file)]
    hashed = sha256(repr((version, command)).encode() + b"\0" + text).hexdigest()[:32]
    place = cache_directory() / "objects" / f"{hashed}.o"
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=place.parent) as work:
            made = Path(work) / place.name
            _run(kernel, [*command, "-o", str(made)], f"{file.name} does not compile")
            if not made.is_file():
                raise DiagmemError(
                    f"{kernel.file}: {kernel.code.compiler} makes no object of {file.name},"
                    " expected C or C++"
                )
            os.replace(made, place)
    return place


def _identity(kernel: Kernel, call: str, version: str, sources: Mapping[Path, bytes]) -> str:
    code = kernel.code
    parts = [version, code.kind, repr((_compile(code), code.link)), call]
    hashed = sha256("\0".join(parts).encode())
    for name in sorted(HARNESS.iterdir()):
        hashed.update(name.read_bytes())
    for name in image_files(code):
        hashed.update(name.read_bytes())
    hashed.update((header_directory() / "diagmem.h").read_bytes())
    for file in code.files:
        # A library is found at run time by its path, so the path belongs to the build.
        hashed.update(str(file).encode())
        hashed.update(sources[file] if file in sources else _content(file))
    for extra in code.link:
        hashed.update(_content(code.directory / extra))
    return hashed.hexdigest()[:32]


def _content(file: Path) -> bytes:
    """The file's bytes; nothing where there is no such file, as for ``-lm``."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _compile(code: Code) -> list[str]:
    include = [f"-I{directory}" for directory in code.include]
    # Debug information lets a trace name source lines and does not change the code.
    # Valgrind 3.19 gives up on DWARF 5 as clang writes it, and as it is split.
    return [code.compiler, *code.flags, *include, "-g", "-gdwarf-4", "-fno-lto"]


def _make(kernel: Kernel, call: str, compiled: Sequence[Path], directory: Path) -> None:
    """Build ``directory / "driver"``, the kernel apart from what calls it."""
    code = kernel.code
    (directory / "call.c").write_text(call)
    objects = [str(file) for file in compiled or code.files]
    for source in (directory / "call.c", HARNESS / "driver.c", *start_up(code)):
        objects.insert(0, str(directory / f"{source.stem}.o"))
        command = [*_driver_compiler(code), "-std=gnu11", "-O1", "-fno-lto", "-fno-builtin"]
        command += [f"-I{header_directory()}", f"-I{HARNESS}", "-x", "c", "-c", str(source)]
        command += [*definitions(code), "-o", objects[0]]
        _run(kernel, command, _DRIVER_FAILS)
    command = [*_driver_compiler(code), *objects, *code.link, *_libraries(code)]
    command += [*link_options(code, directory), "-o", str(directory / "driver")]
    if _needs_no_loader(code, compiled):
        # Valgrind starts such a program four times as fast.
        with contextlib.suppress(DiagmemError):
            _run(kernel, [*command, "-static"], _LINK_FAILS)
    if not (directory / "driver").exists():
        _run(kernel, command, _LINK_FAILS)
    for temporary in directory.glob("*.o"):
        temporary.unlink()


def _needs_no_loader(code: Code, compiled: Sequence[Path]) -> bool:
    """Is it all the same to the kernel whether the C library is linked into the program?
    So it is in C, of no other library, that copies nothing by one: the recorder sees a
    library's copies where the loader binds them."""
    return (
        bool(compiled)
        and not target_of(code)
        and not code.link
        and not any(flag.startswith(_LOADED) for flag in code.flags)
        and not any(file.suffix in _CXX for file in code.files)
        and not any(names_copy(name) for file in compiled for name in undefined_symbols(file))
    )


def _driver_compiler(code: Code) -> list[str]:
    """The compiler and those of the kernel's flags that its caller must share."""
    return [code.compiler, *(flag for flag in code.flags if flag.startswith(_ABI_FLAGS))]


def _libraries(code: Code) -> list[str]:
    libraries = ["-lm"]
    if code.kind == "library":
        libraries += [f"-Wl,-rpath,{file.parent}" for file in code.files]
    if code.kind == "source" and any(file.suffix in _CXX for file in code.files):
        libraries.append("-lstdc++")
    return libraries


def _version(kernel: Kernel, compiler: str) -> str:
    """What the compiler's first line says; it is asked once, as long as its file stays."""
    # Each command runs in the description's folder, and so a relative name counts from there.
    file = kernel.code.directory / (shutil.which(compiler) or compiler)
    key = file, state_of(file)
    if key not in _versions:
        answer = _run(kernel, [compiler, "--version"], f"{compiler} --version fails")
        lines = answer.decode(errors="replace").splitlines()
        _versions[key] = lines[0].strip() if lines else compiler
    return _versions[key]


def _run(kernel: Kernel, command: Sequence[str], failure: str) -> bytes:
    """Run one build step; its failure becomes one line."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            cwd=kernel.code.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DiagmemError(f"{kernel.file}: compiler {command[0]}: {reason}") from error
    if done.returncode != 0:
        raise DiagmemError(f"{kernel.file}: {_complaint(kernel, failure, done.stderr)}")
    return done.stdout


def _complaint(kernel: Kernel, failure: str, stderr: bytes) -> str:
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines()]
    functions = [kernel.function, *(call.function for call in kernel.before)]
    missing = re.compile(rf"undefined reference to [`']({'|'.join(map(re.escape, functions))})'")
    undefined = next((match for line in lines if (match := missing.search(line))), None)
    if failure == _LINK_FAILS and undefined:
        files = ", ".join(file.name for file in kernel.code.files)
        return (
            f'function "{undefined[1]}" is not in {files}; expected a function with external '
            'linkage (in C++: extern "C", or its mangled name)'
        )
    telling = re.compile(r"\berror:|undefined reference|multiple definition|cannot find|not found")
    line = next((line for line in lines if telling.search(line)), lines[0] if lines else "")
    return f"{failure}: {line[:300] or 'the compiler gave no reason'}"
