/** Connections and calls as no orchestrator makes them: the driver lives on, keeps nothing, and answers the others. */
import { type Part, spread, type Tries } from "../frame/part.ts";
import { pools } from "../pools.ts";
import { Stage } from "../stage.ts";
import { makeBystanders } from "./bystanders.ts";
import { abuses } from "./frames.ts";
import { randomOf } from "./random.ts";
import { expectWell, vitalsOf } from "./vitals.ts";

export const connections: readonly Part[] = [
  { fault: "lies", pool: "any", operation: "connections", sample: true, seconds: 60, run: sweep },
];

async function sweep(tries: Tries): Promise<void> {
  const [pool] = pools;
  if (pool === undefined) throw new Error("there are no pools");
  const stage = new Stage(pool, tries);
  for (const { name, many = 1, run } of tries.sample ? spread(abuses, 5, tries.seed) : abuses) {
    await tries.try(name, () =>
      stage.with(async (world, label) => {
        const bystanders = await makeBystanders(world, label);
        const before = vitalsOf(world.driver);
        await run(world.driver, tries.sample ? Math.ceil(many / 10) : many, randomOf(tries.seed, name));
        await expectWell(world.driver, before);
        bystanders.expectUnharmed();
        await bystanders.expectOthersGoOn();
        await bystanders.leave();
        await world.expectEmpty();
      }),
    );
  }
  await stage.end();
}
