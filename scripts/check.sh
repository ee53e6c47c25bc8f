#!/bin/sh
# Types, format, lint, unused code, layering. With --fix, writes what can be mended by itself.
set -eu
. "$(dirname "$0")/lib.sh"
need_packages
cd "$HERE"
bin="$HERE/node_modules/.bin"
PATH="$(ls -d "$HERE"/node_modules/node-linux-*/bin | head -1):$PATH"
if [ "${1:-}" = --fix ]; then "$bin/biome" check --write . ; else "$bin/biome" check . ; fi
"$bin/tsc" --noEmit -p .
"$bin/oxlint" --type-aware --deny-warnings .
"$bin/knip"
"$HERE/bin/holdfast-node" scripts/layers.ts
