/**
 * The layer of the operating system: what Node and the driver's tools need, taken file by file out of Debian's packages.
 * Whole packages would bring five times as much (xfsprogs alone asks for Python and ICU, for tools that we do not call).
 */
import { basename, dirname, join } from "node:path";
import { type Architecture, listOf, type Package, unpack } from "./packages.ts";
import { addBelow, addText, type Tree } from "./tree.ts";

/** Its mkfs makes file systems that every kernel since 5.15 mounts; a newer suite's needs newer kernels. */
export const suite = "bookworm";

/** Libraries: all their shared objects are kept. Who needs them stands behind. */
const libraries = [
  "libc6",
  "libgcc-s1",
  "libstdc++6", // Node, koffi
  "libblkid1",
  "libuuid1",
  "libcom-err2", // e2fsprogs
  "libext2fs2", // e2fsprogs
  "libinih1", // mkfs.xfs
  "liburcu8", // xfsprogs
  "libedit2", // xfs_db
  "libtinfo6", // libedit2
  "libbsd0", // libedit2
  "libmd0", // libbsd0
  "libudev1", // btrfs-progs
  "zlib1g", // btrfs
  "liblzo2-2", // btrfs
  "libzstd1", // btrfs
];

/** The programs that are kept, by their package. `holdfast doctor` says which of them the driver calls. */
const programs: Record<string, readonly string[]> = {
  "util-linux": ["sbin/blkid"],
  e2fsprogs: ["sbin/mke2fs", "sbin/mkfs.ext4", "sbin/e2fsck", "sbin/resize2fs", "sbin/tune2fs", "etc/mke2fs.conf"],
  // xfs_admin is a script around xfs_db.
  xfsprogs: ["sbin/mkfs.xfs", "sbin/xfs_repair", "sbin/xfs_admin", "sbin/xfs_db"],
  "btrfs-progs": ["bin/btrfs", "sbin/mkfs.btrfs", "bin/btrfstune"],
  // A shell for bin/holdfast and xfs_admin, and for whoever looks into a pod.
  "busybox-static": ["bin/busybox"],
};

/** Only their notices: the licences that the others refer to, and what the image is made of. */
const notices = ["base-files", "gcc-12-base"];

/** bin/holdfast and xfs_admin need the first line; the others are for people. */
const applets = [
  ...["sh", "readlink", "expr"],
  ...["cat", "dd", "df", "du", "env", "find", "grep", "head", "id", "ls", "mkdir", "mount", "mountpoint", "ps", "rm"],
  ...["sleep", "stat", "tail", "test", "umount", "vi"],
];

export const packageNames = [...libraries, ...Object.keys(programs), ...notices].sort();

const triplets = { amd64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" } as const;

/** The folders that the root is made of since Debian 12: what is below the old names lies in /usr. */
const merged = ["bin", "sbin", "lib", "lib64"] as const;

/** The packages are unpacked into `scratch`, which must stay until the layer is written. */
export function systemTree(packages: readonly Package[], architecture: Architecture, scratch: string): Tree {
  const tree: Tree = new Map();
  for (const folder of merged) tree.set(folder, { kind: "link", target: `usr/${folder}` });
  for (const one of packages) {
    const folder = join(scratch, one.name);
    unpack(one.file, folder);
    addPackage(tree, one, folder, `usr/lib/${triplets[architecture]}/`);
  }
  for (const name of applets) tree.set(`usr/bin/${name}`, { kind: "link", target: "busybox" });
  for (const folder of ["dev", "proc", "sys", "run", "etc", "var/lib", "usr/lib64"])
    tree.set(folder, { kind: "folder" });
  tree.set("tmp", { kind: "folder", mode: 0o1777 });
  addText(tree, "etc/passwd", "root:x:0:0:root:/:/bin/sh\n");
  addText(tree, "etc/group", "root:x:0:\n");
  addText(tree, "etc/nsswitch.conf", "hosts: files dns\n");
  addText(tree, "usr/share/holdfast/packages", listOf(packages));
  return tree;
}

function addPackage(tree: Tree, { name, control }: Package, folder: string, libraryFolder: string): void {
  const kept = new Set((programs[name] ?? []).map(inUsr));
  const sharedObject = (path: string) =>
    libraries.includes(name) &&
    /^usr\/lib(64)?\//.test(path) &&
    /^[^/]+\.so(\.|$)/.test(basename(path)) &&
    [libraryFolder, "usr/lib/", "usr/lib64/"].includes(`${dirname(path)}/`);
  const notice = (path: string) =>
    path === `usr/share/doc/${name}/copyright` ||
    (name === "base-files" &&
      /^(usr\/share\/common-licenses\/|(usr\/lib|etc)\/os-release$|etc\/debian_version$)/.test(path));
  const found: Tree = new Map();
  addBelow(found, "", folder, () => true);
  for (const [path, entry] of found) {
    if (kept.delete(inUsr(path)) || sharedObject(inUsr(path)) || notice(path)) tree.set(inUsr(path), entry);
  }
  if (kept.size > 0) throw new Error(`${name} has no ${[...kept].join(", ")}`);
  // Where image scanners look for what is installed without dpkg.
  addText(tree, `var/lib/dpkg/status.d/${name}`, control);
}

function inUsr(path: string): string {
  return merged.some((folder) => path.startsWith(`${folder}/`)) ? `usr/${path}` : path;
}
