import type { Backend } from "../backend.ts";
import { ImagePool } from "./image-pool.ts";

/** Milliseconds. */
const defaultMaxFreeze = 10_000;

export const backend: Backend = {
  name: "image",
  version: 1,
  options: ["size", "overcommit", "reserve", "thick", "maxFreeze"],
  offers: { snapshots: true, clones: true, expand: true },
  check: () => undefined,
  open: (place, options) =>
    ImagePool.open(place, {
      ...(options.size === undefined ? {} : { size: options.size }),
      ...(options.reserve === undefined ? {} : { reserve: options.reserve }),
      overcommit: options.overcommit ?? 1,
      thick: options.thick ?? false,
      maxFreeze: options.maxFreeze ?? defaultMaxFreeze,
    }),
};
