#!/usr/bin/env python3
"""README's two commands on bare Debian systems, each in a root of its own.

For every release: a root by debootstrap with only make and Python in it, a copy of the
working tree inside (its path has a space), README's commands run there exactly as they are
printed, and the figures of the demo compared between the releases.  `--run` replaces the
commands.

Needs root, debootstrap and util-linux's unshare; standard library only.  Package sources,
apt's and pip's settings are this machine's, taken when it runs; what was downloaded is kept
in $DIAGMEM_ROOTS, by default ~/.cache/diagmem-roots.

Exit codes: 0 all well; 1 a command failed or figures differ; 2 the call is wrong, or this
machine cannot make roots; 3 nothing failed, but the network or the time did not suffice.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CLONE = "root/a clone"
"""Where the working tree lies in a root: a path with a space, as users have them."""
BARE = "make,python3,python3-venv"
NAMES = {"12": "bookworm", "13": "trixie"}
"""Debian's numbers; any code name will do besides."""
FIGURES = re.compile(
    r"D +=  *[\d,]+ B|O_s += [\d,]+ B|displacement \d+ bytes: .*|tight: .*|\d+ x \d+ pixels"
)
"""Of what the demo prints; ticks and the number of trials follow compiler and load."""
NETWORK = re.compile(
    r"Failed to fetch|Temporary failure|Could not resolve|Connection (?:timed out|reset|refused)"
    r"|ReadTimeout|ConnectTimeout|NewConnectionError|Hash Sum mismatch|Release file .* expired"
)
SETTINGS = ("/etc/pip.conf", "/etc/xdg/pip", "/etc/apt/auth.conf.d", "/etc/resolv.conf")
USER_SETTINGS = (".config/pip", ".pip")


class NotPossibleError(Exception):
    """The machine, its network or the time: nothing that the product did wrong."""


class Clock:
    """What is left of the time that all this may take."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise NotPossibleError("out of time")
        return seconds


def readme_commands() -> list[str]:
    """The first shell block of the README, its comments removed."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    if block is None:
        raise SystemExit("README.md: no block of shell commands, expected ```sh")
    lines = [line.partition("#")[0].strip() for line in block[1].splitlines()]
    return [line for line in lines if line]


def say(text: str) -> None:
    print(f"-- {text}", flush=True)


def run(command: Sequence[str], clock: Clock, log: Path) -> None:
    """Run quietly; what it printed is in `log`."""
    with log.open("ab") as out:
        try:
            done = subprocess.run(
                command, stdout=out, stderr=out, check=False, timeout=clock.left()
            )
        except subprocess.TimeoutExpired:
            raise NotPossibleError(f"out of time: {shlex.join(command)}") from None
    if done.returncode != 0:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise NotPossibleError(f"{command[0]} failed ({log}): {' '.join(last)}")


def cache() -> Path:
    kept = os.environ.get("DIAGMEM_ROOTS")
    place = Path(kept) if kept else Path.home() / ".cache" / "diagmem-roots"
    place.mkdir(parents=True, exist_ok=True)
    return place


def package_source() -> list[str]:
    """The mirror that this machine uses; none: debootstrap's own."""
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    own = re.search(r"^VERSION_CODENAME=(.*)$", release, re.MULTILINE)
    command = ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        name, _, place = line.partition(" ")
        if own and name == own[1].strip('"'):
            return [place]
    return []


def make_root(release: str, into: Path, clock: Clock, packages: str = BARE, *options: str) -> None:
    """A bare system, from the copy that was kept or by debootstrap."""
    kept = cache() / f"{into.name}.tar"
    log = into.with_name(f"{into.name}.log")
    if not kept.is_file():
        say(f"{into.name}: debootstrap")
        new = into.with_name(f"{into.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={packages}", *options]
        script = Path("/usr/share/debootstrap/scripts") / release
        source = package_source()
        end = [] if script.exists() or not source else [str(script.with_name("sid"))]
        run([*command, release, str(new), *source, *end], clock, log)
        part = kept.with_name(f"{into.name}.{os.getpid()}.part")
        run(["tar", "-C", str(new), "-cf", str(part), "."], clock, log)
        part.rename(kept)
        shutil.rmtree(new)
    into.mkdir()
    run(["tar", "-C", str(into), "-xf", str(kept)], clock, log)


def settle(root: Path) -> None:
    """This machine's way to its package registries, and nothing else of it."""
    home = Path.home()
    places = [Path(place) for place in SETTINGS]
    for place in (*places, *(home / name for name in USER_SETTINGS)):
        inside = place.relative_to(home) if place.is_relative_to(home) else None
        target = root / "root" / inside if inside else root / place.relative_to("/")
        if place.is_dir():
            shutil.copytree(place, target, dirs_exist_ok=True)
        elif place.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copyfile(place, target)
    dump = subprocess.run(
        ["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False
    )
    (root / "etc/apt/apt.conf.d/50-from-the-machine").write_text(dump.stdout, encoding="utf-8")
    for certificates in filter(None, map(os.environ.get, ("PIP_CERT", "SSL_CERT_FILE"))):
        target = root / Path(certificates).relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(certificates, target)


def copy_tree(root: Path) -> None:
    """The working tree: what git tracks and what it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        source, target = REPOSITORY / name, root / CLONE / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def environment() -> dict[str, str]:
    passed = re.compile(r"PIP_\w+|\w+_proxy|SSL_CERT_FILE|ALLOW_SKIPS", re.IGNORECASE)
    return {
        **{name: value for name, value in os.environ.items() if passed.fullmatch(name)},
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        # Kept outside of the root: the next run downloads nothing twice.
        "PIP_CACHE_DIR": "/var/cache/pip",
    }


INSIDE = """
set -e
mount --make-rprivate /
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
name=${1##*/}
mkdir -p "$1/var/cache/pip" "$2/pip" "$2/apt-$name/partial"
mount --bind "$2/pip" "$1/var/cache/pip"
mount --bind "$2/apt-$name" "$1/var/cache/apt/archives"
exec chroot "$1" sh -c 'cd "$1" && exec sh -c "$2"' - "/$3" "$4"
"""


def in_root(root: Path, command: str, clock: Clock) -> str:
    """Run a shell command in the clone; what it printed, which is also shown as it comes."""
    # In namespaces of its own: mounts and left-over processes end with it.
    start = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", INSIDE, "-"]
    words = [str(root), str(cache()), CLONE, command]
    printed = []
    with subprocess.Popen(
        ["timeout", f"{clock.left():.0f}", *start, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"   {line}", end="", flush=True)
            printed.append(line)
    text = "".join(printed)
    if process.returncode == 124:
        raise NotPossibleError(f"out of time: {command}")
    if process.returncode != 0:
        if NETWORK.search(text):
            raise NotPossibleError(f"{command}: the network failed")
        raise SystemExit(f"FAILED on {root.name}, exit code {process.returncode}: {command}")
    return text


def figures(printed: str) -> list[str]:
    return FIGURES.findall(printed)


def check(release: str, commands: list[str], roots: Path, clock: Clock) -> Iterator[str]:
    """Run all commands in a fresh root; what each has printed."""
    root = roots / release
    remove(root)
    make_root(release, root, clock)
    settle(root)
    copy_tree(root)
    for command in commands:
        say(f"{release}: {command}")
        began = time.monotonic()
        yield in_root(root, command, clock)
        say(f"{release}: {command}: {time.monotonic() - began:.0f} s")
    size = subprocess.run(
        ["du", "-sm", str(root / CLONE / ".venv")], capture_output=True, text=True, check=False
    )
    say(f"{release}: .venv has {size.stdout.split()[0] if size.stdout else '?'} MB")
    remove(root)


def remove(root: Path) -> None:
    """Mounts were in a namespace of their own, so only files are left."""
    if root.exists():
        shutil.rmtree(root)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("releases", nargs="*", help="12, 13 or a code name (12 13)")
    parser.add_argument("--run", action="append", metavar="COMMAND", help="instead of README's")
    parser.add_argument("--seconds", type=float, default=7200, help="for all (7200)")
    args = parser.parse_args()
    missing = [p for p in ("debootstrap", "unshare", "git") if shutil.which(p) is None]
    if os.geteuid() != 0 or missing:
        why = (
            f"lacks {', '.join(missing)}: apt-get install debootstrap" if missing else "needs root"
        )
        print(f"check_distributions: {why}", file=sys.stderr)
        return 2
    roots = REPOSITORY / "build" / "roots"
    roots.mkdir(parents=True, exist_ok=True)
    clock, seen = Clock(args.seconds), {}
    try:
        for release in [NAMES.get(name, name) for name in args.releases or ["12", "13"]]:
            outputs = list(check(release, args.run or readme_commands(), roots, clock))
            seen[release] = figures(outputs[0])
    except NotPossibleError as error:
        print(f"NOT CHECKED: {error}", file=sys.stderr)
        return 3
    first = next(iter(seen))
    for release, lines in seen.items():
        if lines != seen[first]:
            print(f"FAILED: figures of {release} {lines} differ from {first}'s {seen[first]}")
            return 1
    say(f"{', '.join(seen)}: all passed; figures of the first command: {seen[first]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
