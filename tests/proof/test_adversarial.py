"""The kernels that make a trace alone no proof, each by name.

What holds is found here by running every displacement on inputs that no proof has
seen, so that `prove` is not its own witness.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from diagmem.kernels.kernel import Kernel
from diagmem.proof.proof import Proof
from diagmem.proof.prove import prove
from diagmem.proof.runs import Results, Runs

pytestmark = pytest.mark.usefixtures("valgrind_tool")

Writer = Callable[..., Kernel]
ROWS, COLUMNS = 5, 32

TOML = """\
function = "f"
source = "f.c"
flags = ["{flags}"]
argument = [
  {{ name = "x", role = "input", dtype = "{dtype}", shape = ["rows", "cols"] }},
  {{ name = "w", role = "weights", dtype = "{dtype}", shape = ["cols"] }},
  {{ name = "y", role = "output", dtype = "{dtype}", shape = ["rows", "cols"] }},
  {{ name = "rows", dtype = "int32", value = "rows" }},
  {{ name = "cols", dtype = "int32", value = "cols" }},
]
[parameters]
rows = 5
cols = 32
"""
TYPES = {"uint8": "uint8_t", "int32": "int32_t"}


def kernel(
    written: Writer,
    body: str,
    *,
    dtype: str = "int32",
    flags: str = "-O2",
    restrict: str = "",
    const: str = "const ",
) -> Kernel:
    c = TYPES[dtype]
    source = "#include <stdint.h>\n#include <string.h>\n"
    source += f"void f({const}{c} *{restrict}x, const {c} *{restrict}w, {c} *{restrict}y,"
    source += f" int rows, int cols)\n{{ (void)w; {body} }}\n"
    return written(TOML.format(flags=flags, dtype=dtype), f_c=source)


def holding(made: Kernel) -> list[bool]:
    """For each displacement, a cell apart: do the bits hold?"""
    runs = Runs(Results(made, range(500, 503)))
    return [t.holds for t in runs.each(range(0, runs.output.size_bytes, runs.cell_bytes))]


def smallest(holds: list[bool]) -> int:
    """From which cell on all hold."""
    failing = [i for i, held in enumerate(holds) if not held]
    return failing[-1] + 1 if failing else 0


def check(made: Kernel) -> Proof:
    """Prove it, and hold the proof against every displacement."""
    proof = prove(made)
    assert proof.proven, proof
    assert proof.exhaustive
    assert proof.min_displacement_bytes >= smallest(holding(made)) * proof.cell_bytes
    return proof


EACH = "for (int j = 0; j < rows; j++) for (int i = 0; i < cols; i++)"


def test_distance_check(written: Writer) -> None:
    """A vectorised loop reads x[j * cols] once a row, but only where that is far
    enough from what it writes: apart D is 0, near each element reads it anew."""
    made = kernel(written, f"{EACH} y[j * cols + i] = x[j * cols] + w[i];", flags="-O3")
    proof = check(made)
    assert proof.traced_displacement_bytes == 0
    assert proof.min_displacement_bytes == smallest(holding(made)) * 4 > 0
    assert proof.tight
    assert "although the trace apart says that 0 is enough" in proof.why
    assert "behaves otherwise when overlapped: access" in proof.why
    assert not proof.same_accesses

    # Without vectors the trace says it at once.
    plain = check(kernel(written, f"{EACH} y[j * cols + i] = x[j * cols] + w[i];", flags="-O0"))
    assert plain.traced_displacement_bytes == plain.min_displacement_bytes
    assert plain.same_accesses


def test_restrict(written: Writer) -> None:
    """The compiler was promised that they are apart, and keeps x[j * cols] in a register."""
    body = f"{EACH} y[j * cols + i] = x[j * cols] + w[i];"
    made = kernel(written, body, flags="-O3", restrict="restrict ")
    proof = check(made)
    # It never looks, so it does the same everywhere, and what the trace says holds.
    assert proof.same_accesses
    assert proof.min_displacement_bytes == proof.traced_displacement_bytes


def test_accumulator(written: Writer) -> None:
    """What the caller put into the output is needed from the start."""
    made = kernel(written, f"{EACH} y[j * cols + i] += x[j * cols + (i ^ 1)];")
    proof = check(made)
    assert proof.safe_overlap_bytes == 0
    assert any("(an accumulator)" in note for note in proof.notes)


def test_concat_by_memcpy(written: Writer) -> None:
    """A row of 24 bytes and 8 of another tensor: the copy counts as written at its
    start and read at its end, whatever this machine's library does."""
    body = "for (int j = 0; j < rows; j++) {"
    body += " memcpy(y + j * cols, x + j * (cols - 8), cols - 8);"
    body += " for (int i = cols - 8; i < cols; i++) y[j * cols + i] = 1; }"
    proof = check(kernel(written, body, dtype="uint8"))
    assert proof.min_displacement_bytes == 4 * (32 - 24) + 24
    assert any(note.startswith("D is decided by memcpy at ") for note in proof.notes)


def test_wiped_input(written: Writer) -> None:
    """Each input byte is cleared when it was read, which must not clear an output."""
    body = f"{EACH} {{ y[j * cols + i] = x[j * cols + i]; x[j * cols + i] = 0; }}"
    proof = check(kernel(written, body, dtype="uint8", const=""))
    # In place the wiping comes last; one byte further on the output's byte does.
    assert proof.min_displacement_bytes == 1
    assert proof.tight


def test_early_exit(written: Writer) -> None:
    """How long x[0] is looked at depends on what is in x[1]: inputs that nobody tried
    may need more than any that was, so nothing is proven."""
    body = "int n = rows * cols, far = x[1] % n, i = 0; for (; i < far; i++) y[i] = x[0] + i;"
    body += " for (; i < n; i++) y[i] = x[i] >> 1;"
    made = kernel(written, body, dtype="uint8")
    proof = prove(made)
    assert proof.data_dependent
    assert not proof.proven
    assert not proof.tight
    assert "the kernel is data-dependent, so only a displacement that is asked for" in proof.why
    figures = [prove(made, inputs=1, seed=s).traced_displacement_bytes for s in range(3)]
    assert len(set(figures)) > 1
    assert proof.traced_displacement_bytes == max(f or 0 for f in figures)
    assert any("the kernel is data-dependent: D is" in note for note in proof.notes)
    asked = prove(made, displacement_bytes=ROWS * COLUMNS - 1)
    assert asked.proven
    assert asked.data_dependent
    assert any("the kernel is data-dependent: D is" in note for note in asked.notes)


@pytest.mark.parametrize("lead", [16, 32, 48])
def test_another_way_at_one_alignment(lead: int, written: Writer) -> None:
    """A kernel that looks at where its output lies modulo 64 goes backwards at one of
    the four places that a runtime may give it."""
    body = f"int n = rows * cols; if (((uintptr_t)y & 63) == {lead})"
    body += " for (int i = n - 1; i >= 0; i--) y[i] = x[i] + 1;"
    body += " else for (int i = 0; i < n; i++) y[i] = x[i] + 1;"
    made = kernel(written, body, dtype="uint8")
    proof = check(made)
    assert proof.traced_displacement_bytes == 0
    assert not prove(made, displacement_bytes=48).proven
    # The last multiple of 16, the only displacements that plans use, fails as well.
    assert proof.min_displacement_bytes > 144
    assert "although the trace apart says that 0 is enough" in proof.why


@pytest.mark.parametrize("flags", ["-O0", "-O3"])
def test_a_hole(flags: str, written: Writer) -> None:
    """It goes backwards where the buffers are between 24 and 40 bytes apart: above D
    some displacements fail, and only those beyond them count."""
    body = "int64_t far = (intptr_t)x - (intptr_t)y; int n = rows * cols;"
    body += " if (far >= 24 && far <= 40) for (int i = n - 1; i >= 0; i--) y[i] = x[i] + 1;"
    body += " else for (int i = 0; i < n; i++) y[i] = x[i] + 1;"
    made = kernel(written, body, dtype="uint8", flags=flags)
    proof = check(made)
    assert proof.traced_displacement_bytes == 0
    assert proof.min_displacement_bytes == 41
    assert not proof.monotone
    assert proof.holds_below[:24] == tuple(range(24))
    asked = prove(made, displacement_bytes=3)
    assert asked.proven
    assert asked.min_displacement_bytes == 3
    assert "isolated: 40 bytes, which is more, does not hold" in asked.notes
    assert not prove(made, displacement_bytes=30).proven


def test_backwards(written: Writer) -> None:
    """From the last element down: only with the input below the output."""
    body = "for (int i = rows * cols - 1; i >= 0; i--) y[i] = x[i] + 1;"
    made = kernel(written, body, dtype="uint8")
    proof = check(made)
    assert proof.min_displacement_bytes == ROWS * COLUMNS
    assert proof.holds_below == (0,)
    assert prove(made, displacement_bytes=-7).proven
    in_place = prove(made, displacement_bytes=0)
    assert in_place.proven
    assert in_place.notes == ("isolated: 159 bytes, which is more, does not hold",)


def test_a_crash_when_overlapped(written: Writer) -> None:
    """Damaged indices lead out of the buffers: an answer, not an error."""
    body = f"{EACH} {{ int k = x[j * cols + (i * 7) % cols] & 31; y[j * cols + i] = w[k];"
    body += " if (k < 0) y[k * 100000] = 1; }"
    proof = check(kernel(written, body))
    assert proof.tight
