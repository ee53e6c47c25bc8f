#!/bin/sh
# Mixed calls and random kills for a long time: npm run test:soak [-- --minutes 30] [--pool image] [--seed N]; the minutes are for each pool.
set -eu
if [ "${1:-}" = --minutes ]; then
  case ${2:-} in '' | *[!0-9.]*) echo "--minutes wants a number" >&2 && exit 2 ;; esac
  export HOLDFAST_SOAK_MINUTES="$2"
  shift 2
fi
exec sh "$(dirname "$0")/faults.sh" --only soak "$@"
