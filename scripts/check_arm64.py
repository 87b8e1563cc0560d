#!/usr/bin/env python3
"""The tool's own tests and `make demo` on an emulated arm64 Debian: slow, so not in CI.

A root by debootstrap, whose packages are configured under QEMU's user emulation (binfmt);
then a whole system in `qemu-system-aarch64` with Debian's kernel and that root as its
initial file system, because Valgrind does not run under user emulation.  Needs root.

Exit codes as those of check_distributions.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.check_distributions import (
    CLONE,
    NAMES,
    REPOSITORY,
    Clock,
    NotPossibleError,
    copy_tree,
    in_root,
    make_root,
    remove,
    say,
    settle,
)

PACKAGES = "make,python3,python3-venv,gcc,libc6-dev,valgrind"
PROGRAMS = {
    "debootstrap": "debootstrap",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-aarch64-static": "qemu-user-static",
    "update-binfmts": "binfmt-support",
    "cpio": "cpio",
}
LIBRARIES = (
    "python3 -m venv .venv && .venv/bin/python -m pip install --editable . && touch .venv/core"
)
KERNEL = (
    "apt-get update --quiet && cd /boot && apt-get download --quiet "
    "$(apt-cache depends linux-image-arm64 | sed -n 's/.*Depends: \\(linux-image[^ ]*\\).*/\\1/p')"
)
COMMANDS = "make -C valgrind-tool check && make demo"
INIT = f"""#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/shm; mount -t tmpfs tmp /dev/shm; mount -t tmpfs tmp /tmp
uname -srm
cd "/{CLONE}"
sh -c "$(cat /commands)"
echo "EXIT CODE $?"
echo o >/proc/sysrq-trigger
sleep 60
"""


def allow_user_emulation() -> None:
    """Have the kernel start arm64 programs with QEMU, as binfmt-support does at boot."""
    registered = Path("/proc/sys/fs/binfmt_misc")
    if not (registered / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", registered], check=False)
    for verb in ("--import", "--enable"):
        subprocess.run(["update-binfmts", verb, "qemu-aarch64"], capture_output=True, check=False)
    if not (registered / "qemu-aarch64").exists():
        raise NotPossibleError("this kernel starts no arm64 programs (binfmt_misc)")


def boot(root: Path, commands: str, megabytes: int, clock: Clock) -> None:
    """Run shell commands in the emulated system; what it prints is shown as it comes."""
    (root / "init").write_text(INIT, encoding="utf-8")
    (root / "init").chmod(0o755)
    (root / "commands").write_text(commands, encoding="utf-8")
    disk, kernel = root.with_name("arm64.cpio"), root.with_name("arm64-linux")
    (package,) = (root / "boot").glob("linux-image-*.deb")
    unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -xO --wildcards "./boot/vmlinuz-*" >"$2"'
    subprocess.run(["sh", "-c", unpack, "-", package, kernel], check=True)
    package.unlink()
    pack = (
        'cd "$1" && find . -xdev -path ./var/cache -prune -o -path ./usr/share/doc -prune -o -print'
        ' | cpio --create --format=newc --quiet >"$2"'
    )
    subprocess.run(["sh", "-c", pack, "-", root, disk], check=True)
    command = ["qemu-system-aarch64", "-M", "virt", "-cpu", "max", "-smp", "2"]
    command += ["-m", str(megabytes), "-nographic", "-no-reboot", "-nic", "none"]
    command += ["-kernel", str(kernel), "-initrd", str(disk)]
    command += ["-append", "console=ttyAMA0 rdinit=/init quiet"]
    with subprocess.Popen(
        ["timeout", f"{clock.left():.0f}", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(f"   {line}", end="", flush=True)
            lines.append(line.strip())
    if process.returncode == 124:
        raise NotPossibleError("out of time")
    if "EXIT CODE 0" not in lines:
        raise SystemExit(f"FAILED on arm64: {commands}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("release", nargs="?", default="12", help="12, 13 or a code name (12)")
    parser.add_argument("--run", default=COMMANDS, metavar="COMMANDS", help=f"({COMMANDS})")
    parser.add_argument("--seconds", type=float, default=7200, help="for all (7200)")
    parser.add_argument("--memory", type=int, default=6144, metavar="MB", help="(6144)")
    args = parser.parse_args()
    missing = [package for name, package in PROGRAMS.items() if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        why = f"apt-get install {' '.join(missing)}" if missing else "needs root"
        print(f"check_arm64: {why}", file=sys.stderr)
        return 2
    release = NAMES.get(args.release, args.release)
    root = REPOSITORY / "build" / "roots" / f"{release}-arm64"
    root.parent.mkdir(parents=True, exist_ok=True)
    clock, began = Clock(args.seconds), time.monotonic()
    try:
        allow_user_emulation()
        remove(root)
        make_root(release, root, clock, PACKAGES, "--arch=arm64")
        settle(root)
        copy_tree(root)
        say("Python packages and a kernel, under user emulation")
        in_root(root, LIBRARIES, clock)
        in_root(root, KERNEL, clock)
        say(f"in the emulated system: {args.run}")
        boot(root, args.run, args.memory, clock)
    except NotPossibleError as error:
        print(f"NOT CHECKED: {error}", file=sys.stderr)
        return 3
    remove(root)
    say(f"arm64, {release}: all passed in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
