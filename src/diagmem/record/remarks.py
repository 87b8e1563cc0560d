"""What is odd about a recording: warnings for who asked for it."""

from __future__ import annotations

from collections.abc import Iterator

from diagmem.base.shell import quoted
from diagmem.record.request import Request
from diagmem.record.run import exit_text
from diagmem.record.stream import Entry, Received


def remarks(request: Request, received: Received, exit_code: int) -> tuple[str, ...]:
    """The warnings that a trace comes with."""
    warnings = [
        f"{name} is itself what is traced: copies are recorded by their own accesses"
        for name in request.traced_copies
    ]
    for name in request.watch:
        if name not in received.present and name not in received.missing:
            warnings.append(f"nothing declared a buffer {name!r}, which was to be watched")
    for name, reason in received.missing.items():
        if name in received.present:
            warnings.append(f"buffer {name!r} was not there in every window: {reason}")
        else:
            warnings.append(f"buffer {name!r} was not there in any window: {reason}")
    warnings += [f"window {index}: {how}" for index, how in received.unfinished.items()][:3]
    warnings += _of_functions(received)
    if received.empty and not request.everything:
        warnings.append(_without_events(received))
    if exit_code:
        warnings.append(f"the program ended with {exit_text(exit_code)}")
    return tuple(warnings)


def _of_functions(received: Received) -> Iterator[str]:
    """What a name stood for, where that is not what one would think."""
    for one in received.picked:
        if any(one.place == entry.place for entry in received.entries):
            yield (
                f"{one.symbol} is picked at run time (an IFUNC): these are calls of {one.function},"
                " picked for the processor that Valgrind shows; on another it may be another"
            )
    by_name: dict[str, list[Entry]] = {}
    for entry in received.entries:
        by_name.setdefault(entry.symbol, []).append(entry)
    for name, same_name in by_name.items():
        if name and len(same_name) > 1:
            each = ", ".join(f"{e.place} (windows of {e.function})" for e in same_name)
            choose = f"choose one: --function {quoted(same_name[0].place)}"
            yield f"{name} is {len(same_name)} functions: {each}; {choose}"


def _without_events(received: Received) -> str:
    """A window without a single event tells nothing of its function."""
    empty = received.empty
    if len(empty) == received.windows:
        which = "no window has an event"
    else:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        which = f"window {empty[0]}{more} of {received.windows} has no event"
    if not received.present and not received.missing:
        return f"{which}: no buffer was named (--input NAME=PLACE, --output NAME=PLACE)"
    return f"{which}: what was called there touched none of the buffers; are they the right ones?"
