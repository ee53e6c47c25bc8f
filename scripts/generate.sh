#!/bin/sh
# Makes src/csi/gen from proto/, and the reference pages that follow from code.
set -eu
. "$(dirname "$0")/lib.sh"
need_packages
cd "$HERE"
PATH="$(ls -d "$HERE"/node_modules/node-linux-*/bin | head -1):$HERE/node_modules/.bin:$PATH"
"$HERE/node_modules/.bin/buf" generate
"$HERE/bin/holdfast-node" "$HERE/scripts/config-schema.ts"
"$HERE/node_modules/.bin/biome" format --write docs/reference/configuration.schema.json >/dev/null 2>&1
"$HERE/bin/holdfast-node" "$HERE/scripts/errors-page.ts"
"$HERE/bin/holdfast-node" "$HERE/scripts/commands-page.ts"
"$HERE/bin/holdfast-node" "$HERE/deploy/manifests.ts"
