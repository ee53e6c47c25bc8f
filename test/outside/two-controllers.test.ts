/** Two controllers over one pool: what one remembers of the pool is never older than what the other did. */
import assert from "node:assert/strict";
import test from "node:test";
import { makePoolDisk } from "../support/pool-disk.ts";
import { call, mebibyte, openRules, problem, type Rules } from "../support/rules.ts";
import { scratchFor } from "../support/scratch.ts";

const gibibyte = 1024 * mebibyte;

function capacity(rules: Rules) {
  return rules.driver.controller.capacity({ capabilities: [], parameters: {} }, call("GetCapacity"));
}
function list(rules: Rules) {
  return rules.driver.controller.list({}, call("ListVolumes"));
}

test("a controller that came and went while another was idle is not forgotten in its sums and lists", async (t) => {
  const scratch = scratchFor(t);
  const { path } = await makePoolDisk(scratch, "xfs");
  const first = await openRules(scratch, path, { options: { size: gibibyte } });
  await first.create("a", undefined, { size: 256 * mebibyte });
  const second = await openRules(scratch, path, { options: { size: gibibyte } });
  await second.create("b", undefined, { size: 512 * mebibyte });
  await second.driver.stop(1_000);
  assert.equal((await capacity(first)).available, 256 * mebibyte);
  assert.equal((await list(first)).entries.length, 2);
  await assert.rejects(first.create("c", undefined, { size: 512 * mebibyte }), problem("POOL_FULL"));
});

test("what one of two did last is known to the other when it is alone again", async (t) => {
  const scratch = scratchFor(t);
  const { path } = await makePoolDisk(scratch, "xfs");
  const first = await openRules(scratch, path, { options: { size: gibibyte } });
  const second = await openRules(scratch, path, { options: { size: gibibyte } });
  await first.create("a", undefined, { size: 256 * mebibyte });
  const b = await second.create("b", undefined, { size: 256 * mebibyte });
  assert.equal((await capacity(first)).available, 512 * mebibyte);
  await second.expand(b.id, 512 * mebibyte);
  await second.driver.stop(1_000);
  assert.equal((await capacity(first)).available, 256 * mebibyte);
});

test("after a storm of operations by two controllers both sums are what is on the disk", async (t) => {
  const scratch = scratchFor(t);
  const { path } = await makePoolDisk(scratch, "xfs");
  const options = { size: 2 * gibibyte };
  const both = [await openRules(scratch, path, { options }), await openRules(scratch, path, { options })];
  const step = 64 * mebibyte;
  const made = new Map<string, string>();
  const one = async (rules: Rules, n: number): Promise<void> => {
    const name = `v${n % 24}`;
    const id = made.get(name);
    try {
      if (n % 5 === 4 && id) {
        made.delete(name);
        await rules.remove(id);
      } else if (n % 5 === 3 && id) await rules.expand(id, step * (1 + (n % 4)));
      else if (n % 5 === 2 && id) await rules.snapshot(`s${n}`, id);
      else made.set(name, (await rules.create(name, undefined, { size: step })).id);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      const expected = ["OPERATION_RUNNING", "POOL_FULL", "GROWTH_TOO_LARGE", "NAME_TAKEN", "VOLUME_NOT_FOUND"];
      if (!expected.includes(code)) throw error;
    }
  };
  let seed = 7;
  const random = (): number => {
    seed = (seed * 48271) % 2147483647;
    return seed;
  };
  const worker = async (rules: Rules): Promise<void> => {
    for (let n = 0; n < 30; n++) await one(rules, random());
  };
  await Promise.all(both.flatMap((rules) => [worker(rules), worker(rules), worker(rules)]));
  // What is being given back still counts: wait until it is done.
  let figures: number[] = [];
  const third = await openRules(scratch, path, { options });
  for (let tries = 0; tries < 100; tries++) {
    figures = await Promise.all([...both, third].map(async (rules) => (await capacity(rules)).available));
    if (new Set(figures).size === 1 && tries > 20) break;
    await new Promise((done) => setTimeout(done, 20));
  }
  assert.equal(new Set(figures).size, 1, figures.join(", "));
  await third.driver.stop(1_000);
  await both[1]?.driver.stop(1_000);
  const [first] = both;
  assert.ok(first);
  const volumes = (await list(first)).entries.reduce((sum, each) => sum + each.capacity, 0);
  const snapshots = await first.driver.controller.listSnapshots({}, call("ListSnapshots"));
  const promised = volumes + snapshots.entries.reduce((sum, each) => sum + each.size, 0);
  assert.equal((await capacity(first)).available, 2 * gibibyte - promised);
});

for (const [backend, disk] of [
  ["image", "xfs"],
  ["directory", "btrfs"],
] as const) {
  test(`pool ${backend}: a snapshot that one deletes while the other restores it is not found, and nothing is said to be lost`, async (t) => {
    const scratch = scratchFor(t);
    const { path } = await makePoolDisk(scratch, disk);
    const first = await openRules(scratch, path, { backend });
    const second = await openRules(scratch, path, { backend });
    const { id } = await first.create("a");
    const failed: string[] = [];
    const round = async (n: number, later: number): Promise<void> => {
      const snapshot = await first.snapshot(`s${n}`, id);
      const restore = first.create(`copy-${n}`, undefined, { snapshot: snapshot.id }).catch((error: unknown) => {
        failed.push(error instanceof Error && "code" in error ? String(error.code) : String(error));
      });
      // From before the copy begins to after its end.
      for (let turn = 0; turn < 6 * later; turn += 1) await new Promise(setImmediate);
      await Promise.all([restore, second.driver.controller.removeSnapshot(snapshot.id, call("DeleteSnapshot"))]);
    };
    // How long a copy takes is the machine's: again until one deletion at least came into the middle of it.
    for (let pass = 0; pass < 20 && failed.length === 0; pass += 1)
      for (let n = 0; n < 30; n += 1) await round(30 * pass + n, n);
    assert.deepEqual([...new Set(failed)], ["SNAPSHOT_NOT_FOUND"]);
  });
}
