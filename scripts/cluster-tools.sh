#!/bin/sh
# What the tests of test/cluster need, and nothing run: for one file of them, or the bench.
set -eu
. "$(dirname "$0")/lib.sh"
need_root
need_packages
need_driver_tools
need_tools losetup:mount setpriv:util-linux
need_kubernetes
need_sidecars
need_helm
need_image
