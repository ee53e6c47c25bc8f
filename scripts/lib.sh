# Shared by the scripts beside it: says what it does, installs what is missing, may be run twice.
# shellcheck shell=sh

HERE=$(cd "$(dirname "$0")/.." && pwd)
CACHE="$HERE/.cache"
mkdir -p "$CACHE"

say() { printf '\033[2m%s\033[0m\n' "holdfast: $*" >&2; }
fail() { printf '%s\n' "holdfast: $*" >&2; exit 1; }

# The npm packages of the lock file, among them the Node binary that everything here runs on.
need_packages() {
  sum=$(cksum <"$HERE/package-lock.json")
  if [ "$(cat "$CACHE/packages" 2>/dev/null)" = "$sum" ] && [ -d "$HERE/node_modules" ]; then return 0; fi
  command -v npm >/dev/null 2>&1 || fail "npm is missing: install it (Debian: apt-get install npm) and run this again"
  say "installing the npm packages of the lock file"
  # npm ci refuses a lock file made where a registry lacks the optional packages of other platforms; npm install takes
  # the same pinned versions and checksums from it.
  (cd "$HERE" && { npm ci --loglevel=silent >/dev/null 2>&1 || npm install --no-save --loglevel=error >&2; }) ||
    fail "the npm packages could not be installed"
  printf '%s' "$sum" >"$CACHE/packages"
}

# Debian packages by the program that each brings: need_tools mkfs.xfs:xfsprogs ...
need_tools() {
  missing=""
  for pair in "$@"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
  done
  [ -z "$missing" ] && return 0
  command -v apt-get >/dev/null 2>&1 || fail "missing packages and no apt-get to install them:$missing"
  say "installing Debian packages:$missing"
  # shellcheck disable=SC2086
  { DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >"$CACHE/apt.log" 2>&1 ||
    { apt-get update -q >"$CACHE/apt.log" 2>&1 &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >>"$CACHE/apt.log" 2>&1; }; } ||
    { tail -20 "$CACHE/apt.log" >&2; fail "apt-get could not install:$missing"; }
}

# File system tools that the driver itself calls.
need_driver_tools() { need_tools mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs blkid:util-linux; }

need_root() { [ "$(id -u)" = 0 ] || fail "this needs root: it makes loop devices, file systems and mounts"; }

# Go, for the conformance suite: the machine's own if it is new enough, else Debian's, which fetches a newer toolchain
# from the module proxy by itself.
need_go() {
  PATH="$PATH:/usr/local/go/bin:/usr/lib/go/bin"
  command -v go >/dev/null 2>&1 && return 0
  need_tools go:golang-go
}
