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

/** Each of them would meet the volume half gone if they ran at once. `at`: when the delete comes, in milliseconds. */
function rivals(at: number): Step[] {
  const grow = { rpc: "grow", volume: "a", size: 1 } as const;
  const unstage = { rpc: "unstage", volume: "a", at: "0" } as const;
  return [
    create,
    { together: [{ call: snapshot }, { call: { rpc: "delete", volume: "a" }, at }] },
    { together: [{ call: { rpc: "deleteSnapshot", snapshot: "p" } }] },
    create,
    { together: [{ call: grow }, { call: { rpc: "delete", volume: "a" } }, { call: snapshot, at }, { call: unstage }] },
    { together: [{ call: { rpc: "delete", volume: "a" } }] },
    { together: [{ call: { rpc: "deleteSnapshot", snapshot: "p" } }] },
  ];
}

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
  { name: "rivals-of-a-delete", pool: "image", script: [0, 1, 2, 3, 4, 6].flatMap(rivals), plays: 3 },
];
