"""Building kernels and running cases: placement, guards, crashes, structures."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from diagmem.analysis.safe import Placement
from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.kernels.build import build
from diagmem.kernels.cases import GUARD_BYTES, Case, layout, read_results, region_before
from diagmem.kernels.description import with_parameters
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.native import RESULTS_FILE, KernelStoppedError, driver_command, run_native
from diagmem.kernels.tracing import trace_kernel

Writer = Callable[..., Kernel]

COPY_TOML = """\
function = "copy"
source = "copy.c"
argument = [
  { name = "x", role = "input", dtype = "int16", shape = ["n"] },
  { name = "y", role = "output", dtype = "int16", shape = ["n"] },
  { name = "n", dtype = "int64", value = "n" },
]
[parameters]
n = 7
"""
COPY_C = """\
#include <stdint.h>
void copy(const int16_t *x, int16_t *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = (int16_t)(x[i] ^ 1);
}
"""


def broken(written: Writer, body: str, **more: str) -> Kernel:
    head = "#include <stdint.h>\n#include <stdlib.h>\n#include <signal.h>\n"
    text = f"{head}void copy(const int16_t *x, int16_t *y, int64_t n) {{ (void)x; {body} }}\n"
    return written(COPY_TOML, None, copy_c=text, **more)


def test_many_cases_of_many_shapes_in_one_process(written: Writer) -> None:
    kernel = written(COPY_TOML, copy_c=COPY_C)
    cases = [Case(with_parameters(kernel, n=n), seed=n) for n in range(1, 200)]
    for case, result in zip(cases, run_native(build(kernel), cases), strict=True):
        x, y = case.kernel.buffers
        expected = case.before(x).view("<i2") ^ 1
        assert result.buffers[y.name].tobytes() == expected.tobytes()
        assert result.buffers[x.name].tobytes() == case.before(x).tobytes()
        assert result.status == 0


@pytest.mark.parametrize("displacement", [-14, -6, -1, 0, 1, 4, 13, 14])
def test_displacement_is_what_the_kernel_sees(written: Writer, displacement: int) -> None:
    """The kernel is told to write the two addresses' distance into its output."""
    toml = COPY_TOML.replace('"copy"', '"distance"')
    code = (
        "#include <stdint.h>\nvoid distance(const int16_t *x, int16_t *y, int64_t n)"
        "{ (void)n; y[0] = (int16_t)((intptr_t)x - (intptr_t)y); }\n"
    )
    kernel = written(toml, copy_c=code)
    [result] = run_native(
        build(kernel), [Case(kernel, placement=Placement("x", "y", displacement))]
    )
    assert result.buffers["y"][:2].view("<i2")[0] == displacement


def test_layout_keeps_guards_and_lays_the_input_on_top(written: Writer) -> None:
    kernel = written(COPY_TOML, copy_c=COPY_C)
    case = Case(kernel, placement=Placement("x", "y", -6))
    placed = layout(case)
    x, y = kernel.buffers
    assert placed.offsets["y"] % 64 == 0
    assert placed.offsets["x"] >= GUARD_BYTES
    assert placed.region_bytes - max(placed.offsets.values()) - x.size_bytes == GUARD_BYTES
    region = region_before(case, placed)
    start = placed.offsets["x"]
    assert region[start : start + x.size_bytes].tobytes() == case.before(x).tobytes()
    tail = region[start + x.size_bytes : placed.offsets["y"] + y.size_bytes]
    assert tail.tobytes() == case.before(y)[-6:].tobytes()


def test_displacement_out_of_range(written: Writer) -> None:
    kernel = written(COPY_TOML, copy_c=COPY_C)
    for displacement in (-15, 15):
        with pytest.raises(DiagmemError, match='bytes of "x" to "y", expected -14 to 14'):
            layout(Case(kernel, placement=Placement("x", "y", displacement)))


def test_given_contents(written: Writer) -> None:
    kernel = written(COPY_TOML, copy_c=COPY_C)
    given = bytes(range(14))
    [result] = run_native(build(kernel), [Case(kernel, contents={"x": given})])
    assert result.buffers["x"].tobytes() == given
    with pytest.raises(DiagmemError, match="have 3 bytes, expected 14"):
        run_native(build(kernel), [Case(kernel, contents={"x": b"abc"})])


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("y[n] = 0x5a5a;", 'wrote outside of its buffers near "y": at byte 14, expected 0 to 13'),
        ("y[-2] = 0x5a5a;", 'near "y": at byte -4, expected 0 to 13'),
        ("((int16_t *)x)[-1] = 0x5a5a;", 'near "x": at byte -2'),
        (
            "*(volatile int *)8 = n; y[0] = 0;",
            'function "copy" was stopped by SIGSEGV in case 2 of 3',
        ),
        ("abort();", "was stopped by SIGABRT in case 2 of 3"),
        ("exit(0);", "ended the program in case 2 of 3, expected it to return"),
    ],
)
def test_misbehaviour(written: Writer, body: str, complaint: str) -> None:
    kernel = broken(written, f"if (n == 7) {{ {body} }}")
    cases = [Case(with_parameters(kernel, n=6)), Case(kernel), Case(kernel)]
    with pytest.raises(DiagmemError) as caught:
        run_native(build(kernel), cases)
    assert complaint in str(caught.value)


def test_endless_kernel(written: Writer) -> None:
    kernel = broken(written, "for (volatile int i = 0; n; i = 1) y[0] = (int16_t)i;")
    with pytest.raises(KernelStoppedError, match=r"took more than 0\.3 s in case 1 of 1"):
        run_native(build(kernel), [Case(kernel)], timeout_seconds=0.3)


@pytest.mark.parametrize(
    ("toml", "code", "complaint"),
    [
        (COPY_TOML, "int x\n int y;", "copy.c does not compile: "),
        (COPY_TOML, '#include "nosuch.h"\n', "nosuch.h: No such file"),
        (COPY_TOML, "void other(void) {}", 'function "copy" is not in copy.c; expected a function'),
        (COPY_TOML, COPY_C.replace("y[i] =", "y[i] = helper +"), "copy.c does not compile: "),
        (COPY_TOML, COPY_C + "int main(void) { return 0; }", "cannot link: "),
        ('compiler = "no-such-cc"\n' + COPY_TOML, COPY_C, "compiler no-such-cc: No such file"),
        ('flags = ["-fno-such-flag"]\n' + COPY_TOML, COPY_C, "-fno-such-flag"),
    ],
)
def test_build_errors(written: Writer, toml: str, code: str, complaint: str) -> None:
    with pytest.raises(DiagmemError) as caught:
        build(written(toml, copy_c=code))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cache_sees_headers_flags_and_code(written: Writer, tmp_path: Path) -> None:
    code = '#include "more.h"\n' + COPY_C.replace("^ 1", "^ MORE")
    kernel = written(COPY_TOML, copy_c=code, more_h="#define MORE 1\n")
    first = build(kernel)
    stamp = first.binary.stat().st_mtime_ns
    assert build(kernel) == first
    assert first.binary.stat().st_mtime_ns == stamp
    assert build(with_parameters(kernel, n=3)) == first
    assert build(with_parameters(kernel, flags="-O3")) != first
    (tmp_path / "more.h").write_text("#define MORE 2\n")
    assert build(kernel).identity != first.identity


def test_builds_in_parallel(
    written: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = written(COPY_TOML, copy_c=COPY_C + "/* in parallel */ int parallel;\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(lambda _: build(kernel), range(8)))
    assert len(set(built)) == 1
    assert [p.name for p in built[0].binary.parent.parent.glob("build-*")] == []


def test_command_for_another_runner(written: Writer, tmp_path: Path) -> None:
    kernel = written(COPY_TOML, copy_c=COPY_C)
    cases = [Case(kernel, seed=3), Case(kernel, placement=Placement("x", "y", 0))]
    command = driver_command(build(kernel), cases, tmp_path)
    subprocess.run(command, check=True)
    results = read_results(cases, tmp_path / RESULTS_FILE)
    assert [r.buffers["y"].tobytes() for r in results] == [
        (case.before(kernel.buffers[0]).view("<i2") ^ 1).tobytes() for case in cases
    ]
    with pytest.raises(DiagmemError, match="no cases"):
        driver_command(build(kernel), [], tmp_path)


STRUCT_TOML = """\
function = "mix"
source = "mix.c"
returns = "int32"
success = 0
argument = [
  { name = "context", pass = "pointer", fields = [
    { name = "flag", dtype = "int8", value = "-3" },
    { name = "work", buffer = "work" },
    { name = "size", dtype = "int32", value = "4 * n" },
    { name = "nothing", null = true },
  ] },
  { name = "settings", pass = "value", fields = [
    { name = "gain", dtype = "float64", value = 0.25 },
    { name = "tile", fields = [
      { name = "wh", dtype = "int16", value = ["n", 9] },
      { name = "deep", dtype = "bool", value = true },
    ] },
    { name = "raw", bytes = "01 02 03" },
  ] },
  { name = "x", role = "input", dtype = "float32", shape = ["n"] },
  { name = "none", null = true },
  { name = "y", role = "output", dtype = "float32", shape = ["n"] },
  { name = "again", buffer = "x" },
]
[parameters]
n = 5
[[buffer]]
name = "work"
role = "scratch"
dtype = "float32"
shape = ["n"]
"""
STRUCT_C = """\
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
struct context { int8_t flag; float *work; int32_t size; void *nothing; };
struct settings { double gain; struct { int16_t w, h; bool deep; } tile; uint8_t raw[3]; };
int32_t mix(const struct context *c, struct settings s, const float *x, void *none, float *y,
            const float *again)
{
    if (c->flag != -3 || c->size != 4 * s.tile.w || c->nothing || none || x != again)
        return 1;
    if (s.tile.h != 9 || !s.tile.deep || s.raw[0] != 1 || s.raw[2] != 3)
        return 2;
    for (int i = 0; i < s.tile.w; i++)
        c->work[i] = x[i] * (float)s.gain;
    for (int i = 0; i < s.tile.w; i++)
        y[i] = c->work[i];
    return 0;
}
"""


@pytest.mark.parametrize("suffix", ["c", "cpp"])
def test_structures_and_pointers(written: Writer, suffix: str) -> None:
    code = STRUCT_C
    if suffix == "cpp":
        code = 'extern "C" {\n' + STRUCT_C + "}\n#include <vector>\nstd::vector<int> v(3);\n"
    toml = STRUCT_TOML.replace("mix.c", f"mix.{suffix}")
    kernel = written(toml, None, **{f"mix_{suffix}": code})
    results = run_native(build(kernel), [Case(with_parameters(kernel, n=n)) for n in (5, 3)])
    for n, result in zip((5, 3), results, strict=True):
        x = result.buffers["x"].view("<f4")
        assert len(x) == n
        np.testing.assert_array_equal(result.buffers["y"].view("<f4"), x * np.float32(0.25))


def test_return_value_is_checked(written: Writer) -> None:
    kernel = written(STRUCT_TOML.replace('value = "-3"', 'value = "-4"'), mix_c=STRUCT_C)
    with pytest.raises(DiagmemError, match='function "mix" returned 1, expected 0'):
        run_native(build(kernel), [Case(kernel)])


def test_mangled_cpp_name(written: Writer) -> None:
    code = "#include <cstdint>\nvoid copy(const int16_t *x, int16_t *y, int64_t)\n{ *y = *x; }\n"
    toml = COPY_TOML.replace("copy.c", "copy.cpp")
    with pytest.raises(DiagmemError, match=r'in C.*: extern "C", or its mangled name'):
        build(written(toml, copy_cpp=code))
    kernel = written(toml.replace('"copy"', '"_Z4copyPKsPsl"'), copy_cpp=code)
    [result] = run_native(build(kernel), [Case(kernel)])
    assert result.buffers["y"][:2].tobytes() == result.buffers["x"][:2].tobytes()


@pytest.mark.parametrize("kind", ["object", "library"])
def test_compiled_code(written: Writer, tmp_path: Path, kind: str) -> None:
    (tmp_path / "copy.c").write_text(COPY_C)
    made = "libcopy.so" if kind == "library" else "copy.o"
    mode = ["-shared", "-fPIC"] if kind == "library" else ["-c"]
    subprocess.run(["cc", *mode, "copy.c", "-o", made], cwd=tmp_path, check=True)
    kernel = written(COPY_TOML.replace('source = "copy.c"', f'{kind} = "{made}"'))
    [result] = run_native(build(kernel), [Case(kernel)])
    assert (result.buffers["y"].view("<i2") == result.buffers["x"].view("<i2") ^ 1).all()


@pytest.mark.parametrize(
    ("dtype", "c_type"),
    [
        ("float16", "uint16_t"),
        ("float32", "float"),
        ("float64", "double"),
        ("int8", "int8_t"),
        ("uint8", "uint8_t"),
        ("int16", "int16_t"),
        ("uint16", "uint16_t"),
        ("int32", "int32_t"),
        ("uint32", "uint32_t"),
        ("int64", "int64_t"),
        ("uint64", "uint64_t"),
        ("bool", "_Bool"),
    ],
)
def test_every_type_arrives(written: Writer, dtype: str, c_type: str) -> None:
    toml = f"""\
function = "put"
source = "put.c"
argument = [
  {{ name = "v", dtype = "{dtype}", value = 1 }},
  {{ name = "x", role = "input", dtype = "{dtype}", shape = [40] }},
  {{ name = "y", role = "output", dtype = "{dtype}", shape = [41] }},
]
"""
    code = (
        f"#include <stdint.h>\nvoid put({c_type} v, const {c_type} *x, {c_type} *y)\n"
        "{ for (int i = 0; i < 40; i++) y[i] = x[i]; y[40] = v; }\n"
    )
    if dtype == "float16":
        toml = toml.replace("value = 1", "value = 0.5")
    kernel = written(toml, put_c=code)
    [result] = run_native(build(kernel), [Case(kernel)])
    x, y = (result.buffers[name].view(kernel.buffers[0].dtype.numpy) for name in "xy")
    assert y[:40].tobytes() == x.tobytes()
    assert float(y[40]) == (0.5 if dtype == "float16" else 1)
    assert np.isfinite(x.astype(float)).all()
    assert len(np.unique(x)) > (1 if dtype == "bool" else 10)


@pytest.mark.parametrize(
    ("body", "complaint", "aside"),
    [
        ("y[n] = 1;", r'wrote outside of its buffers near "y".* \(its trace is in .*\)$', "wrong"),
        ("exit(3);", "the traced kernel did not finish", "wrong"),
        ("y[0] = 1; abort();", "the traced kernel did not finish", "cut"),
    ],
)
def test_a_run_that_is_wrong_replaces_no_trace(
    body: str, complaint: str, aside: str, written: Writer, tmp_path: Path, valgrind_tool: object
) -> None:
    path = tmp_path / "t.dmt"
    trace_kernel(written(COPY_TOML, copy_c=COPY_C), path)
    older = path.read_bytes()
    with pytest.raises(DiagmemError, match=complaint):
        trace_kernel(broken(written, body), path)
    assert path.read_bytes() == older
    with open_trace(tmp_path / f"t.{aside}.dmt") as trace:
        assert len(trace.windows) == 1
