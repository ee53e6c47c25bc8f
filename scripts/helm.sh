#!/bin/sh
# Runs the Helm that the tests use: scripts/helm.sh template holdfast deploy/chart
set -eu
. "$(dirname "$0")/lib.sh"
need_helm
exec "$HELM" "$@"
