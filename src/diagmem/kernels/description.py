"""Reading a kernel description: a TOML file that says what to build and call.

``docs/own-kernel.md`` is the reference of every key.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.kernels.arguments import MAX_BUFFER_BYTES, read_arguments
from diagmem.kernels.dtypes import DTYPES
from diagmem.kernels.kernel import Argument, BufferSpec, Call, Code, Document, Kernel
from diagmem.kernels.parameters import PLACE, Names, read_names
from diagmem.kernels.toml_tables import TomlTable, read_toml, show
from diagmem.trace.window import Role

KEYS = (
    "description",
    "when",
    "function",
    "source",
    "object",
    "library",
    "compiler",
    "flags",
    "include",
    "link",
    "returns",
    "success",
    "operator",
    "requests",
    "other_compilers",
    "attributes",
    "parameters",
    "derived",
    "argument",
    "buffer",
    "before",
)
_KINDS = ("source", "object", "library")
_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,999}", re.ASCII)
_OPERATOR = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)
_KEYWORDS = frozenset(
    (
        "auto break case char const continue default do double else enum extern float for goto "
        "if inline int long main register restrict return short signed sizeof static struct "
        "switch typedef union unsigned void volatile while"
    ).split()
)


class NotMeantError(DiagmemError):
    """A description whose ``when`` does not hold for its parameters."""


def load(path: str | Path, overrides: Mapping[str, str] | None = None) -> Kernel:
    """Read a description and put the parameters in.

    Parameters
    ----------
    path : the TOML file.
    overrides : parameter values as a command line gives them, and ``flags``
        and ``compiler``, which replace the keys of that name.

    Raises
    ------
    DiagmemError
        Whatever is wrong with it, with the place in the file.
    """
    file = Path(path)
    items = read_toml(file)
    return _resolve(Document(str(path), file.absolute().parent, items, dict(overrides or {})))


def with_parameters(kernel: Kernel, **values: object) -> Kernel:
    """The same kernel with other parameters, for sweeps over shapes."""
    document = kernel.document
    changed = {name: str(value) for name, value in values.items()}
    overrides = {**document.overrides, **changed}
    return _resolve(Document(document.file, document.directory, document.items, overrides))


def _resolve(document: Document) -> Kernel:
    try:
        return _kernel(document)
    except RecursionError as error:
        raise DiagmemError(f"{document.file}: nested too deeply") from error


def _kernel(document: Document) -> Kernel:
    root = TomlTable(document.file, "", document.items)
    root.only(*KEYS)
    names = read_names(root, document.overrides)
    function = _function(root, names)
    if not names.holds(root, "when"):
        raise NotMeantError(f'{root.file}: is not meant for such: "when" is {root.items["when"]!r}')
    operator = names.filled(root, "operator", root.string("operator", ""))
    if operator and not _OPERATOR.fullmatch(operator):
        raise _filled_wrong(
            root, "operator", operator, "a TFLite operator in capitals, such as CONV_2D"
        )
    attributes = root.table("attributes")
    before = [table for table in root.tables("before") if names.holds(table, "when")]
    buffers, arguments = read_arguments(root, names, before)
    calls = [_call(*parts, names) for parts in zip((root, *before), arguments, strict=True)]
    for table, call in zip(before, calls[1:], strict=True):
        table.only("function", "returns", "success", "when", "argument")
        if call.function == function:
            raise table.error(f'"function" is the kernel itself, {show(function)}')
    return Kernel(
        file=document.file,
        name=Path(document.file).stem,
        description=root.string("description", ""),
        function=function,
        code=_code(root, names, document),
        returns=calls[0].returns,
        success=calls[0].success,
        operator=operator,
        attributes={key: names.value(attributes, key) for key in attributes.items},
        parameters=dict(names.known),
        buffers=buffers,
        arguments=calls[0].arguments,
        requests=_requests(root, names, buffers),
        other_compilers=_other_compilers(root, names),
        document=document,
        before=tuple(calls[1:]),
    )


def _requests(root: TomlTable, names: Names, buffers: Sequence[BufferSpec]) -> tuple[int, ...]:
    """Sizes of the scratch that the runtime requests; without the key the buffers' own."""
    if not root.has("requests"):
        memory = (Role.SCRATCH, Role.ARENA)
        return tuple(buffer.size_bytes for buffer in buffers if buffer.role in memory)
    listed = root.items["requests"]
    if not isinstance(listed, list):
        raise root.wrong("requests", "a list of sizes in bytes")
    sizes = (names.integer(root, "requests", size, 0, MAX_BUFFER_BYTES) for size in listed)
    return tuple(size for size in sizes if size)


def _other_compilers(root: TomlTable, names: Names) -> str:
    """Which compilers make something else of the source, in words."""
    if not root.has("other_compilers"):
        return ""
    compilers = names.value(root, "other_compilers")
    if not isinstance(compilers, str):
        raise root.wrong("other_compilers", "an expression for a text")
    return compilers


def _function(table: TomlTable, names: Names) -> str:
    function = names.filled(table, "function", table.string("function"))
    if not _SYMBOL.fullmatch(function) or function in _KEYWORDS:
        raise _filled_wrong(
            table, "function", function, "the name of a function as the linker knows it"
        )
    return function


def _call(table: TomlTable, arguments: tuple[Argument, ...], names: Names) -> Call:
    returns = table.choice("returns", ["void", *DTYPES], "void")
    return Call(_function(table, names), returns, _success(table, names, returns), arguments)


def _filled_wrong(root: TomlTable, key: str, filled: str, expected: str) -> DiagmemError:
    if filled == root.items[key]:
        return root.wrong(key, expected)
    return root.error(f'"{key}" is {show(root.items[key])}, {show(filled)}, expected {expected}')


def _success(table: TomlTable, names: Names, returns: str) -> int | None:
    if not table.has("success"):
        return None
    if returns == "void" or DTYPES[returns].is_float:
        raise table.error(f'"success" needs "returns" to be an integer type, found {show(returns)}')
    return int(names.number(table, "success", table.items["success"], DTYPES[returns]))


def _code(root: TomlTable, names: Names, document: Document) -> Code:
    given = [kind for kind in _KINDS if root.has(kind)]
    if len(given) != 1:
        kinds = " and ".join(given) or "none"
        raise root.error(f"expected one of source, object or library, found {kinds}")
    kind = given[0]
    for key in ("flags", "include", "compiler"):
        if kind != "source" and root.has(key):
            raise root.error(f'"{key}" goes with source, found {kind}')
    if kind != "source" and "flags" in document.overrides:
        raise root.error(f"flags=... goes with source, found {kind}")

    files = tuple(
        file for text in root.strings(kind) for file in _files(root, names, document, kind, text)
    )
    if not files:
        raise root.wrong(kind, "at least one file")
    return Code(
        kind=kind,
        files=files,
        directory=document.directory,
        compiler=_override(root, document, "compiler", root.string("compiler", "cc")),
        flags=_flags(root, document),
        include=tuple(
            document.directory / _path(root, names, document, "include", text)
            for text in root.strings("include")
        ),
        link=root.strings("link"),
    )


def _path(
    root: TomlTable,
    names: Names,
    document: Document,
    key: str,
    text: str,
    quoted: Callable[[str], str] = str,
) -> str:
    """A path with each ``{name}`` filled in; a folder that the command line gives is
    one as seen from where the command runs."""

    def of(match: re.Match[str]) -> str:
        name = match[1]
        value = names.filled(root, key, match[0])
        if not value:
            raise root.error(f"{name} is not set, expected {name}=FOLDER for {show(text)}")
        return quoted(os.path.abspath(value) if name in document.overrides else value)

    return PLACE.sub(of, text)


def _files(root: TomlTable, names: Names, document: Document, kind: str, text: str) -> list[Path]:
    """The file of that name, or all that a pattern matches, which may be none."""
    directory = document.directory
    if not any(letter in PLACE.sub("", text) for letter in "*?["):
        return [_existing(root, kind, directory, _path(root, names, document, kind, text))]
    pattern = _path(root, names, document, kind, text, glob.escape)
    paths = (directory / name for name in sorted(glob.glob(pattern, root_dir=directory)))
    return [path for path in paths if path.is_file()]


def _existing(root: TomlTable, kind: str, directory: Path, name: str) -> Path:
    path = directory / name
    try:
        exists = path.is_file()
    except OSError:
        exists = False
    if not exists:
        place = name if path == Path(name) else f"{show(name)} in {directory}"
        raise root.error(f'"{kind}": there is no file {place}')
    return path


def _flags(root: TomlTable, document: Document) -> tuple[str, ...]:
    if "flags" not in document.overrides:
        return root.strings("flags")
    text = document.overrides["flags"]
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise root.error(f"flags={show(text)}: {error}") from error


def _override(root: TomlTable, document: Document, key: str, default: str) -> str:
    value = document.overrides.get(key, default)
    if not value or not value.isprintable():
        raise root.error(f"{key} is {show(value)}, expected a command")
    return value
