#!/bin/sh
# Installs the Debian packages that diagmem needs and this machine lacks.
# usage: system-packages.sh PYTHON [PROGRAM[=PACKAGE] ...]
#
# Looks for what the packages bring, not for the packages, so that a compiler
# or a Valgrind from elsewhere counts too.  Exits 2, naming the command to run,
# where it may not install anything.  A PROGRAM, or a file by its full path, is
# wanted besides, from the PACKAGE or else the one of its name.
set -eu

python=$1
shift
missing=''

want() { missing="$missing $1"; }

# The places where valgrind-tool/Makefile looks.
found_valgrind_pc() {
    [ -z "${VALGRIND_PC:-}" ] || return 0
    for lib in /usr/local/lib "/usr/lib/$(gcc -print-multiarch 2>/dev/null)" /usr/lib64 /usr/lib; do
        [ ! -e "$lib/pkgconfig/valgrind.pc" ] || return 0
    done
    return 1
}

command -v gcc >/dev/null || want gcc
{ command -v valgrind >/dev/null && found_valgrind_pc; } || want valgrind
# The C library's headers are a package of their own, which gcc only recommends.
printf '#include <stdio.h>\n' | gcc -E - >/dev/null 2>&1 || want libc6-dev
command -v make >/dev/null || want make
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    want "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
fi

for program; do
    command -v "${program%%=*}" >/dev/null || [ -e "${program%%=*}" ] || want "${program#*=}"
done

[ -n "$missing" ] || exit 0

install="apt-get install --yes --no-install-recommends$missing"
if ! command -v apt-get >/dev/null; then
    echo "this machine lacks:$missing" >&2
    echo "(Debian's names; there is no apt-get here, so install them your system's way)" >&2
    exit 2
elif [ "$(id -u)" -eq 0 ]; then
    sudo=''
elif sudo -n true 2>/dev/null; then
    sudo='sudo'
else
    echo "this machine lacks:$missing" >&2
    echo "run:  sudo ${install# }" >&2
    exit 2
fi

echo "installing:$missing"
# An old package list names files that the mirrors no longer have; without a
# network a list that is good enough may still be there.
$sudo apt-get update --quiet </dev/null || echo 'apt-get update failed; trying with the list there is' >&2
# shellcheck disable=SC2086 # one word per package
$sudo env DEBIAN_FRONTEND=noninteractive $install </dev/null
