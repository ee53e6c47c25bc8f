/** Which errors each system call can return where the driver calls it: its man page, and what file systems answer besides. */

/** What ends a call that makes a descriptor. */
const noDescriptor = ["EMFILE", "ENOMEM"] as const;
const changesNames = ["EIO", "ENOSPC", "ENOMEM"] as const;
const syncs = ["EIO", "ENOSPC", "EINTR"] as const;
/** open(2) and the file systems below it. */
const opens = ["EIO", ...noDescriptor] as const;
/** mount_setattr(2), move_mount(2), fsconfig(2): the kernel's memory, and the device below. */
const mounts = ["EIO", "ENOMEM"] as const;

const changing: Readonly<Record<string, readonly string[]>> = {
  openat: [...opens, "ENOSPC"],
  openat2: opens,
  fsync: syncs,
  fdatasync: syncs,
  syncfs: ["EIO", "ENOSPC"],
  rename: changesNames,
  renameat: changesNames,
  renameat2: changesNames,
  link: changesNames,
  linkat: changesNames,
  symlink: changesNames,
  symlinkat: changesNames,
  unlink: ["EIO", "ENOMEM", "EBUSY"],
  unlinkat: ["EIO", "ENOMEM", "EBUSY"],
  rmdir: ["EIO", "ENOMEM", "EBUSY"],
  mkdir: changesNames,
  mkdirat: changesNames,
  mknodat: changesNames,
  ioctl: ["EIO", "ENOMEM"],
  mount: [...mounts, "EBUSY"],
  umount2: ["ENOMEM", "EBUSY"],
  truncate: ["EIO", "ENOSPC", "EINTR"],
  ftruncate: ["EIO", "ENOSPC", "EINTR"],
  fallocate: ["EIO", "ENOSPC", "EINTR"],
  flock: ["ENOLCK", "EINTR"],
  copy_file_range: ["EIO", "ENOSPC", "ENOMEM"],
  clone: ["EAGAIN", "ENOMEM"],
  clone3: ["EAGAIN", "ENOMEM"],
  fork: ["EAGAIN", "ENOMEM"],
  vfork: ["EAGAIN", "ENOMEM"],
  open_tree: noDescriptor,
  fsopen: noDescriptor,
  fsmount: noDescriptor,
  fsconfig: [...mounts, "EBUSY"],
  move_mount: ["ENOMEM", "EBUSY"],
  mount_setattr: ["ENOMEM", "EBUSY"],
  fchmod: ["EIO", "ENOSPC"],
  chmod: ["EIO", "ENOSPC"],
  fchown: ["EIO", "ENOSPC"],
  utimensat: ["EIO", "ENOSPC"],
  setxattr: ["EIO", "ENOSPC"],
  fsetxattr: ["EIO", "ENOSPC"],
};

const asking: Readonly<Record<string, readonly string[]>> = {
  openat: ["EIO", "EMFILE"],
  getdents64: ["EIO"],
  statx: ["EIO"],
  newfstatat: ["EIO"],
  statfs: ["EIO"],
  fstatfs: ["EIO"],
  readlink: ["EIO"],
  readlinkat: ["EIO"],
  lseek: ["EIO"],
};

/**
 * The errors of a call, as strace writes it. What the kernel makes up as it is read (/proc, /sys) can lack memory or
 * descriptors, but has no disk that fails.
 */
export function errorsOf({ name, text }: { readonly name: string; readonly text: string }): readonly string[] {
  const asks = name in asking && !(name === "openat" && /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC/.test(text));
  const all = (asks ? asking : changing)[name] ?? [];
  if (name === "openat" && !asks) return /O_CREAT/.test(text) ? all : all.filter((error) => error !== "ENOSPC");
  if (!/["<]\/(proc|sys|dev)\//.test(text)) return all;
  // What is asked of an open file there is in memory.
  if (/^\w+\(\d+</.test(text) && asks) return [];
  return [...new Set(all.map((error) => (error === "EIO" && asks ? "ENOMEM" : error)))];
}
