"""``diagmem formula``: D and O_s of an operator from its attributes alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagmem.base.errors import DiagmemError
from diagmem.base.files import JsonObject
from diagmem.cli.common import add_json, add_output, check_output, hint, show

if TYPE_CHECKING:
    from diagmem.ops.answer import Answer, Figure

_EPILOG = """\
methods:
  exact        a closed form of the reference kernel's loop order (default)
  algorithmic  that loop nest run on indices: when each element is read and written
  paper        the bound that the authors of diagonal memory optimisation published

  diagmem formula CONV_2D input=1x17x9x5 filter=3x4 output_channels=16 dtype=int8
  diagmem formula ADD input1=1x6x5x4 input2=1x1x1x4
  diagmem formula CONV_2D                      its attributes and an example
  diagmem formula                              all operators

A formula speaks of a loop order; 'diagmem check' holds it against compiled kernels.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument(
        "operator", metavar="OPERATOR", nargs="?", help="as TFLite spells it, such as CONV_2D"
    )
    parser.add_argument("attributes", nargs="*", metavar="key=value", help="its attributes")
    parser.add_argument(
        "--method", choices=("exact", "algorithmic", "paper"), default="exact", help="[%(default)s]"
    )
    parser.add_argument(
        "--order", default="reference", help="loop order of another kernel [%(default)s]"
    )
    add_output(parser, "draw both frontiers: FILE.png, .svg or .pdf")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.ops import OPERATORS, find_operator
    from diagmem.ops.answer import answer
    from diagmem.ops.attributes import parse_words

    if args.output is not None and not args.attributes:
        raise DiagmemError(f"{args.output}: a picture is of an operator with its attributes")
    if args.operator is None:
        return _list(sorted(OPERATORS), args)
    operator = find_operator(args.operator)
    if not args.attributes:
        return _describe(operator.name, args)
    if args.output is not None:
        _check_picture(args)
    layer = operator.layer(parse_words(args.attributes))
    figures = answer(layer, args.method, args.order)
    if args.output is not None:
        from diagmem.plot.frontiers import draw

        draw(layer, args.order, args.output)
    words = operator.words(layer)
    show(args, lambda: _as_json(figures, words), lambda: _lines(figures, words))
    hint("diagmem", "check", "--op", operator.name, note="the formula against compiled kernels")
    return 0


def _check_picture(args: argparse.Namespace) -> None:
    from diagmem.plot.sheet import check_extension

    output: Path = args.output
    check_extension(output)
    check_output(output, args.force)


def _list(names: list[str], args: argparse.Namespace) -> int:
    show(args, lambda: {"operators": names}, lambda: names)
    hint("diagmem", "formula", "OPERATOR", note="its attributes and an example")
    return 0


def _describe(name: str, args: argparse.Namespace) -> int:
    from diagmem.ops import OPERATORS
    from diagmem.ops.attributes import show as written

    operator = OPERATORS[name]
    defaults = {a: None if a.default is None else written(a.default) for a in operator.attributes}
    data = {
        "operator": name,
        "attributes": {
            a.name: {"written": a.sample, "default": default} for a, default in defaults.items()
        },
        "orders": ["reference", *operator.orders],
        "example": operator.example,
    }
    lines = [f"{name}: {' '.join((operator.nest.__doc__ or '').split())}"]
    for attribute, default in defaults.items():
        shown = "" if default is None else f" [{default}]"
        lines.append(f"  {attribute.name:20} {attribute.sample}{shown}")
    if operator.orders:
        lines.append(f"  --order              reference, {', '.join(operator.orders)}")
    show(args, lambda: data, lambda: lines)
    if not args.json:
        hint("diagmem", "formula", name, *operator.example.split())
    return 0


def _as_json(answer: Answer, words: dict[str, str]) -> JsonObject:
    return {
        "operator": answer.layer.operator,
        "attributes": words,
        "method": answer.method,
        "order": answer.order,
        "inputs": _tensors_as_json(answer.layer.inputs),
        "outputs": _tensors_as_json(answer.layer.outputs),
        "min_displacement_bytes": answer.min_displacement_bytes,
        "safe_overlap_bytes": answer.safe_overlap_bytes,
        "pairs": [_pair_as_json(pair) for pair in answer.pairs],
    }


def _tensors_as_json(tensors: Any) -> list[JsonObject]:
    return [
        {"name": t.name, "shape": list(t.shape), "dtype": t.dtype, "bytes": t.size_bytes}
        for t in tensors
    ]


def _pair_as_json(pair: Figure) -> JsonObject:
    from diagmem.analysis.overlap import Overlap
    from diagmem.ops.analytical import Exact

    data: JsonObject = pair.as_json()
    if isinstance(pair, Exact):
        limit = pair.conflict
        data["limit"] = limit and {
            "output_offset_bytes": limit.output_offset,
            "input_offset_bytes": limit.input_offset,
            "written_at": {name: at for name, (at, _) in limit.iterations.items()},
            "read_at": {name: at for name, (_, at) in limit.iterations.items()},
        }
    elif isinstance(pair, Overlap):
        data["limit"] = pair.limit and pair.limit.as_json()
        data["mirror_displacement_bytes"] = pair.mirror_displacement_bytes
        data["isolated_safe_displacements"] = list(pair.isolated_safe_displacements)
    else:
        data["refused"] = pair.refused
    return data


def _lines(answer: Answer, words: dict[str, str]) -> list[str]:
    layer = answer.layer
    given = " ".join(f"{name}={value}" for name, value in words.items())
    lines = [f"{layer.operator} {given}", f"  {answer.method}, loop order: {answer.order}"]
    tensors = {t.name: t for t in (*layer.inputs, *layer.outputs)}
    for pair in answer.pairs:
        source, target = tensors[pair.input], tensors[pair.output]
        shared = min(pair.input_bytes, pair.output_bytes)
        share = f" ({100 * pair.safe_overlap_bytes / shared:.1f} %)" if shared else ""
        lines += [
            f"  {_named(source)} over {_named(target)}",
            f"    minimum displacement  D   = {pair.min_displacement_bytes:,} B",
            f"    safe overlap          O_s = {pair.safe_overlap_bytes:,} B{share}",
        ]
        if limit := _limit(pair):
            lines.append(f"    limited by            {limit}")
    return lines


def _named(tensor: Any) -> str:
    from diagmem.ops.attributes import show as written

    return f"{tensor.name} {written(tensor.shape)} {tensor.dtype} ({tensor.size_bytes:,} B)"


def _limit(pair: Figure) -> str:
    from diagmem.analysis.overlap import Overlap
    from diagmem.ops.analytical import Exact

    if isinstance(pair, Exact):
        limit = pair.conflict
        if limit is None:
            return ""
        written = " ".join(f"{name}={at}" for name, (at, _) in limit.iterations.items())
        read = " ".join(f"{name}={at}" for name, (_, at) in limit.iterations.items())
        when = f" at {written}" if written else ""
        then = f" at {read}" if read else " afterwards"
        return (
            f"{pair.output}[{limit.output_offset:,}] written{when}, before"
            f" {pair.input}[{limit.input_offset:,}] is read{then}"
        )
    if isinstance(pair, Overlap):
        if pair.limit is None:
            return ""
        return (
            f"{pair.output}[{pair.limit.output_offset:,}] written at step"
            f" {pair.limit.output_tick:,}, before {pair.input}[{pair.limit.input_offset:,}] is last"
            f" read at step {pair.limit.input_tick:,}"
        )
    return f"no overlap is claimed: {pair.refused}" if pair.refused else ""
