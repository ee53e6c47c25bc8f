#!/bin/sh
# Runs the project's own Node, installing it with the other packages first: scripts/node.sh FILE [ARG ...]
set -eu
. "$(dirname "$0")/lib.sh"
need_packages
exec "$HERE/bin/holdfast-node" "$@"
