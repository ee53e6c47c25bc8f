/**
 * Two controllers and two nodes on one shared pool, asked for the same and for what excludes each other, all at once; each
 * of the processes dies in the midst of it, at a random moment or before a system call. One volume a name, one holder a
 * volume, nothing lost, and a node that was fenced writes where nobody reads.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Kept, lastOf } from "../frame/kept.ts";
import { type Part, spread, type Tries } from "../frame/part.ts";
import { Random } from "../frame/random.ts";
import { within } from "../frame/within.ts";
import { type PoolKind, pools } from "../pools.ts";
import { nameOf, oneThread, pointOf, strike, watch } from "../strace.ts";
import { type Crossing, outcomeOf } from "./crossing.ts";
import { holding } from "./holding.ts";
import { making } from "./making.ts";
import { Pair } from "./pair.ts";

const plainTries = 4;
/** Of each process. */
const killTries = 3;
const strikes = 6;
/** How far apart the calls begin, and how late a process dies, at most. Milliseconds. */
const apartMs = 12;
const deathMs = 120;
const victims = [0, 1, 2] as const;
type Victim = (typeof victims)[number];

const crossings: readonly Crossing[] = [...making, ...holding];
const shared: readonly PoolKind[] = pools.flatMap((pool) =>
  pool.name === "image-shared"
    ? [pool, { ...pool, name: "image-shared-block", use: "block" }]
    : pool.shared
      ? [pool]
      : [],
);

export const two: readonly Part[] = [
  {
    fault: "two",
    pool: "image-shared",
    operation: "each-once",
    sample: true,
    seconds: 15,
    run: eachOnce,
  },
  ...crossings.flatMap((crossing) =>
    shared
      .filter((pool) => crossing.on?.(pool) ?? true)
      .map((pool) => ({
        fault: "two",
        pool: pool.name,
        operation: crossing.name,
        sample: false,
        seconds: 30,
        run: (tries: Tries) => all(pool, crossing, tries),
      })),
  ),
];

/** Every crossing with one of the processes killed, and those of names and of holders also with nothing broken. */
async function eachOnce(tries: Tries): Promise<void> {
  const [pool] = shared;
  if (!pool) throw new Error("there is no shared pool");
  const pairs = new Pairs(pool, tries, {});
  for (const [at, crossing] of crossings.entries()) {
    const point = `${crossing.name}:kill:${at % victims.length}`;
    await tries.try(point, () => pairs.with((pair, name) => killed(pair, crossing, name, tries.seed, point)));
  }
  for (const crossing of crossings.filter(({ name }) => ["create-same", "attach-both"].includes(name)))
    await tries.try(`${crossing.name}:plain`, () =>
      pairs.with((pair, name) => plain(pair, crossing, name, tries.seed)),
    );
  await pairs.end();
}

async function all(pool: PoolKind, crossing: Crossing, tries: Tries): Promise<void> {
  const pairs = new Pairs(pool, tries, {});
  for (let at = 0; at < plainTries; at += 1) {
    const point = `plain:${at}`;
    await tries.try(point, () => pairs.with((pair, name) => plain(pair, crossing, name, tries.seed + at)));
  }
  for (let at = 0; at < killTries * victims.length; at += 1) {
    const point = `${at}:kill:${at % victims.length}`;
    await tries.try(point, () => pairs.with((pair, name) => killed(pair, crossing, name, tries.seed, point)));
  }
  await pairs.end();
  await struck(pool, crossing, tries);
}

function plain(pair: Pair, crossing: Crossing, name: string, seed: number): Promise<void> {
  return cross(pair, crossing, name, new Random(seed, crossing.name), (calls) => calls());
}

async function killed(pair: Pair, crossing: Crossing, name: string, seed: number, point: string): Promise<void> {
  const random = new Random(seed, point);
  const victim = victims[Number(point.split(":").at(-1))] ?? 0;
  await cross(pair, crossing, name, random, async (calls) => {
    const death = sleep(random.below(deathMs)).then(() => pair.drivers[victim].kill());
    return (await Promise.all([calls(), death]))[0];
  });
}

/** Each process dies before some of its system calls, chosen from those that it makes when nothing is broken. */
async function struck(pool: PoolKind, crossing: Crossing, tries: Tries): Promise<void> {
  const pairs = new Pairs(pool, tries, oneThread);
  for (const victim of victims) {
    const chosen = tries.at?.split(",").filter((point) => point.startsWith(`strike:${victim}:`));
    const names = chosen?.map((point) => point.slice("strike:0:".length));
    for (const name of names ?? (await pointsOf(pairs, crossing, victim, tries))) {
      const point = `strike:${victim}:${name}`;
      await tries.try(point, () =>
        pairs.with((pair, label) =>
          cross(pair, crossing, label, new Random(tries.seed, point), async (calls) => {
            const { drivers } = pair;
            let outcomes: Awaited<ReturnType<typeof calls>> | undefined;
            await strike(drivers[victim].pid, pointOf(name), "signal=SIGKILL", async () => {
              outcomes = await calls();
            });
            await drivers[victim].kill();
            return outcomes ?? [];
          }),
        ),
      );
    }
  }
  await pairs.end();
}

async function pointsOf(pairs: Pairs, crossing: Crossing, victim: Victim, tries: Tries): Promise<string[]> {
  const found: string[] = [];
  await pairs.with((pair, name) =>
    cross(pair, crossing, name, new Random(tries.seed, `watch ${victim}`), async (calls) => {
      let outcomes: Awaited<ReturnType<typeof calls>> | undefined;
      const points = await watch(pair.drivers[victim].pid, async () => {
        outcomes = await calls();
      });
      found.push(...new Set(points.filter(({ role }) => role !== "child").map(nameOf)));
      return outcomes ?? [];
    }),
  );
  return spread(found, strikes, tries.seed);
}

type Calls = () => Promise<Awaited<ReturnType<typeof outcomeOf>>[]>;

/** One crossing: `how` runs the calls, and breaks what it wants to. */
async function cross(
  pair: Pair,
  crossing: Crossing,
  name: string,
  random: Random,
  how: (calls: Calls) => ReturnType<Calls>,
): Promise<void> {
  const crossed = await crossing.prepare(pair, name);
  const calls = () =>
    Promise.all(
      crossed.calls.map(async (call) => {
        await sleep(random.below(apartMs));
        return outcomeOf(call);
      }),
    );
  const outcomes = await within(30_000, how(calls), "the calls that cross");
  await pair.restart();
  await pair.expectSteady();
  try {
    await crossed.check(outcomes);
    await pair.clear();
  } catch (error) {
    const told = outcomes.map(({ answered, code, message }) => (answered ? "answered" : `${code}: ${message}`));
    const text = error instanceof Error ? error.message : String(error);
    throw new Error(`${text}\nthe calls:\n  ${told.join("\n  ")}`, { cause: error });
  }
}

/** A pair that tries use one after another. */
class Pairs extends Kept<Pair> {
  constructor(kind: PoolKind, tries: Tries, env: NodeJS.ProcessEnv) {
    super(tries, {
      tryMs: 90_000,
      make: (scratch) => Pair.make(kind, scratch, env),
      tell: ({ drivers }) => `the drivers' logs:\n${drivers.map((driver) => lastOf(driver.log(), 8)).join("\n--\n")}`,
    });
  }
}
