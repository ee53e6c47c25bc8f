/** The sides take turns: each is started, warmed with a claim of its own, measured, and stopped. */
import type { Bench } from "../support/bench.ts";
import type { Scene } from "./scene.ts";
import type { Side } from "./sides.ts";

let turns = 0;

/** `work` gets a prefix for the names of its claims. Nothing of its volumes may be left when it returns. */
export async function turn<T>(
  bench: Bench,
  scene: Scene,
  side: Side,
  work: (prefix: string) => Promise<T>,
): Promise<T> {
  turns += 1;
  const prefix = `${side.name}-${turns}`;
  bench.say(`${side.name} starts`);
  await side.start();
  try {
    await scene.claim(`${prefix}-warm`);
    await scene.clock.bound([`${prefix}-warm`]);
    await scene.remove(`${prefix}-warm`);
    await scene.clock.noVolumes();
    return await work(prefix);
  } finally {
    await side.stop();
  }
}
