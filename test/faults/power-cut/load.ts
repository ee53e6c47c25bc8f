/**
 * A running load, and images of the disk below it at chosen instants. An image is a reflink of the file that the pool's file
 * system lies on: what had reached the device, and nothing of what the file system still kept in memory. While one is
 * taken no caller begins another call, so at most one of each is under way; those that are go on.
 */
import { constants } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Random } from "../frame/random.ts";
import type { World } from "../world.ts";
import { Caller } from "./caller.ts";
import type { Kind, Moment } from "./moment.ts";

export const callers = 3;
/** More than enough for every instant to come. */
const longestMs = 120_000;

/** At one call of one caller: right after its answer, or in the midst of it. */
export interface Instant {
  readonly kind: Kind;
  readonly caller: number;
  readonly nth: number;
  /** How much of the time that such calls took until now, in percent; "after": its answer. */
  readonly at: number | "after";
}

export function nameOf({ kind, caller, nth, at }: Instant): string {
  return `${kind}:${caller}:${nth}:${at}`;
}

export function instantOf(name: string): Instant {
  const [kind = "", caller, nth, at] = name.split(":");
  return { kind: kind as Kind, caller: Number(caller), nth: Number(nth), at: at === "after" ? at : Number(at) };
}

export interface Cut {
  readonly instant: Instant;
  readonly image: string;
  readonly moment: Moment;
}

/** Runs until every instant has come, then gives all back. @throws when one does not come. */
export async function cutsOf(world: World, seed: number, instants: readonly Instant[], folder: string): Promise<Cut[]> {
  const cuts: Cut[] = [];
  const wanted = new Map(instants.map((instant) => [nameOf(instant), instant]));
  const all = Array.from({ length: callers }, (_, at) => new Caller(world, `c${at}`, new Random(seed, `caller ${at}`)));
  const means = new Map<Kind, number>();
  const end = performance.now() + longestMs;
  let gate: Promise<void> = Promise.resolve();
  let failed = false;

  /** Closes the gate at once; after the images that are being taken, if any. */
  const cut = (instant: Instant): Promise<void> => {
    wanted.delete(nameOf(instant));
    const before = gate;
    gate = (async () => {
      await before;
      const parts = all.map((caller) => caller.moment());
      const image = join(folder, `cut-${cuts.length}.raw`);
      cuts.push({
        instant,
        image,
        moment: {
          volumes: parts.flatMap(({ volumes }) => volumes),
          snapshots: parts.flatMap(({ snapshots }) => snapshots),
          gone: parts.flatMap(({ gone }) => gone),
          underWay: parts.flatMap(({ underWay }) => underWay),
        },
      });
      await copyFile(world.disk.image, image, constants.COPYFILE_FICLONE_FORCE);
    })();
    return gate;
  };
  const call = async (at: number, caller: Caller) => {
    const next = caller.next();
    const { kind, nth } = next;
    const mine = [...wanted.values()].filter((each) => each.caller === at && each.kind === kind && each.nth === nth);
    const running = next.run();
    const began = performance.now();
    const midst = mine.map(async (instant) => {
      if (instant.at === "after") return;
      await sleep(((means.get(kind) ?? 20) * instant.at) / 100);
      await cut(instant);
    });
    await running;
    means.set(kind, (means.get(kind) ?? performance.now() - began) * 0.5 + (performance.now() - began) * 0.5);
    await Promise.all([...midst, ...mine.filter((instant) => instant.at === "after").map(cut)]);
  };
  const go = async (at: number, caller: Caller) => {
    try {
      while (wanted.size > 0 && !failed) {
        if (performance.now() > end) throw new Error(`never came: ${[...wanted.keys()].join(", ")}`);
        const closed = gate;
        await closed;
        if (closed === gate) await call(at, caller);
      }
    } finally {
      failed ||= wanted.size > 0;
    }
  };
  await Promise.all(all.map((caller, at) => go(at, caller)));
  await Promise.all(all.map((caller) => caller.end()));
  return cuts;
}
