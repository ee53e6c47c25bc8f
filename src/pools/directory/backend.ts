import type { Backend } from "../backend.ts";
import { DirectoryPool } from "./directory-pool.ts";

export const backend: Backend = {
  name: "directory",
  version: 1,
  options: ["size", "overcommit", "reserve"],
  // Copies only where the file system has subvolumes, which a missing disk does not tell.
  offers: { snapshots: false, clones: false, expand: true },
  check: () => undefined,
  open: (place, options) =>
    DirectoryPool.open(place, {
      ...(options.size === undefined ? {} : { size: options.size }),
      ...(options.reserve === undefined ? {} : { reserve: options.reserve }),
      overcommit: options.overcommit ?? 1,
    }),
};
