"""What a trace's header says of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Header:
    """Facts about a run; what the recorder did not write is empty.

    Attributes
    ----------
    mode : ``events`` or ``summary``.
    everything : accesses outside the buffers are recorded, too.
    overlapped : buffers lie over each other.
    diagmem, valgrind, qemu : versions of what recorded it.
    platform : of the program, as Valgrind names it.
    imported : what log the trace was made from.
    kernel, compiler, flags, parameters : of a described kernel.
    record : all of it, as it is in the file.
    """

    mode: str = ""
    everything: bool = False
    overlapped: bool = False
    diagmem: str = ""
    valgrind: str = ""
    qemu: str = ""
    platform: str = ""
    imported: str = ""
    kernel: str = ""
    compiler: str = ""
    library: str = ""
    command: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """From the record.  Fields that `diagmem.trace.records.RECORDS` has were checked;
        of others, what is of another type than it should be counts as not there."""

        def text(key: str) -> str:
            value = record.get(key)
            return "" if value is None else str(value)

        def texts(key: str) -> tuple[str, ...]:
            value = record.get(key)
            return tuple(map(str, value)) if isinstance(value, list) else ()

        parameters = record.get("parameters")
        return cls(
            mode=text("mode"),
            everything=bool(record.get("everything")),
            overlapped=bool(record.get("overlapped")),
            diagmem=text("diagmem"),
            valgrind=text("valgrind"),
            qemu=text("qemu"),
            platform=text("platform"),
            imported=text("imported"),
            kernel=text("kernel"),
            compiler=text("compiler"),
            library=text("library"),
            command=texts("command"),
            functions=texts("functions"),
            flags=texts("flags"),
            parameters={key: str(value) for key, value in parameters.items()}
            if isinstance(parameters, dict)
            else {},
            record=record,
        )

    @property
    def recorded_by(self) -> list[str]:
        """Tools with their versions, and the platform."""
        tools = {"diagmem": self.diagmem, "valgrind": self.valgrind}
        named = [f"{name} {version}" for name, version in tools.items() if version]
        return [*named, self.platform] if self.platform else named
