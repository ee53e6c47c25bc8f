#!/bin/sh
# Builds the container image, with no container engine: npm run image, or npm run image -- --output FILE
# Needs a Debian (or one made from it) for apt and dpkg-deb, and the network; not root.
set -eu
. "$(dirname "$0")/lib.sh"
need_packages
for tool in apt-get dpkg-deb gzip; do
  command -v "$tool" >/dev/null 2>&1 || fail "$tool is missing: build on a Debian, or with an engine from deploy/Dockerfile"
done
exec "$HERE/bin/holdfast-node" "$HERE/deploy/image/build.ts" "$@"
