"""Small random C kernels: loop nests, copies, and the ways in which kernels go wrong.

Number N of seed S is always the same text.  The kernels are functions of their
arguments, free of undefined behaviour while their buffers are apart, and small
enough for every displacement to be tried.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

TYPES = {
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "uint32": "uint32_t",
    "uint64": "uint64_t",
    "float32": "float",
    "float64": "double",
}
WEIGHTS = 64
MAX_ELEMENTS = 160


@dataclass(frozen=True, slots=True)
class Generated:
    """A kernel's C source and its description."""

    source: str
    toml: str
    features: tuple[str, ...]


@dataclass(slots=True)
class _Loop:
    name: str
    extent: int
    down: bool

    @property
    def head(self) -> str:
        if self.down:
            return f"for (int {self.name} = {self.extent - 1}; {self.name} >= 0; {self.name}--)"
        return f"for (int {self.name} = 0; {self.name} < {self.extent}; {self.name}++)"


@dataclass(slots=True)
class _Index:
    """An affine index: a stride for each loop, and a constant."""

    strides: dict[str, int]
    constant: int

    def text(self) -> str:
        terms = [f"{s} * {name}" for name, s in self.strides.items() if s]
        return " + ".join([*terms, str(self.constant)])

    def end(self, loops: list[_Loop]) -> int:
        """One more than the largest value."""
        extents = {loop.name: loop.extent for loop in loops}
        return 1 + self.constant + sum(s * (extents[n] - 1) for n, s in self.strides.items())


@dataclass(slots=True)
class _Kernel:
    """A kernel being made."""

    rng: random.Random
    in_type: str
    out_type: str
    lines: list[str] = field(default_factory=list)
    features: set[str] = field(default_factory=set)
    in_elements: int = 1
    out_elements: int = 1
    stores_input: bool = False

    def loops(self, low: int, high: int) -> list[_Loop]:
        rng = self.rng
        made = []
        total = 1
        for i in range(rng.randint(low, high)):
            extent = rng.randint(1, max(1, min(23 if i == 0 else 7, MAX_ELEMENTS // total)))
            total *= extent
            made.append(_Loop(f"i{i}", extent, rng.random() < 0.2))
        return made

    def dense(self, loops: list[_Loop], *, spread: int = 1) -> _Index:
        """Row-major over the loops in some order, perhaps with gaps."""
        order = list(loops)
        if self.rng.random() < 0.3:
            self.rng.shuffle(order)
            self.features.add("permuted")
        strides, step = {}, spread
        for loop in reversed(order):
            strides[loop.name] = step
            step *= loop.extent
        return _Index(strides, self.rng.choice([0, 0, 0, 1, 3]))

    def affine(self, loops: list[_Loop]) -> _Index:
        """A window, a stride, a broadcast: any small strides."""
        dense = self.dense(loops)
        for loop in loops:
            if self.rng.random() < 0.35:
                dense.strides[loop.name] = self.rng.choice([0, 1, 1, 2, 3])
        return dense

    def reads(self, index: _Index, loops: list[_Loop], beyond: int = 0) -> str:
        self.in_elements = max(self.in_elements, index.end(loops) + beyond)
        return f"x[{index.text()}]"

    def writes(self, index: _Index, loops: list[_Loop], beyond: int = 0) -> str:
        self.out_elements = max(self.out_elements, index.end(loops) + beyond)
        return f"y[{index.text()}]"

    def nest(self, loops: list[_Loop], body: list[str]) -> None:
        depth = 1
        for loop in loops:
            self.lines.append("    " * depth + loop.head + " {")
            depth += 1
        self.lines += ["    " * depth + line for line in body]
        for _ in loops:
            depth -= 1
            self.lines.append("    " * depth + "}")

    def change(self, value: str) -> str:
        """Something that keeps most of a value's bits."""
        kept = f"({TYPES[self.out_type]})({value})"
        return self.rng.choice(
            [kept, f"{kept} + 3", f"change({kept})", f"{kept} + w[i0 % {WEIGHTS}]"]
        )


def _map(k: _Kernel) -> None:
    loops = k.loops(1, 4)
    spread = k.rng.choice([1, 1, 1, 2])
    target = k.writes(k.dense(loops, spread=spread), loops)
    k.nest(loops, [f"{target} = {k.change(k.reads(k.affine(loops), loops))};"])


def _stencil(k: _Kernel) -> None:
    loops = k.loops(1, 3)
    index = k.affine(loops)
    near = k.rng.randint(1, 5)
    first = k.reads(index, loops, near)
    further = f"x[{index.text()} + {near}]"
    target = k.writes(k.dense(loops), loops)
    k.nest(loops, [f"{target} = {k.change(f'{first} + {further}')};"])


def _reduce(k: _Kernel) -> None:
    outer, inner = k.loops(1, 2), k.loops(1, 2)
    for i, loop in enumerate(inner):
        loop.name = f"r{i}"
        loop.extent = min(loop.extent, 5)
    value = k.reads(k.affine(outer + inner), outer + inner)
    target = k.writes(k.dense(outer), outer)
    body = [f"{TYPES[k.out_type]} sum = 1;"]
    for depth, loop in enumerate(inner):
        body.append("    " * depth + loop.head)
    body.append("    " * len(inner) + f"sum += ({TYPES[k.out_type]}){value};")
    k.nest(outer, [*body, f"{target} = sum;"])


def _accumulate(k: _Kernel) -> None:
    """Into the output: cleared by the kernel, or by the caller."""
    loops = k.loops(2, 3)
    kept = loops[: k.rng.randint(1, len(loops))]
    index = k.dense(kept)
    target = k.writes(index, kept)
    if k.rng.random() < 0.6:
        k.features.add("cleared")
        k.nest(kept, [f"{target} = 0;"])
    else:
        k.features.add("accumulator")
    value = k.reads(k.affine(loops), loops)
    order = list(loops)
    k.rng.shuffle(order)
    k.nest(order, [f"{target} += ({TYPES[k.out_type]}){value};"])


def _copy(k: _Kernel) -> None:
    k.out_type = k.in_type
    loops = k.loops(1, 1)
    row, gap = k.rng.randint(1, 9), k.rng.randint(0, 3)
    source = _Index({"i0": row}, 0)
    target = _Index({"i0": row + gap}, k.rng.choice([0, 0, 2]))
    k.reads(source, loops, row)
    k.writes(target, loops, row + gap)
    function = k.rng.choice(["memcpy", "memcpy", "memmove"])
    k.features.add(function)
    k.nest(
        loops,
        [f"{function}(&y[{target.text()}], &x[{source.text()}], {row} * sizeof *y);"]
        + [f"y[{target.text()} + {row + i}] = {i};" for i in range(gap)],
    )


def _prefill(k: _Kernel) -> None:
    k.features.add("memset")
    k.lines.append("    memset(y, 1, sizeof *y * OUT);")


def _wipe(k: _Kernel) -> None:
    loops = k.loops(1, 3)
    value = k.reads(k.dense(loops), loops)
    target = k.writes(k.dense(loops), loops)
    k.stores_input = True
    k.features.add("wipes its input")
    k.nest(loops, [f"{target} = {k.change(value)};", f"{value} = 0;"])


def _data(k: _Kernel) -> None:
    """What is in the input decides what is done."""
    loops = k.loops(1, 2)
    value = k.reads(k.affine(loops), loops)
    target = k.writes(k.dense(loops), loops)
    k.features.add("data-dependent")
    last = f"x[{k.rng.randrange(k.in_elements)}]"
    bit = f"((uint32_t){value} & {k.rng.choice([1, 3, 7])}) == 0"
    k.nest(
        loops,
        k.rng.choice(
            [
                [f"if ({bit}) {target} = {k.change(value)}; else {target} = 7;"],
                [f"{target} = ({bit}) ? {k.change(value)} : {k.change(last)};"],
                [f"{target} = {k.change(value)};", f"if ({bit}) break;"],
            ]
        ),
    )


def _broadcast(k: _Kernel) -> None:
    """The input value is the same all through a row: read once, or each time."""
    rows, columns = k.rng.randint(1, 5), k.rng.choice([3, 4, 8, 16, 17, 31, 32])
    loops = [_Loop("i0", rows, False), _Loop("i1", columns, False)]
    value = k.reads(_Index({"i0": columns}, 0), loops)
    target = k.writes(_Index({"i0": columns, "i1": 1}, 0), loops)
    k.features.add("broadcast")
    k.nest(loops, [f"{target} = ({TYPES[k.out_type]}){value} + w[i1 % {WEIGHTS}];"])


def _two_passes(k: _Kernel) -> None:
    n = k.rng.randint(2, 60)
    loops = [_Loop("i0", n, False)]
    value = k.reads(_Index({"i0": 1}, 0), loops)
    target = k.writes(_Index({"i0": 1}, 0), loops)
    k.features.add("two passes")
    k.lines.append("    {")
    k.lines.append(f"    {TYPES[k.in_type]} total = 0;")
    k.nest(loops, [f"total += {value};"])
    k.nest(loops, [f"{target} = ({TYPES[k.out_type]})({value} + total);"])
    k.lines.append("    }")


def _scratch(k: _Kernel) -> None:
    """A row is gathered first, as im2col does."""
    rows, columns = k.rng.randint(1, 6), k.rng.randint(1, 12)
    step = k.rng.randint(1, columns)
    outer = [_Loop("i0", rows, k.rng.random() < 0.3)]
    both = [*outer, _Loop("i1", columns, False)]
    value = k.reads(_Index({"i0": step, "i1": 1}, 0), both)
    target = k.writes(_Index({"i0": columns, "i1": 1}, 0), both)
    k.features.add("scratch")
    k.nest(
        outer,
        [
            f"{TYPES[k.in_type]} row[{columns}];",
            f"{both[1].head} row[i1] = {value};",
            f"{both[1].head} {target} = ({TYPES[k.out_type]})row[{columns - 1} - i1];",
        ],
    )


PHASES: list[tuple[Callable[[_Kernel], None], int]] = [
    (_map, 6),
    (_stencil, 3),
    (_reduce, 4),
    (_accumulate, 3),
    (_copy, 3),
    (_wipe, 1),
    (_data, 2),
    (_broadcast, 3),
    (_two_passes, 2),
    (_scratch, 2),
]


def generate(seed: int, number: int) -> Generated:
    """Kernel ``number`` of a seed."""
    rng = random.Random(f"{seed}:{number}")
    name = rng.choice(list(TYPES))
    other = name if rng.random() < 0.6 else rng.choice(list(TYPES))
    # No conversion between floating point and whole numbers: out of range it is
    # undefined.
    if name.startswith("float") != other.startswith("float"):
        other = name
    k = _Kernel(rng, name, other)
    functions, odds = zip(*PHASES, strict=True)
    phases = rng.choices(functions, odds, k=rng.choice([1, 1, 1, 2]))
    if _copy in phases:
        k.out_type = k.in_type
    if rng.random() < 0.1:
        _prefill(k)
    for phase in phases:
        phase(k)
    restrict = "restrict " if rng.random() < 0.2 else ""
    if restrict:
        k.features.add("restrict")
    return Generated(_source(k, restrict), _toml(k), tuple(sorted(k.features)))


def _source(k: _Kernel, restrict: str) -> str:
    inline = k.rng.choice(["static inline", "static __attribute__((noinline))"])
    out = TYPES[k.out_type]
    const = "" if k.stores_input else "const "
    return "\n".join(
        [
            "#include <stdint.h>",
            "#include <string.h>",
            f"enum {{ OUT = {k.out_elements} }};",
            f"{inline} {out} change({out} v) {{ return v + v + 1; }}",
            f"void f({const}{TYPES[k.in_type]} *{restrict}x, const {out} *{restrict}w,"
            f" {out} *{restrict}y)",
            "{",
            "    (void)w, (void)change;",
            *k.lines,
            "}",
            "",
        ]
    )


def _toml(k: _Kernel) -> str:
    def argument(name: str, role: str, dtype: str, elements: int) -> str:
        return f'  {{ name = "{name}", role = "{role}", dtype = "{dtype}", shape = [{elements}] }},'

    return "\n".join(
        [
            'function = "f"',
            'source = "f.c"',
            "argument = [",
            argument("x", "input", k.in_type, k.in_elements),
            argument("w", "weights", k.out_type, WEIGHTS),
            argument("y", "output", k.out_type, k.out_elements),
            "]",
            "",
        ]
    )
