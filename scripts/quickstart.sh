#!/bin/sh
# The whole story on this machine, from nothing: npm run quickstart [-- --keep]
set -eu
. "$(dirname "$0")/lib.sh"
need_root
need_packages
need_driver_tools
exec "$HERE/bin/holdfast" quickstart "$@"
