#!/bin/sh
# The whole fault suite, or parts of it: npm run test:faults [-- --only kill --pool image --operation create], --list shows the parts.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$HERE"
need_root
need_packages
need_driver_tools
need_tools strace:strace gcc:gcc losetup:mount unshare:util-linux
# gcc recommends it only.
[ -e /usr/include/linux/fs.h ] || need_tools no-such-program:libc6-dev
run=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-run-XXXXXX")
chmod 755 "$run"
export TMPDIR="$run"
trap 'rmdir "$run" 2>/dev/null || true' EXIT
code=0
bin/holdfast-node test/faults/frame/main.ts "$@" || code=$?
bin/holdfast-node test/support/check-leftovers.ts "$run" || code=1
exit $code
