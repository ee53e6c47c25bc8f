#!/bin/sh
# Builds test/wire, once for each state of its sources, and prints the program's path.
set -eu
. "$(dirname "$0")/lib.sh"
program="$CACHE/bin/wirecheck"
module="$HERE/test/wire"
sum=$(cat "$module"/*.go "$module/go.mod" "$module/go.sum" | cksum)
if [ ! -x "$program" ] || [ "$(cat "$program.sum" 2>/dev/null)" != "$sum" ]; then
  need_go
  say "building test/wire"
  (cd "$module" && "$GO" build -trimpath -buildvcs=false -o "$program" . >"$CACHE/wire.log" 2>&1) ||
    { tail -20 "$CACHE/wire.log" >&2; fail "test/wire could not be built"; }
  printf '%s' "$sum" >"$program.sum"
fi
printf '%s\n' "$program"
