"""Functions that a kernel needs called before it: setters of scratch, of tables, of modes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.tracing import trace_kernel
from diagmem.proof.prove import prove

pytestmark = pytest.mark.usefixtures("valgrind_tool")

Writer = Callable[..., Kernel]

TOML = """\
function = "scaled"
source = "scaled.c"
argument = [
  { name = "x", role = "input",  dtype = "int8", shape = ["n"] },
  { name = "y", role = "output", dtype = "int8", shape = ["n"] },
  { name = "n", dtype = "int32", value = "n" },
]
[[before]]
function = "set_scratch"
returns = "int32"
success = "n"
argument = [
  { name = "memory", role = "scratch", dtype = "int16", shape = ["n"] },
  { name = "settings", pass = "pointer", fields = [
    { name = "weights", buffer = "w" },
    { name = "n", dtype = "int32", value = "n" },
  ] },
]
[[before]]
function = "set_shift"
argument = [{ name = "n", dtype = "int64", value = 1 }]
[[before]]
function = "set_shift"
when = "n > 1000"
argument = [{ name = "n", dtype = "int64", value = 5 }]
[[buffer]]
name = "w"
role = "weights"
dtype = "int8"
shape = ["n"]
[parameters]
n = 24
"""
CODE = """\
#include <stdint.h>
struct settings { const int8_t *weights; int32_t n; };
static int16_t *memory;
static const int8_t *weights;
static int64_t shift;
int32_t set_scratch(int16_t *m, const struct settings *s)
{
    memory = m;
    weights = s->weights;
    return s->n;
}
void set_shift(int64_t n) { shift = n; }
/* Without scratch it does nothing; it reads its input from the end, through the scratch. */
void scaled(const int8_t *x, int8_t *y, int n)
{
    if (!memory) return;
    for (int i = 0; i < n; i++) memory[i] = (x[n - 1 - i] * weights[i]) >> (4 + shift);
    for (int i = 0; i < n; i++) y[i] = (int8_t)memory[i];
    memory = 0;
}
"""


def test_all_is_called_before_each_window(written: Writer, tmp_path: Path) -> None:
    kernel = written(TOML, scaled_c=CODE)
    assert [call.function for call in kernel.before] == ["set_scratch", "set_shift"]
    proof = prove(kernel)
    assert proof.proven
    assert proof.min_displacement_bytes == 0
    trace_kernel(kernel, tmp_path / "t.dmt", inputs=3)
    with open_trace(tmp_path / "t.dmt") as trace:
        assert [window.function for window in trace.windows] == ["scaled"] * 3
        live = {buffer.name: buffer for buffer in trace.liveness(2)}
        assert live["memory"].stored.all()
        assert live["memory"].size_bytes == 48
        assert live["w"].loaded.all()
        assert trace.windows[0].events == 24 * 5


def test_without_them_the_kernel_did_nothing(written: Writer) -> None:
    head, _, rest = TOML.partition("[[before]]")
    parameters = "[parameters]" + rest.partition("[parameters]")[2]
    proof = prove(written(head + parameters, scaled_c=CODE))
    assert not proof.proven
    assert proof.refused.startswith("the kernel wrote nothing")


def test_one_that_fails_is_an_error(written: Writer) -> None:
    kernel = written(TOML.replace('success = "n"', 'success = "n + 1"'), scaled_c=CODE)
    with pytest.raises(
        DiagmemError, match='"set_scratch", called before the kernel, returned 24, expected 25'
    ):
        prove(kernel)


def test_one_that_is_not_there_is_named(written: Writer) -> None:
    kernel = written(TOML.replace('"set_shift"', '"set_shaft"'), scaled_c=CODE)
    with pytest.raises(DiagmemError, match=r'function "set_shaft" is not in scaled\.c'):
        prove(kernel)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"set_shift"\narg', '"scaled"\narg', r'\[\[before\]\] 2: "function" is the kernel itself'),
        ('when = "n > 1000"', "often = 3", r'\[\[before\]\] 3: unknown key "often"'),
        ("[parameters]", "[before]\nn = 1\n[parameters]", "not valid TOML"),
        ('name = "memory"', 'name = "x"', r'\[\[before\]\] 1 argument 1 "x": the name is taken'),
        ('"settings", pass', '"memory", pass', "argument 2 .memory.: the name is taken"),
        ('buffer = "w"', 'buffer = "v"', 'fields 1 "weights": "buffer" is "v", expected one of'),
        ('success = "n"', 'success = "1.5"', "success.*expected a value of int32"),
        ('returns = "int32"\n', "", r'\[\[before\]\] 1: "success" needs "returns"'),
        ('function = "set_scratch"\n', "", r'\[\[before\]\] 1: "function" is missing'),
    ],
)
def test_mistakes(written: Writer, old: str, new: str, complaint: str) -> None:
    with pytest.raises(DiagmemError, match=complaint):
        written(TOML.replace(old, new, 1), scaled_c=CODE)
