"""A plan is run where it puts its tensors: what that proves, refutes, and cannot say."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.kernels.library import Library
from diagmem.networks.measured import Measured, read_overlaps, write_overlaps
from diagmem.networks.on_described import measure_described
from diagmem.networks.placement_proof import proven_plan
from diagmem.tflite.graph import Model, read_model
from diagmem.tflite.write import read_provenance
from tests.tflite.build import Draft, small

pytestmark = [pytest.mark.xdist_group("described"), pytest.mark.usefixtures("valgrind_tool")]

JOIN = """\
function = "join"
source = "join.c"
flags = ["-O1"]
operator = "CONCATENATION"
argument = [
  { name = "a", role = "input", dtype = "float32", shape = ["inner1"] },
  { name = "b", role = "input", dtype = "float32", shape = ["inner2"] },
  { name = "y", role = "output", dtype = "float32", shape = ["inner1 + inner2"] },
  { name = "n", dtype = "int32", value = "inner1" },
  { name = "m", dtype = "int32", value = "inner2" },
]
[parameters]
element_bytes = 4
outer = 1
inner1 = 5
inner2 = 3
inner3 = 0
inner4 = 0
"""
KIND = """\
void join(const float *a, const float *b, float *y, int n, int m)
{
    for (int i = 0; i < n; i++)
        y[i] = a[i];
    for (int i = 0; i < m; i++)
        y[n + i] = b[i];
}
"""
BOTH = """\
/* Right where one input lies under the output; another way where both do. */
static int meet(const float *x, int size, const float *y, int whole)
{
    return x < y + whole && y < x + size;
}

void join(const float *a, const float *b, float *y, int n, int m)
{
    int both = meet(a, n, y, n + m) && meet(b, m, y, n + m);
    for (int k = 0; k < n; k++) {
        int i = both ? (k * 3 + 1) % n : k;
        y[i] = a[both ? (i + 1) % n : i];
    }
    for (int i = 0; i < m; i++)
        y[n + i] = b[i];
}
"""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        made = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(made))
        yield made


Library_ = Callable[[str], Path]


@pytest.fixture
def folder(tmp_path: Path) -> Library_:
    """Write a library of one kernel."""

    def write(code: str) -> Path:
        place = tmp_path / "kernels"
        place.mkdir(exist_ok=True)
        (place / "join.toml").write_text(JOIN)
        (place / "join.c").write_text(code)
        return place

    return write


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """Two inputs that die as they are joined."""
    draft = Draft()
    a, b, y = draft.tensor((11, 16)), draft.tensor((7, 16)), draft.tensor((18, 16))
    draft.operator("CONCATENATION", [a, b], [y], "Concatenation", axis=0)
    path = tmp_path / "join.tflite"
    path.write_bytes(draft.io([a, b], [y]).file())
    return read_model(path)


def reread(measured: Measured, model: Model, path: Path) -> Measured:
    """As a plan finds it: from the file."""
    write_overlaps(measured, path)
    return read_overlaps(path, model)


def test_both_inputs_at_once(model: Model, folder: Library_, tmp_path: Path) -> None:
    measured = measure_described(model, Library(str(folder(KIND))))
    found = proven_plan(model, reread(measured, model, tmp_path / "o.json"))
    assert found.plan.arena_bytes == 18 * 16 * 4
    assert len(found.shared) == 2
    assert found.placement is not None
    assert (found.placement.operators, found.placement.not_run) == ((0,), {})
    assert found.proven == (
        "at this placement: 1 operators, all overlaps of each at once, on 3 seeded inputs"
    )


def test_right_when_each_is_overlapped_alone(
    model: Model, folder: Library_, tmp_path: Path
) -> None:
    """Both pairs are proven, and together they are wrong: planned anew without them."""
    measured = measure_described(model, Library(str(folder(BOTH))))
    assert all(pair.safe_overlap_bytes == pair.input_bytes for pair in measured.operators[0].pairs)
    found = proven_plan(model, reread(measured, model, tmp_path / "o.json"))
    assert found.plan.arena_bytes == 2 * 18 * 16 * 4
    assert found.shared == ()
    assert found.placement is not None
    assert 'bytes of "y" differ where the plan puts them' in found.placement.withdrawn[0]


def test_a_displacement_that_is_too_small_is_refuted(
    model: Model, folder: Library_, tmp_path: Path
) -> None:
    """Whatever the overlaps say: here that anything goes."""
    measured = measure_described(model, Library(str(folder(KIND))))
    [operator] = measured.operators
    pairs = tuple(
        replace(p, min_displacement_bytes=0, mirror_displacement_bytes=0) for p in operator.pairs
    )
    false = replace(measured, operators=(replace(operator, pairs=pairs[1:]),))
    found = proven_plan(model, reread(false, model, tmp_path / "o.json"))
    assert found.placement is not None
    assert list(found.placement.withdrawn) == [0]


def test_a_tensor_given_twice_is_one_place(tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    path.write_bytes(small().file())
    model = read_model(path)
    found = proven_plan(model, measure_described(model, Library("c")))
    assert found.placement is not None
    assert found.placement.operators == (0, 1, 2)
    assert found.placement.withdrawn == {}


def gone(place: Path, cache: Path) -> None:
    shutil.rmtree(place)


def not_kept(place: Path, cache: Path) -> None:
    shutil.rmtree(cache / "diagmem")


def no_source(place: Path, cache: Path) -> None:
    (place / "join.c").unlink()


def another_call(place: Path, cache: Path) -> None:
    (place / "join.toml").write_text(JOIN.replace('value = "inner1"', 'value = "inner1 - 1"'))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (gone, "kernels: no such folder, expected"),
        (no_source, '"source": there is no file "join.c"'),
        (another_call, "join.toml: says other than when it was measured"),
        (not_kept, "join.toml: the build that was measured is not kept"),
    ],
)
def test_what_cannot_be_run_is_not_proven(
    change: Callable[[Path, Path], None],
    why: str,
    model: Model,
    folder: Library_,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = folder(KIND)
    overlaps, planned = tmp_path / "o.json", tmp_path / "planned.tflite"
    write_overlaps(measure_described(model, Library(str(place))), overlaps)
    change(place, cache)
    assert main(["plan", model.path, "--overlaps", str(overlaps), "-o", str(planned)]) == 0
    out, _ = capsys.readouterr()
    [line] = [line for line in out.splitlines() if line.startswith("  proven ")]
    assert line.startswith("  proven       not at this placement: operator 0: ")
    assert why in line
    made = read_provenance(read_model(planned))
    assert made is not None
    assert made["proven"].startswith("not at this placement: operator 0: ")


def test_a_file_that_does_not_say_where_its_kernels_are(
    model: Model, folder: Library_, tmp_path: Path
) -> None:
    measured = measure_described(model, Library(str(folder(KIND))))
    words = {"kernels": "c", "parameters": {"flags": "\0", "compiler": "\x1b[1m", "": 3}}
    names = [{"kernels": name} for name in (["x"], "\0x", "x" * 5000, "\ud800", "/dev/null", "")]
    target = {"kernels": "c", "parameters": {}, "target": "vax"}
    for library in (None, 3, *names, words, target, {"kernels": "c", "parameters": {"a": 1}}):
        about = {**measured.about, "library": library}
        found = proven_plan(model, replace(measured, about=about))
        assert found.placement is not None
        assert list(found.placement.not_run) == [0]
        assert found.proven.isprintable()
    assert "measure again" in proven_plan(model, replace(measured, about={})).proven


def test_another_build_of_that_name_is_not_run(model: Model, folder: Library_) -> None:
    measured = measure_described(model, Library(str(folder(KIND))))
    [operator] = measured.operators
    for build in ("../../../x", "", "0" * 32):
        other = replace(measured, operators=(replace(operator, build=build),))
        assert "is not kept" in proven_plan(model, other).proven
