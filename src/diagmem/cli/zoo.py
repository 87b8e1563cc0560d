"""``diagmem zoo``: well-known networks to try things on."""

from __future__ import annotations

import argparse
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.base.files import replacing
from diagmem.cli.common import (
    add_json,
    add_output,
    check_output,
    hint,
    not_negative,
    say,
    show,
)

_EPILOG = """\
The networks are graphs as TensorFlow's converter wrote them, without weights: they
plan as they are.  'write' fills in seeded weights and scales, so that TensorFlow Lite
Micro runs them; what they compute means nothing.

  diagmem zoo list
  diagmem zoo write mobilenet_v1_0.25_128_int8 -o net.tflite
  diagmem zoo write resnet50_v2_f32 --graph -o graph.tflite      without weights
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("what", choices=("list", "write"), help="list them, or write one")
    parser.add_argument("name", nargs="?", metavar="NAME", help="which one to write")
    parser.add_argument("--seed", type=not_negative, metavar="N", help="of weights [0]")
    parser.add_argument("--graph", action="store_true", help="write the graph alone, small")
    add_output(parser, "where it goes")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.what == "list":
        return _list(args)
    if args.name is None:
        raise DiagmemError("zoo write: which one? diagmem zoo list names them")
    output = args.output or Path(f"{args.name}.tflite")
    return _write(args, output)


def _list(args: argparse.Namespace) -> int:
    from diagmem.tflite.graph import lifetimes
    from diagmem.tflite.zoo import NETWORKS, PAPER, open_zoo

    if args.graph or args.force or {args.name, args.output, args.seed} != {None}:
        raise DiagmemError("zoo list takes neither a name nor options but --json; it lists all")
    rows = []
    for name, network in NETWORKS.items():
        model = open_zoo(name)
        sizes = {t.index: t.size_bytes for t in model.activations}
        live = [0] * len(model.operators)
        for life in lifetimes(model):
            for step in range(life.start, life.end):
                live[step] += sizes[life.tensor]
        rows.append(
            {
                "name": name,
                "architecture": network.architecture,
                "dtype": network.dtype,
                "operators": len(model.operators),
                "largest_live_sum_bytes": max(live),
                "of_the_paper": name in PAPER,
            }
        )
    lines = [f"{'':29}{'operators':>9}  {'largest live sum':>16}"]
    for row in rows:
        star = "*" if row["of_the_paper"] else " "
        lines.append(
            f"{row['name']:27} {star}{row['operators']:9,}"
            f"  {row['largest_live_sum_bytes']:14,} B  {row['architecture']}"
        )
    show(args, lambda: {"networks": rows}, lambda: lines)
    if not args.json:
        say("* one of the eleven of arXiv 2010.01668")
    hint("diagmem", "zoo", "write", "NAME", "-o", "net.tflite")
    return 0


def _write(args: argparse.Namespace, output: Path) -> int:
    from diagmem.tflite.zoo import network_bytes, write_filled

    if args.graph and args.seed is not None:
        raise DiagmemError("--seed is of weights, which --graph leaves out")
    check_output(output, args.force, endings=(".tflite",))
    if args.graph:
        graph = network_bytes(args.name)
        with replacing(output) as file:
            file.write(graph)
    else:
        write_filled(args.name, output, args.seed or 0)
    size = output.stat().st_size
    data = {"name": args.name, "path": str(output), "bytes": size, "graph": args.graph}
    show(args, lambda: data, lambda: [f"{output}: {size:,} bytes"])
    verb = "plan" if args.graph else "measure"
    hint("diagmem", verb, output, *(() if args.graph else ("-o", "overlaps.json")))
    return 0
