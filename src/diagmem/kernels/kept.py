"""Running a kernel again just as it was: the same build, called in the same way.

Nothing is compiled, so a file that says how does not get a compiler started.
"""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from diagmem.kernels.build import Built
from diagmem.kernels.cache import cache_directory
from diagmem.kernels.cortex_m.start_up import target_of
from diagmem.kernels.driver import signature
from diagmem.kernels.kernel import Kernel

_IDENTITY = re.compile(r"[0-9a-f]{32}", re.ASCII)


def call_identity(kernel: Kernel) -> str:
    """Equal for equal calls: the function, its arguments, buffers and what they hold; also
    the content of shared libraries, which a build only refers to.  Not where the
    description lies."""
    nowhere = replace(kernel.code, files=(), directory=Path(), include=())
    call = replace(kernel, file="", name="", parameters={}, attributes={}, code=nowhere)
    hashed = sha256(repr(call).encode())
    if kernel.code.kind == "library":
        for file in kernel.code.files:
            hashed.update(file.read_bytes())
    return hashed.hexdigest()[:32]


def kept_build(kernel: Kernel, identity: str) -> Built | None:
    """The build of that `Built.identity`, if an earlier run has left it in the cache."""
    binary = cache_directory() / identity / "driver"
    if not _IDENTITY.fullmatch(identity) or not binary.is_file():
        return None
    return Built(binary, signature(kernel), identity, "", target_of(kernel.code))
