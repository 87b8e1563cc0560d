"""Which functions open a window: by name, by place, picked at run time, or none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import diagmem
from diagmem.base.errors import DiagmemError
from diagmem.record import debug_files
from diagmem.record.elf import symbols
from diagmem.record.names import matches, short
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import record
from diagmem.record.request import Recorded, Request
from diagmem.record.tool import Tool
from diagmem.trace.window import Role

pytestmark = pytest.mark.usefixtures("valgrind_tool")

BY_ARGUMENT = ("arg:0,bytes:12", "arg:1,bytes:12")
ROLES = {"in": Role.INPUT, "out": Role.OUTPUT}
EVENTS = 6  # three loads, three stores

KERNEL = """
__attribute__((noinline, noclone)) {0}void {1}(const volatile int *x, volatile int *y)
{{
   for (int i = 0; i < 3; i++) y[i] = x[i] + {2};
}}
"""
BUFFERS = "int in[3], out[3];\n"

Compile = Callable[..., Path]


@pytest.fixture
def compile_text(tmp_path: Path) -> Compile:
    """Compiles texts, a file each, into one program or library."""

    def compile_(name: str, *texts: str, flags: Sequence[str] = (), language: str = "c") -> Path:
        files = []
        for i, text in enumerate(texts):
            files.append(tmp_path / f"{name}_{i}.{language}")
            files[-1].write_text(text)
        compiler = {"c": "cc", "cc": "c++"}[language]
        binary = tmp_path / name
        # Not optimised away, not merged: what is tested is who is called.
        switches = [compiler, "-O1", "-g", "-fno-ipa-icf"]
        subprocess.run([*switches, "-o", binary, *files, *flags], check=True)
        return binary

    return compile_


@pytest.fixture
def trace(tmp_path: Path) -> Callable[..., Recorded]:
    def trace_(
        program: Path, *words: str, function: str, places: Sequence[str] = BY_ARGUMENT
    ) -> Recorded:
        roles = (Role.INPUT, Role.OUTPUT)
        buffers = [BufferPlace(str(r), r, p) for r, p in zip(roles, places, strict=False)]
        request = Request([str(program), *words], functions=[function], buffers=buffers)
        return record(request, tmp_path / "t.dmt")

    return trace_


Trace = Callable[..., Recorded]


def windows(recorded: Recorded) -> list[tuple[str, int]]:
    """Function and events of each."""
    with diagmem.open_trace(recorded.path) as opened:
        return [(window.function, window.events) for window in opened.windows]


def offset(file: Path, name: str) -> int:
    return next(s.address for s in symbols(file) if s.name == name)


# ---- IFUNCs ----

PICKED = (
    BUFFERS
    + KERNEL.format("", "slow", 1)
    + KERNEL.format("", "fast", 2)
    + """
static void *pick(void) { return fast; }
void kern(const volatile int *x, volatile int *y) __attribute__((ifunc("pick")));
"""
)
CALLED = "void kern(const volatile int *, volatile int *);\nextern int in[3], out[3];\n"
MAIN = "int main(void) { kern(in, out); kern(in, out); return 0; }\n"


@pytest.mark.parametrize("flags", [["-Wl,-z,lazy"], ["-Wl,-z,now"], ["-static"]])
@pytest.mark.parametrize("function", ["kern", "program:k?rn"])
def test_an_ifunc_means_the_function_that_it_picks(
    function: str, flags: list[str], compile_text: Compile, trace: Trace
) -> None:
    program = compile_text("program", PICKED + MAIN, flags=flags)
    recorded = trace(program, function=function)
    assert windows(recorded) == [("fast", EVENTS), ("fast", EVENTS)]
    (warning,) = recorded.warnings
    assert warning.startswith("kern is picked at run time (an IFUNC): these are calls of fast")


def test_an_ifunc_that_is_picked_inside_a_window(
    compile_text: Compile, trace: Trace, tmp_path: Path
) -> None:
    """Bound at its first call, which is the window's; the window goes on."""
    compile_text("libkern.so", PICKED, flags=["-shared", "-fPIC"])
    outer = """
    __attribute__((noinline, noclone)) void outer(void)
    {
       *(volatile int *)out = *(volatile int *)in;
       kern(in, out);
       *(volatile int *)out = *(volatile int *)in;
    }
    int main(void) { outer(); kern(in, out); return 0; }
    """
    linked = [f"-L{tmp_path}", "-l:libkern.so", f"-Wl,-rpath,{tmp_path}", "-Wl,-z,lazy"]
    program = compile_text("program", BUFFERS + CALLED + outer, flags=linked)
    buffers = [BufferPlace(n, r, f"symbol:{n}@{program}") for n, r in ROLES.items()]
    request = Request([str(program)], functions=["outer", "kern"], buffers=buffers)
    recorded = record(request, tmp_path / "t.dmt")
    assert windows(recorded) == [("outer", 4 + EVENTS), ("fast", EVENTS)]
    with diagmem.open_trace(recorded.path) as opened:
        assert [window.end for window in opened.windows] == ["returned"] * 2


def test_an_ifunc_of_a_library_that_is_loaded_later(
    compile_text: Compile, trace: Trace, tmp_path: Path
) -> None:
    compile_text("libkern.so", PICKED, flags=["-shared", "-fPIC"])
    program = compile_text(
        "program",
        """
        #include <dlfcn.h>
        int x[3], y[3];
        int main(int n, char **words)
        {
           void *library = dlopen(words[1], RTLD_NOW);
           void (*kern)(int *, int *) = dlsym(library, "kern");
           kern(x, y);
           return 0;
        }
        """,
        flags=["-ldl"],
    )
    recorded = trace(program, str(tmp_path / "libkern.so"), function="kern")
    assert windows(recorded) == [("fast", EVENTS)]


def test_an_ifunc_whose_choice_is_never_called(compile_text: Compile, trace: Trace) -> None:
    quiet = "int main(int n, char **w) { if (n > 1) kern(in, out); return 0; }\n"
    program = compile_text("program", PICKED + quiet, flags=["-Wl,-z,now"])
    with pytest.raises(DiagmemError, match=r"kern is an IFUNC, and the fast that it picked was"):
        trace(program, function="kern")


# ---- windows without an event ----


def test_a_window_without_an_event_is_warned_of(compile_text: Compile, trace: Trace) -> None:
    main = "int main(void) { kern(in, out); static int i[3], o[3]; kern(i, o); return 0; }\n"
    program = compile_text("program", BUFFERS + KERNEL.format("", "kern", 1) + main)
    recorded = trace(program, function="kern", places=("symbol:in", "symbol:out"))
    assert windows(recorded) == [("kern", EVENTS), ("kern", 0)]
    (warning,) = recorded.warnings
    assert warning.startswith("window 1 of 2 has no event: what was called there touched none of")
    (warning,) = trace(program, function="kern", places=()).warnings
    assert warning.startswith("no window has an event: no buffer was named")
    assert trace(program, function="kern").warnings == ()


# ---- several functions of one name ----

TWO = [
    KERNEL.format("static ", "kern", 1)
    + f"extern int in[3], out[3]; void go_{who}(void) {{ kern(in, out); }}\n"
    for who in "ab"
]
GO = BUFFERS + "void go_a(void); void go_b(void); int main(void) { go_a(); go_b(); return 0; }\n"


def test_two_static_functions_of_one_name(compile_text: Compile, trace: Trace) -> None:
    program = compile_text("program", *TWO, GO)
    first, second = sorted(s.address for s in symbols(program) if s.name == "kern")
    recorded = trace(program, function="kern")
    other = f"kern@program+0x{second:x}"
    assert windows(recorded) == [("kern", EVENTS), (other, EVENTS)]
    assert recorded.warnings == (
        f"kern is 2 functions: program+0x{first:x} (windows of kern), program+0x{second:x}"
        f" (windows of {other}); choose one: --function program+0x{first:x}",
    )
    for at in (first, second):
        recorded = trace(program, function=f"program+0x{at:x}")
        assert windows(recorded) == [("kern", EVENTS)]
        assert recorded.warnings == ()


@pytest.fixture
def two_objects(compile_text: Compile, tmp_path: Path) -> Path:
    """A program and a library of its own, each with a `kern`."""
    compile_text("libb.so", TWO[1], flags=["-shared", "-fPIC", "-Wl,-soname,libb.so.1"])
    (tmp_path / "libb.so.1").symlink_to("libb.so")
    linked = [f"-L{tmp_path}", "-lb", f"-Wl,-rpath,{tmp_path}", "-Wl,--export-dynamic"]
    return compile_text("program", TWO[0], GO, flags=linked)


def test_a_function_of_one_object(two_objects: Path, trace: Trace, tmp_path: Path) -> None:
    recorded = trace(two_objects, function="kern")
    in_library = f"kern@libb.so+0x{offset(tmp_path / 'libb.so', 'kern'):x}"
    assert windows(recorded) == [("kern", EVENTS), (in_library, EVENTS)]
    library = str(tmp_path / "libb.so")
    for asked in ("libb.so:k*n", "libb.so.1:kern", f"{library}:kern", "program:kern"):
        recorded = trace(two_objects, function=asked)
        assert windows(recorded) == [("kern", EVENTS)]
        assert recorded.warnings == ()
        with diagmem.open_trace(recorded.path) as opened:
            objects = {site.object for site in opened.sites}
        assert objects == {"program" if asked == "program:kern" else "libb.so"}
    with pytest.raises(DiagmemError, match=r"never called: no object libc\.so was loaded"):
        trace(two_objects, function="libc.so:kern")


# ---- by address ----

JIT = (
    BUFFERS
    + """
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
/* mov eax, [rdi]; mov [rsi], eax; ret */
static const unsigned char code[] = {0x8b, 0x07, 0x89, 0x06, 0xc3};
int main(int n, char **words)
{
   void *at = (void *)strtoul(words[1], 0, 0);
   void *page = mmap(at, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
   if (page != at) return 3;
   memcpy(page, code, sizeof code);
   ((void (*)(int *, int *))page)(in, out);
   ((void (*)(int *, int *))page)(in, out);
   return 0;
}
"""
)


def test_code_that_belongs_to_no_file(compile_text: Compile, trace: Trace) -> None:
    program = compile_text("program", "#define _GNU_SOURCE\n" + JIT)
    recorded = trace(program, "0x13370000", function="0x13370000")
    assert windows(recorded) == [("0x13370000", 2), ("0x13370000", 2)]
    assert recorded.warnings == ()
    with pytest.raises(DiagmemError) as error:
        trace(program, "0x13370000", function="0x13380000")
    assert str(error.value).endswith(
        "0x13380000 was never called; no call went to that address, which may be another in each"
        " run"
    )


def test_an_address_that_is_meant_as_a_place(compile_text: Compile, trace: Trace) -> None:
    program = compile_text("program", BUFFERS + KERNEL.format("", "kern", 1) + MAIN)
    at = offset(program, "kern")
    with pytest.raises(DiagmemError, match=rf"as a place in the file: program\+0x{at:x}$"):
        trace(program, function=f"0x{at:x}")
    inside = rf"that is inside kern, which begins at program\+0x{at:x}$"
    with pytest.raises(DiagmemError, match=inside):
        trace(program, function=f"program+0x{at + 1:x}")
    stripped = program.with_name("stripped")
    subprocess.run(["strip", "-o", stripped, program], check=True)
    recorded = trace(stripped, function=f"stripped+0x{at:x}")
    assert windows(recorded) == [(f"stripped+0x{at:x}", EVENTS)] * 2
    with pytest.raises(DiagmemError) as error:
        trace(stripped, function="kern")
    assert str(error.value).endswith(
        "stripped is stripped of its names: give a place, OBJECT+0xOFFSET"
    )


# ---- C++ ----

PLUS = """
volatile float in[3], out[3];
namespace q {
template <typename T, int N> __attribute__((noinline)) T kern(const volatile T *x, volatile T *y)
{
   for (int i = 0; i < N; i++) y[i] = x[i];
   return 0;
}
struct C {
   int n;
   __attribute__((noinline)) void go(const volatile float *x, volatile float *y) const { *y = *x; }
   __attribute__((noinline)) C &operator<<(volatile float *y) { y[n] = in[n]; return *this; }
};
}
int main()
{
   q::C c{1};
   q::kern<float, 3>(in, out);
   c.go(in, out);
   c << out;
   return 0;
}
"""


@pytest.mark.parametrize(
    ("pattern", "function"),
    [
        ("q::kern<float, 3>*", "float q::kern<float, 3>(float const volatile*, float volatile*)"),
        ("q::kern<float, 3>", "float q::kern<float, 3>(float const volatile*, float volatile*)"),
        ("float q::kern*", "float q::kern<float, 3>(float const volatile*, float volatile*)"),
        ("program:q::kern*", "float q::kern<float, 3>(float const volatile*, float volatile*)"),
        ("q::C::go", "q::C::go(float const volatile*, float volatile*) const"),
        ("q::C::operator<<", "q::C::operator<<(float volatile*)"),
    ],
)
def test_cpp_names(pattern: str, function: str, compile_text: Compile, trace: Trace) -> None:
    program = compile_text("program", PLUS, language="cc")
    recorded = trace(program, function=pattern, places=("symbol:in", "symbol:out"))
    assert [name for name, _ in windows(recorded)] == [function]


@pytest.mark.parametrize("wrong", ["q::kern<double, 3>", "kern", "q::kernel"])
def test_suggestions_are_demangled(wrong: str, compile_text: Compile, trace: Trace) -> None:
    program = compile_text("program", PLUS, language="cc")
    with pytest.raises(DiagmemError) as error:
        trace(program, function=wrong, places=("symbol:in", "symbol:out"))
    assert re.search(r"did you mean q::kern<float, 3>[,?]", str(error.value))
    assert "_Z" not in str(error.value)


@pytest.mark.parametrize(
    ("readable", "expected"),
    [
        ("void q::kern<float, 3>(float const*)", "q::kern<float, 3>"),
        ("q::f(int)", "q::f"),
        ("int const& (anonymous namespace)::f<a<b c> >(int)", "(anonymous namespace)::f<a<b c> >"),
        ("std::ostream& q::operator<< <int>(std::ostream&, int)", "q::operator<< <int>"),
        ("q::C::operator bool() const", "q::C::operator bool"),
        ("decltype (a->b) q::g<int>(int)", "q::g<int>"),
        ("non-virtual thunk to q::C::f(int)", "non-virtual thunk to q::C::f"),
        ("kern.avx2", "kern.avx2"),
    ],
)  # fmt: skip
def test_what_of_a_name_is_its_own(readable: str, expected: str) -> None:
    assert short(readable) == expected
    for pattern in (expected, readable, f"{expected}*"):
        assert matches(readable, pattern)
    assert not matches(readable, f"x{expected}*")


# ---- never called ----

KERN = BUFFERS + KERNEL.format("", "kern", 1)


def test_a_call_in_a_forked_child_only(compile_text: Compile, trace: Trace) -> None:
    main = """
    #include <sys/wait.h>
    #include <unistd.h>
    int main(int n, char **words)
    {
       if (!fork()) { kern(in, out); _exit(0); }
       wait(0);
       if (n > 1) kern(in, out);
       return 0;
    }
    """
    program = compile_text("program", KERN + main)
    with pytest.raises(DiagmemError) as error:
        trace(program, function="kern")
    assert str(error.value) == (
        f"{program}: kern was called in a forked child only, and children are not recorded: have"
        " the program call it in its first process"
    )
    assert windows(trace(program, "both", function="kern")) == [("kern", EVENTS)]


def test_a_function_that_this_run_does_not_call(compile_text: Compile, trace: Trace) -> None:
    program = compile_text(
        "program", KERN + "int main(int n, char **w) { if (n > 1) kern(in, out); }\n"
    )
    with pytest.raises(
        DiagmemError, match=r"kern was never called; it is in program, but this run"
    ):
        trace(program, function="kern")


def test_the_tools_own_functions_are_not_suggested(
    compile_text: Compile, trace: Trace, valgrind_tool: Tool
) -> None:
    program = compile_text("program", KERN + MAIN)
    for wrong in ("memc", "linux_kernel"):
        with pytest.raises(DiagmemError) as error:
            trace(program, function=wrong)
        for name in os.listdir(valgrind_tool.libexec):
            assert name not in str(error.value)


@pytest.mark.parametrize("place", ["symbol:x,bytes:4", "arg:0,bytes:4"])
def test_a_script_in_place_of_a_program(
    place: str, compile_text: Compile, trace: Trace, tmp_path: Path
) -> None:
    compile_text("program", KERN + MAIN)
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\n{tmp_path}/program\n")
    script.chmod(0o755)
    with pytest.raises(DiagmemError) as error:
        trace(script, function="kern", places=[place])
    assert str(error.value) == (
        f"{script}: is a script, which has no symbols; trace the program that it starts, or name"
        " the file: symbol:x@FILE"
        if place.startswith("symbol")
        else f"{script}: kern was never called; it only started {tmp_path}/program: trace that"
        " instead"
    )
    with pytest.raises(DiagmemError, match=r"is a script, and nothing it loaded has a function so"):
        trace(script, function="zzqqzz")
    script.write_text(f"#!/bin/sh\nexec {tmp_path}/program\n")
    named = (f"symbol:in@{tmp_path}/program", f"symbol:out@{tmp_path}/program")
    assert windows(trace(script, function="kern", places=named)) == [("kern", EVENTS)] * 2


def test_a_program_with_a_sanitizer(compile_text: Compile, trace: Trace) -> None:
    program = compile_text("program", KERN + MAIN, flags=["-fsanitize=address"])
    with pytest.raises(DiagmemError, match=r"built with -fsanitize=address, which Valgrind cannot"):
        trace(program, function="kern")


# ---- stripped, with the symbols in another file ----


def test_a_debug_link_is_followed(compile_text: Compile, trace: Trace, tmp_path: Path) -> None:
    program = compile_text("program", KERN + MAIN)
    subprocess.run(["objcopy", "--only-keep-debug", "program", "p.debug"], check=True, cwd=tmp_path)
    subprocess.run(["strip", "program"], check=True, cwd=tmp_path)
    subprocess.run(["objcopy", "--add-gnu-debuglink=p.debug", "program"], check=True, cwd=tmp_path)
    by_symbol = ("symbol:in", "symbol:out")
    assert windows(trace(program, function="kern", places=by_symbol)) == [("kern", EVENTS)] * 2
    # Gone, or of another program.
    other = compile_text("other", BUFFERS + KERNEL.format("", "kern", 3) + MAIN)
    (tmp_path / "p.debug").unlink()
    with pytest.raises(DiagmemError, match=r"its names \(they are in p.debug, which was not"):
        trace(program, function="kern")
    for copied in (False, True):
        if copied:
            shutil.copy(other, tmp_path / "p.debug")
        with pytest.raises(DiagmemError) as error:
            trace(program, function="kern", places=by_symbol)
        assert "(it is stripped; the file that has its symbols, p.debug" in str(error.value)


def test_a_debug_file_is_found_by_build_id(
    compile_text: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Debian's debugging packages have them."""
    program = compile_text("program", KERN + MAIN, flags=["-Wl,--build-id=0xabcdef01"])
    at = offset(program, "kern")
    place = tmp_path / ".build-id/ab/cdef01.debug"
    place.parent.mkdir(parents=True)
    subprocess.run(["objcopy", "--only-keep-debug", program, place], check=True)
    subprocess.run(["strip", program], check=True)
    monkeypatch.setattr(debug_files, "ROOT", tmp_path)
    assert offset(program, "kern") == at
    place.unlink()
    assert debug_files.debug_file(program) is None


def test_a_symbol_of_a_library_that_is_loaded_later(compile_text: Compile, trace: Trace) -> None:
    program = compile_text("program", KERN + MAIN)
    with pytest.raises(DiagmemError, match=r"of a library that is loaded later: symbol:x@LIBRARY$"):
        trace(program, function="kern", places=["symbol:x"])
