"""Images of one's own in QEMU: what they access is recorded, what is wrong is said."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.cli.main import main
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import record
from diagmem.record.request import ProgramStoppedError, Recorded, Request
from diagmem.trace.window import Role
from tests.kernels.cortex_m.conftest import ARMHF, CORTEX_M, PROGRAMS, compile_image, need

BUFFERS = (BufferPlace("x", Role.INPUT, "symbol:x"), BufferPlace("y", Role.OUTPUT, "symbol:y"))
Access = tuple[str, str, int, int]


def run(
    image: Path,
    function: str,
    trace: Path,
    target: str = "cortex-m4",
    mode: str = "events",
    raw_copies: bool = False,
    buffers: Sequence[BufferPlace] = BUFFERS,
) -> Recorded:
    return record(
        Request(
            command=[str(image)],
            mode="summary" if mode == "summary" else "events",
            functions=[function],
            buffers=buffers,
            raw_copies=raw_copies,
            target=target,
            time_limit_seconds=5,
        ),
        trace,
    )


def accesses(trace: Path) -> list[Access]:
    """Kind, buffer, offset and size of each event of all windows."""
    exported = trace.with_suffix(".csv")
    assert main(["export", str(trace), "-o", str(exported), "--force"]) == 0
    with exported.open(newline="", encoding="utf-8") as lines:
        return [
            (row["kind"], row["buffer"], int(row["offset"]), int(row["size"]))
            for row in csv.DictReader(lines)
        ]


def test_accesses_of_every_width_are_all_there(image: Path, tmp_path: Path) -> None:
    """Byte to doubleword, pairs, multiples and unaligned, as the source writes them."""
    run(image, "widths", tmp_path / "t.dmt")
    moved = [(1, 2, 1), (4, 6, 2), (9, 13, 4)]
    expected: list[Access] = []
    for start, end, size in moved:
        expected += [("load", "x", start, size), ("store", "y", end, size)]
    expected += [("load", "x", offset, 4) for offset in (16, 20)]
    expected += [("store", "y", offset, 4) for offset in (24, 28)]
    expected += [("load", "x", offset, 4) for offset in (32, 36, 40)]
    expected += [("store", "y", offset, 4) for offset in (40, 44, 48)]
    assert accesses(tmp_path / "t.dmt") == expected


def test_vectors_lane_by_lane(tmp_path: Path) -> None:
    """Whole, widening, some lanes off, gathered and scattered by offsets, interleaved."""
    run(compile_image(tmp_path, cpu="cortex-m55"), "by_vectors", tmp_path / "t.dmt", "cortex-m55")
    words, halves = (12, 0, 8, 4), (14, 2, 0, 4, 6, 12, 10, 8)
    # The architecture's pattern: VLD20 takes words 0, 1, 6 and 7 of 32 bytes, VLD21 the others.
    interleaved = [4 * word for word in (0, 1, 6, 7, 2, 3, 4, 5)]
    expected: list[Access] = []
    for loads, stores, size in (
        ((0, 4, 8, 12), (16, 20, 24, 28), 4),
        ((20, 21, 22, 23), (40, 41, 42, 43), 1),
        ((24, 25, 26), (48, 49, 50), 1),  # of 16 lanes 3 are on
        (words, words, 4),
        (halves, halves, 2),
        (interleaved, interleaved, 4),
    ):
        expected += [("load", "x", offset, size) for offset in loads]
        expected += [("store", "y", offset, size) for offset in stores]
    assert accesses(tmp_path / "t.dmt") == expected


def test_a_window_ends_where_its_outermost_call_returns(image: Path, tmp_path: Path) -> None:
    """Recursion is one window; a tail call still belongs to it; what comes after does not."""
    recorded = run(image, "recursive", tmp_path / "t.dmt")
    assert recorded.windows == 1
    assert accesses(tmp_path / "t.dmt") == [
        *(("load", "x", offset, 1) for offset in (3, 2, 1, 0)),
        *(("store", "y", offset, 1) for offset in (0, 1, 2, 3)),
    ]


def test_a_call_may_return_into_a_loop(image: Path, tmp_path: Path) -> None:
    """What comes behind the call is not the window's."""
    assert run(image, "inside", tmp_path / "t.dmt").windows == 1
    assert accesses(tmp_path / "t.dmt") == [("store", "y", 7, 1)]


def test_each_call_is_a_window(image: Path, tmp_path: Path) -> None:
    assert run(image, "after", tmp_path / "t.dmt").windows == 3


def test_library_copies_have_no_order(image: Path, tmp_path: Path) -> None:
    run(image, "copies", tmp_path / "t.dmt")
    assert accesses(tmp_path / "t.dmt") == [
        ("memcpy store", "y", 1, 20),
        ("memcpy load", "x", 3, 20),
        ("memmove load", "x", 4, 12),
        ("memmove store", "x", 8, 12),
        ("memset store", "y", 32, 9),
    ]


def test_raw_copies_are_the_librarys_own_accesses(image: Path, tmp_path: Path) -> None:
    run(image, "copies", tmp_path / "t.dmt", raw_copies=True)
    found = accesses(tmp_path / "t.dmt")
    assert {kind for kind, *_ in found} == {"load", "store"}
    cleared = {
        offset + byte
        for kind, buffer, offset, size in found
        for byte in range(size)
        if (kind, buffer) == ("store", "y") and offset >= 32
    }
    assert cleared == set(range(32, 41))


def test_a_summary_gives_the_same_overlaps(image: Path, tmp_path: Path) -> None:
    found = []
    for mode in ("events", "summary"):
        path = tmp_path / f"{mode}.dmt"
        run(image, "widths", path, mode=mode)
        with open_trace(path) as trace:
            found.append([p.min_displacement_bytes for p in trace.overlaps()[0].pairs])
    assert found[0] == found[1]


def test_traces_are_valid(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for function in ("widths", "copies", "around"):
        run(image, function, tmp_path / "t.dmt")
        assert main(["validate", str(tmp_path / "t.dmt")]) == 0, capsys.readouterr().out


def test_events_carry_their_source_line(image: Path, tmp_path: Path) -> None:
    run(image, "after", tmp_path / "t.dmt")
    with open_trace(tmp_path / "t.dmt") as trace:
        (site,) = {(s.function, s.file) for s in trace.sites}
    assert site == ("after", "image.c")


@pytest.mark.parametrize("flags", [(), ("-static",)])
def test_a_linux_program_in_user_mode(flags: tuple[str, ...], tmp_path: Path) -> None:
    need(*ARMHF)
    program = tmp_path / "program"
    command = ["arm-linux-gnueabihf-gcc", "-O1", "-g", "-fno-builtin", *flags]
    subprocess.run([*command, str(PROGRAMS / "linux.c"), "-o", str(program)], check=True)
    recorded = run(program, "kernel", tmp_path / "t.dmt", target="armhf")
    assert recorded.windows == 2
    found = accesses(tmp_path / "t.dmt")
    plain = [
        a for offset in range(4) for a in (("load", "x", offset, 1), ("store", "y", offset, 1))
    ]
    assert found[: len(plain)] == plain
    if flags:  # the copies of a shared library have no name in the program's file
        copied = [("memcpy store", "y", 32, 16), ("memcpy load", "x", 32, 16)]
        assert found == 2 * (plain + copied)


# ---- what is wrong


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, *arguments: str) -> str:
    """The one line of a command that ends with exit code 2."""
    assert main(["trace", "-o", str(tmp_path / "t.dmt"), *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert not (tmp_path / "t.dmt").exists()
    return line


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("-DFAULT", r"the image faulted in go_wrong \(image\.c:\d+\) \(HardFault\)"),
        ("-DHANG", r"still running after 5 s, in go_wrong .* ends by a semihosting exit"),
    ],
)
def test_an_image_that_does_not_end_well(flag: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ProgramStoppedError, match=expected) as caught:
        run(compile_image(tmp_path, flag), "widths", tmp_path / "t.dmt")
    assert "\n" not in str(caught.value)
    with open_trace(tmp_path / "t.dmt") as trace:  # what came before is kept
        assert not trace.complete
        assert len(trace.windows) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--function", "wid"], "no function 'wid'; did you mean widths?"),
        (["--function", "never"], "never was never called"),
        (["--function", "widths", "--input", "x=symbol:xx"], "no data symbol 'xx'"),
        (["--function", "widths", "--input", "x=arg:0,bytes:4"], "reads no registers"),
        (["--function", "widths", "--mirror"], "tells no values"),
    ],
)
def test_mistakes_are_one_line(
    options: list[str],
    expected: str,
    image: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = refused(capsys, tmp_path, "--target", "cortex-m4", *options, "--", str(image))
    assert expected in line


@pytest.mark.parametrize(
    ("cpu", "target", "expected"),
    [
        ("cortex-m4", "cortex-m3", "compiled for another processor"),
        ("cortex-m55", "cortex-m7", "compiled for another processor"),
        ("cortex-m4", "armhf", "an image for a micro-controller"),
    ],
)
def test_an_image_for_another_core(
    cpu: str, target: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need(*ARMHF)
    image = compile_image(tmp_path, cpu=cpu)
    arguments = ["--target", target, "--function", "widths", "--", str(image)]
    assert expected in refused(capsys, tmp_path, *arguments)


def test_a_program_of_this_machine_is_no_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need(*CORTEX_M)
    arguments = ["--target", "cortex-m4", "--function", "main", "--", "/bin/true"]
    assert "expected little-endian EM_ARM" in refused(capsys, tmp_path, *arguments)


def test_a_plugin_for_another_interface(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = Path(__file__).resolve().parents[3] / "qemu-plugin"
    build = tmp_path / "build"
    command = ["make", "-s", "-C", str(sources), f"BUILD={build}", "EXTRA_CFLAGS=-DDM_INTERFACE=99"]
    subprocess.run(command, check=True)
    monkeypatch.setenv("DIAGMEM_QEMU_PLUGIN", str(build / "diagmem_qemu.so"))
    with pytest.raises(ProgramStoppedError, match=r"did not start in QEMU.*99") as caught:
        run(image, "widths", tmp_path / "t.dmt")
    assert "\n" not in str(caught.value)


def test_without_the_plugin(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIAGMEM_QEMU_PLUGIN", os.devnull)
    arguments = ["--target", "cortex-m4", "--function", "widths", "--", str(image)]
    assert "the QEMU plugin is not built" in refused(capsys, tmp_path, *arguments)


def test_without_qemu(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    arguments = ["--target", "cortex-m4", "--function", "widths", "--", str(image)]
    assert "apt-get install qemu-system-arm" in refused(capsys, tmp_path, *arguments)


# ---- names ----

ODD_NAMES = """
unsigned char x[64], y[64];
__attribute__((noinline)) void plus(const volatile unsigned char *from, volatile unsigned char *to)
   __asm__("_ZN1q4kernIfLi3EEEvPKfPf");
void plus(const volatile unsigned char *from, volatile unsigned char *to) { to[1] = from[2]; }
__attribute__((noinline)) static void fast(volatile unsigned char *to) { to[3] = 1; }
static void *pick(void) { return fast; }
void picked(volatile unsigned char *to) __attribute__((ifunc("pick")));
void a(void);
void b(void);
int main(void) { plus(x, y); picked(y); a(); b(); return 0; }
"""


TWICE = """
extern unsigned char y[64];
__attribute__((noinline)) static void twice(volatile unsigned char *to) {{ to[4] = 1; }}
void {0}(void) {{ twice(y); }}
"""


@pytest.fixture
def odd_names(tmp_path: Path) -> Path:
    need(*ARMHF)
    texts = {"odd.c": ODD_NAMES, "a.c": TWICE.format("a"), "b.c": TWICE.format("b")}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    flags = ["-O1", "-g", "-static", "-fno-ipa-icf", "-o", "odd"]
    subprocess.run([ARMHF[0], *flags, *texts], check=True, cwd=tmp_path)
    return tmp_path / "odd"


@pytest.mark.parametrize(
    "asked", ["q::kern<float, 3>*", "void q::kern*", "odd:q::kern*", "_ZN1q4kernIfLi3EEEvPKfPf"]
)
def test_cpp_names_are_as_people_write_them(asked: str, odd_names: Path, tmp_path: Path) -> None:
    run(odd_names, asked, tmp_path / "t.dmt", "armhf")
    readable = "void q::kern<float, 3>(float const*, float*)"
    with open_trace(tmp_path / "t.dmt") as trace:
        assert [window.function for window in trace.windows] == [readable]
        assert {site.function for site in trace.sites} == {readable}
    assert accesses(tmp_path / "t.dmt") == [("load", "x", 2, 1), ("store", "y", 1, 1)]


def test_two_functions_of_one_name_are_told_apart(odd_names: Path, tmp_path: Path) -> None:
    recorded = run(odd_names, "twice", tmp_path / "t.dmt", "armhf")
    with open_trace(tmp_path / "t.dmt") as trace:
        labels = [window.function for window in trace.windows]
    places = [label.removeprefix("twice@") for label in labels]
    assert len(set(places)) == 2
    assert recorded.warnings == (
        f"twice is 2 functions: {places[0]} (windows of {labels[0]}), {places[1]}"
        f" (windows of {labels[1]}); choose one: --function {places[0]}",
    )
    for asked in (places[1], places[1].removeprefix("odd+")):
        recorded = run(odd_names, asked, tmp_path / "t.dmt", "armhf")
        assert (recorded.windows, recorded.events, recorded.warnings) == (1, 1, ())


def test_functions_that_cannot_be_had(odd_names: Path, tmp_path: Path) -> None:
    said = {
        "picked": r"picked is picked at run time \(an IFUNC\), .*; name the function that it picks",
        "other:twice": r"other is not odd, the image",
        "q::kernel": r"no function 'q::kernel'; did you mean q::kern<float, 3>",
    }
    for asked, line in said.items():
        with pytest.raises(DiagmemError, match=line):
            run(odd_names, asked, tmp_path / "t.dmt", "armhf")
