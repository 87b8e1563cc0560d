#!/bin/sh
# Unpacks Debian packages of another architecture into a folder, for cross compilers.
# usage: foreign-package.sh ARCHITECTURE DIR PACKAGE...
#
# apt's state for it is kept in DIR too, so this machine's own stays as it is; the
# package sources are this machine's.
set -eu
architecture=$1
root=$2
shift 2
mkdir -p "$root/apt/lists/partial" "$root/apt/archives/partial"
state=$(cd "$root/apt" && pwd)
touch "$state/status"
options="-o APT::Architecture=$architecture -o APT::Architectures=$architecture"

foreign() { # the folder's name may have spaces, so each option is a word of its own
    # shellcheck disable=SC2086 # two options
    apt-get $options -o Dir::State="$state" -o Dir::State::status="$state/status" \
        -o Dir::Cache="$state" -o APT::Sandbox::User=root --quiet "$@"
}

foreign update
(cd "$state/archives" && foreign download "$@")
for package in "$state"/archives/*_"$architecture".deb; do
    dpkg-deb -x "$package" "$root"
done
