/** When a volume is what a request asks for. */
import type { Volume } from "../pools/pool.ts";
import type { Capability, Segments } from "./api.ts";

/** Undefined: the volume is of that kind. */
export function mismatch(volume: Volume, capability: Capability): string | undefined {
  if (volume.access !== capability.access)
    return `the volume is a ${volume.access} one, not a ${capability.access} one`;
  if (
    capability.access === "mount" &&
    capability.fsType !== "" &&
    volume.fsType !== "" &&
    capability.fsType !== volume.fsType
  ) {
    return `the volume is made for ${volume.fsType}, not for ${capability.fsType}`;
  }
  return undefined;
}

/** Every key of ours that the asked topology names has our value, and it names no other. */
export function within(here: Segments, asked: Segments): boolean {
  return Object.entries(asked).every(([key, value]) => here[key] === value);
}

export function sameMap(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
