/** What the driver needs of a file system. */
import type { CheckResult, FormatOptions, ToolOptions } from "./tools.ts";

/** `device` is always a block device as `/dev/loop3`, which nobody else has open. Programs that fail: CommandError. */
export interface Filesystem {
  /** As in the kernel's list: `ext4`. */
  readonly name: string;
  /** Bytes: the smallest device on which it can be made, mounted and written to. */
  readonly minimumBytes: number;
  /** It grows while mounted, in transactions of its own, with no more rights than a mount needs. */
  readonly growsMounted: boolean;
  /** Mount flags with which it gives freed space back to the device at once. */
  readonly mountFlags: readonly string[];
  /**
   * Makes the file system; durable on return. Decides nothing: whoever calls it holds the format latch. What an earlier
   * attempt left is wiped; a device with any other content is refused (ForeignContent).
   */
  format(device: string, options: FormatOptions): Promise<void>;
  /** Whether a check is due before the next mount: marked dirty or damaged. One small read, changes nothing. */
  needsCheck(device: string): Promise<boolean>;
  /** `none` changes nothing, `preen` what is safe by itself, `full` all that the checker can. Never throws data away. */
  check(device: string, options: ToolOptions & { readonly repair: "none" | "preen" | "full" }): Promise<CheckResult>;
  /** A new UUID, so that a copy can be mounted beside its source. For a copy aside: after a crash throw it away. */
  newUuid(device: string, options: ToolOptions): Promise<void>;
  /** Grows to the device's size while not mounted. ext4 needs a full check after a crash in it. Grown already: nothing. */
  growOffline(device: string, options: ToolOptions): Promise<void>;
  /** Grows a mounted one to its device's size. EPERM: ext4 without CAP_SYS_RESOURCE. Grown already: nothing. */
  growOnline(mountPath: string, device: string): Promise<void>;
  /** Bytes that the file system takes of its device, by its superblock. */
  size(device: string): Promise<number>;
}
