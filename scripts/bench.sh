#!/bin/sh
# Measures the driver beside what the machine can do bare: npm run bench, or npm run bench -- --only lifecycle --quick
set -eu
. "$(dirname "$0")/lib.sh"
need_root
need_packages
need_driver_tools
need_tools fio:fio losetup:mount
exec "$HERE/bin/holdfast-node" "$HERE/bench/main.ts" "$@"
