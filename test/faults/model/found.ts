/** Scripts that failed once, or that must fail when a protection is switched off: each is played again and again. */
import type { Script, Step } from "./script.ts";

interface Found {
  readonly name: string;
  /** As in the table of pools. */
  readonly pool: string;
  readonly script: Script;
  /** What depends on the moment is played several times. */
  readonly plays: number;
}

const create: Step = { together: [{ call: { rpc: "create", volume: "a", size: 0 } }] };
const take: Step = { take: "a", seed: 1 };
const again = { rpc: "publish", volume: "a", at: "0", target: "1" } as const;
const snapshot = { rpc: "snapshot", snapshot: "p", volume: "a" } as const;

export const found: readonly Found[] = [
  {
    // The driver ended before its last answer was sent, and the caller got INTERNAL, which is final, for what was done.
    name: "answered-at-its-end",
    pool: "image-block",
    script: [
      create,
      take,
      { together: [{ call: snapshot }], strike: { signal: "SIGTERM", afterMs: 5 }, again: true },
      {
        together: [{ call: { rpc: "unpublish", volume: "a", target: "0" } }, { call: { rpc: "delete", volume: "b" } }],
        strike: { signal: "SIGTERM", afterMs: 1 },
      },
    ],
    plays: 3,
  },
  { name: "one-target", pool: "image", script: [create, take, { together: [{ call: again }] }], plays: 1 },
  {
    name: "snapshot-beside-delete",
    pool: "image",
    script: [create, { together: [{ call: snapshot, at: 3 }, { call: { rpc: "delete", volume: "a" } }] }],
    plays: 8,
  },
];
