"""Is what diagmem calls proven true?  Other inputs, run overlapped, decide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from diagmem.kernels.description import load
from diagmem.kernels.kernel import Kernel
from diagmem.proof.proof import Proof
from diagmem.proof.prove import prove
from diagmem.proof.runs import Results, Runs

from .generate import generate

FRESH = range(1000, 1003)
"""Seeds of inputs that no proof has seen."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one kernel, one compiler and one level."""

    kind: str
    """``tight``, ``not tight``, ``mended``, ``data-dependent``, ``not proven`` or ``WRONG``."""
    detail: str


def written(directory: Path, seed: int, number: int, compiler: str, level: str) -> Kernel:
    """A generated kernel as a description, ready to be built."""
    directory.mkdir(parents=True, exist_ok=True)
    made = generate(seed, number)
    (directory / "f.c").write_text(made.source)
    (directory / "kernel.toml").write_text(made.toml)
    return load(directory / "kernel.toml", {"compiler": compiler, "flags": level})


def judge(kernel: Kernel, proof: Proof | None = None) -> Verdict:
    """Prove a kernel's displacement, and run it there and above on fresh inputs."""
    proof = proof or prove(kernel)
    if proof.data_dependent:
        return Verdict("data-dependent", proof.why)
    if not proof.proven:
        return Verdict("not proven", proof.why or str(proof.first_difference or proof.stopped))
    wrong = _refuted(kernel, proof)
    if wrong:
        return Verdict("WRONG", wrong)
    if proof.min_displacement_bytes != proof.traced_displacement_bytes:
        return Verdict("mended", proof.why)
    if proof.tight:
        return Verdict("tight", "")
    return Verdict("not tight", _reason(proof))


def _refuted(kernel: Kernel, proof: Proof) -> str:
    runs = Runs(Results(kernel, FRESH))
    first = proof.min_displacement_bytes
    for trial in runs.each(range(first, runs.output.size_bytes, runs.cell_bytes)):
        if not trial.holds:
            return f"proven from {first} bytes on, at {trial.displacement_bytes}: {trial}"
    return ""


def _reason(proof: Proof) -> str:
    for word in ("decided by", "never written", "read before they are written"):
        if any(word in note for note in proof.notes):
            return word
    return "other"
