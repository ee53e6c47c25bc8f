#!/bin/sh
# Measures our Kubernetes helpers beside the upstream sidecars: npm run bench:cluster, or with -- --only single --quick
set -eu
. "$(dirname "$0")/lib.sh"
sh "$HERE/scripts/cluster-tools.sh"
exec "$HERE/bin/holdfast-node" "$HERE/bench/cluster/main.ts" "$@"
