/** What the kernel allows this process (capabilities(7)). */
import { readFileSync } from "node:fs";

const bits = { CAP_MKNOD: 27, CAP_SYS_ADMIN: 21, CAP_SYS_RESOURCE: 24 } as const;
export type CapabilityName = keyof typeof bits;

/** Whether the process has the capability in effect now. */
export function hasCapability(name: CapabilityName, status = readFileSync("/proc/self/status", "latin1")): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return mask !== undefined && ((BigInt(`0x${mask}`) >> BigInt(bits[name])) & 1n) === 1n;
}
