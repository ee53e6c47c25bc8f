/**
 * A model of what CSI promises, and scripts of calls that fast-check makes up: repeated, at once, cancelled, with short
 * deadlines, with restarts and kills. What fails is shrunk to the shortest script that fails.
 */
import fc from "fast-check";
import type { Part, Tries } from "../frame/part.ts";
import { type PoolKind, pools } from "../pools.ts";
import { Stage } from "../stage.ts";
import { found } from "./found.ts";
import { play } from "./player.ts";
import { type Script, scripts } from "./script.ts";

const sampledPools = ["image", "image-block", "image-shared", "directory-btrfs"];
/** Scripts that one part plays. */
const full = 100;
const sampled = 2;
/** Milliseconds that shrinking may take; in the sample less. */
const shrinkMs = 90_000;
const sampleShrinkMs = 20_000;
/** What depends on the moment does not fail each time: so often a script is played before it counts as one that holds. */
const again = 3;

const made: readonly Part[] = pools.map((pool) => ({
  fault: "model",
  pool: pool.name,
  operation: "scripts",
  sample: sampledPools.includes(pool.name),
  seconds: full * 1.5,
  run: (tries: Tries) => run(pool, tries),
}));

const named: readonly Part[] = found.flatMap(({ name: operation, pool: on, script, plays }) =>
  pools
    .filter(({ name }) => name === on)
    .map((pool) => ({
      fault: "model",
      pool: pool.name,
      operation,
      sample: true,
      seconds: plays,
      async run(tries: Tries) {
        const stage = new Stage(pool, tries);
        for (let count = 1; count <= plays; count += 1)
          await tries.try(String(count), () => stage.with((world, name) => play(world, name, script)));
        await stage.end();
      },
    })),
);

export const model: readonly Part[] = [...made, ...named];

async function run(pool: PoolKind, tries: Tries): Promise<void> {
  const stage = new Stage(pool, tries);
  const points =
    tries.at === undefined
      ? Array.from({ length: tries.sample ? sampled : full }, (_, at) => String(at))
      : tries.at.split(",");
  for (const point of points) await tries.try(point, () => one(stage, tries, point));
  await stage.end();
}

/** The script at this place of fast-check's tree: a number is one that it made up, what follows is how it was shrunk. */
async function one(stage: Stage, { seed, sample }: Tries, path: string): Promise<void> {
  const enough = sample ? sampleShrinkMs : shrinkMs;
  let failed: number | undefined;
  const property = fc.asyncProperty(scripts, async (script: Script) => {
    if (failed !== undefined && performance.now() - failed > enough) return;
    for (let plays = failed === undefined && !path.includes(":") ? 1 : again; plays > 0; plays -= 1) {
      try {
        await stage.with((world, name) => play(world, name, script));
      } catch (error) {
        failed ??= performance.now();
        throw error;
      }
    }
  });
  const shrunk = path.includes(":");
  const details = await fc.check(property, { seed, path, numRuns: 1, endOnFailure: shrunk });
  if (!details.failed) return;
  const { errorInstance, counterexamplePath } = details;
  const message = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  const shorter =
    counterexamplePath && counterexamplePath !== path ? `\nthe shortest that fails: --at ${counterexamplePath}` : "";
  throw new Error(`${message}${shorter}`, { cause: errorInstance });
}
