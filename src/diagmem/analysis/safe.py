"""Which displacements of an input over an output are safe, and where the two are put.

The displacement is address(input) - address(output): input byte r and output byte w share a
memory cell when w = displacement + r.

The verifier of plans (`diagmem.arena.verifier`) and the oracle of the tests spell this set
out again, on purpose: what checks an answer must not share the code that gave it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Safe:
    """The safe displacements of one input over one output, in bytes.

    Safe are all from ``min_displacement_bytes`` (D) up, all from
    -``mirror_displacement_bytes`` down, and between the two those that are listed in
    ``isolated_safe_displacements``.
    """

    input: str
    output: str
    input_bytes: int
    output_bytes: int
    min_displacement_bytes: int
    mirror_displacement_bytes: int
    isolated_safe_displacements: tuple[int, ...] = ()

    @property
    def by_construction(self) -> bool:
        """Input and output are one buffer: in place, and nowhere else."""
        return self.input == self.output

    @property
    def safe_overlap_bytes(self) -> int:
        """O_s = clamp(output_bytes - D, 0, input_bytes), what the two share at D (Blacker,
        Bridges and Hadfield, arXiv 2010.01668)."""
        return self.shared_bytes(self.min_displacement_bytes)

    def holds(self, displacement_bytes: int) -> bool:
        """Is that one safe?"""
        return (
            displacement_bytes >= self.min_displacement_bytes
            or displacement_bytes <= -self.mirror_displacement_bytes
            or displacement_bytes in self.isolated_safe_displacements
        )

    def shared_bytes(self, displacement_bytes: int) -> int:
        """How many bytes the two share there, safe or not."""
        return shared_bytes(displacement_bytes, self.input_bytes, self.output_bytes)

    def aligned_displacement_bytes(self, align: int) -> int:
        """D rounded up to a multiple of ``align`` bytes."""
        return -(-self.min_displacement_bytes // align) * align

    def aligned_overlap_bytes(self, align: int) -> int:
        """What the two share at the aligned D."""
        return self.shared_bytes(self.aligned_displacement_bytes(align))

    def __and__(self, other: Safe) -> Safe:
        """What is safe by both, for buffers of the same names and sizes."""
        d = max(self.min_displacement_bytes, other.min_displacement_bytes)
        mirror = max(self.mirror_displacement_bytes, other.mirror_displacement_bytes)
        # Between the bounds both must list it, or one has it beyond its own bound; of the
        # latter kind there is 0 where both bounds are 0.
        listed = {*self.isolated_safe_displacements, *other.isolated_safe_displacements, 0}
        isolated = (s for s in listed if -mirror < s < d and self.holds(s) and other.holds(s))
        return Safe(
            self.input,
            self.output,
            self.input_bytes,
            self.output_bytes,
            d,
            mirror,
            tuple(sorted(isolated)),
        )

    def as_json(self) -> dict[str, object]:
        """The figures that every report of the pair has."""
        return {
            "input": self.input,
            "output": self.output,
            "input_bytes": self.input_bytes,
            "output_bytes": self.output_bytes,
            "min_displacement_bytes": self.min_displacement_bytes,
            "safe_overlap_bytes": self.safe_overlap_bytes,
        }


def shared_bytes(displacement_bytes: int, input_bytes: int, output_bytes: int) -> int:
    """How many bytes an input and an output share at a displacement."""
    end = min(output_bytes, displacement_bytes + input_bytes)
    return max(end - max(displacement_bytes, 0), 0)


@dataclass(frozen=True, slots=True)
class Placement:
    """An input lies so far above an output: address(input) - address(output).

    ``lead_bytes`` is the address of the one with the larger elements, modulo the largest
    alignment.
    """

    input: str
    output: str
    displacement_bytes: int
    lead_bytes: int = 0

    def offsets(self, input_element_bytes: int, output_element_bytes: int) -> dict[str, int]:
        """Where both lie, by name.  The one with the larger elements is aligned, so that
        every displacement that suits the smaller ones is free of unaligned access."""
        if input_element_bytes > output_element_bytes:
            at = {self.input: 0, self.output: -self.displacement_bytes}
        else:
            at = {self.input: self.displacement_bytes, self.output: 0}
        return {name: offset + self.lead_bytes for name, offset in at.items()}
