/** Mount flags as people write them (mount(8)), split into what the mount takes and what the file system takes. */
import { MOUNT_ATTR } from "./mount-calls.ts";
import { SystemError } from "./system-error.ts";

export interface MountOptions {
  /** MOUNT_ATTR_* bits to set. */
  readonly set: number;
  /** MOUNT_ATTR_* bits to clear first, for a bind mount of something that has them. */
  readonly clear: number;
  /** For the file system, in order: a flag, or a key and its value. */
  readonly filesystem: readonly (readonly [key: string, value?: string])[];
}

const clears: Readonly<Record<string, number>> = {
  rw: MOUNT_ATTR.ro,
  suid: MOUNT_ATTR.nosuid,
  dev: MOUNT_ATTR.nodev,
  exec: MOUNT_ATTR.noexec,
  diratime: MOUNT_ATTR.nodiratime,
};
/** The three ways of keeping access times share a field, which must be cleared as a whole. */
const atimeField = 0x70;
/** Words for mount(8) and fstab(5) alone. */
const meaningless = new Set(["defaults", "auto", "noauto", "nofail", "_netdev", "nouser", "norelatime", "atime"]);
/** These would turn the mount into another kind of operation. */
const refused = new Set(["bind", "rbind", "remount", "move", "loop", "shared", "slave", "private", "unbindable"]);

/** Later flags win. Each of `flags` may hold several, separated by commas. @throws SystemError EINVAL naming the flag */
export function splitFlags(flags: readonly string[]): MountOptions {
  let set = 0;
  let clear = 0;
  const filesystem: (readonly [string, string?])[] = [];
  for (const flag of flags.flatMap((f) => f.split(",")).map((f) => f.trim())) {
    const [key, value] = cut(flag);
    if (flag === "" || meaningless.has(flag)) continue;
    if (refused.has(key))
      throw new SystemError(22, "mount", { doing: `mount flag ${flag}`, detail: "not allowed here" });
    const attribute = value === undefined ? MOUNT_ATTR[key as keyof typeof MOUNT_ATTR] : undefined;
    const cleared = value === undefined ? clears[key] : undefined;
    if (attribute !== undefined) {
      const field = key.endsWith("atime") && key !== "nodiratime" ? atimeField : attribute;
      set = (set & ~field) | attribute;
      clear = (clear & ~attribute) | field;
    } else if (cleared !== undefined) {
      set &= ~cleared;
      clear |= cleared;
    } else {
      filesystem.push(value === undefined ? [key] : [key, value]);
    }
  }
  return { set, clear, filesystem };
}

function cut(flag: string): [string, string?] {
  const at = flag.indexOf("=");
  return at < 0 ? [flag] : [flag.slice(0, at), flag.slice(at + 1)];
}
