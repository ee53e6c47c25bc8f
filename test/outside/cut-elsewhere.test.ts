/**
 * Copies of a volume that another node holds: the controller asks that node, which cuts as its own controller would. The
 * controller here sees neither the mounts nor the loop devices of the node, as on another machine.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { differences, holdsRaw, writeFiles, writeRaw } from "../support/content.ts";
import { type Driver, startDriver } from "../support/driver.ts";
import {
  capability,
  createSnapshot,
  createVolume,
  gib,
  patient,
  refused,
  takeVolume,
  type Use,
} from "../support/orchestrator.ts";
import { type DiskKind, makePoolDisk } from "../support/pool-disk.ts";
import { makeScratch, type Scratch } from "../support/scratch.ts";

const mib = 1024 ** 2;

class Two {
  readonly scratch: Scratch;
  readonly pool: string;
  readonly node: Driver;
  readonly controller: Driver;

  private constructor(scratch: Scratch, pool: string, node: Driver, controller: Driver) {
    this.scratch = scratch;
    this.pool = pool;
    this.node = node;
    this.controller = controller;
  }

  static async start(scratch: Scratch, kind: DiskKind, controllerId = "c1"): Promise<Two> {
    const disk = await makePoolDisk(scratch, kind, { bytes: 16 * gib });
    const pools = [`p=image:${disk.path},shared=true`];
    const node = await startDriver(scratch, { pools, nodeId: "n1", args: ["--services", "identity,node"] });
    return new Two(scratch, disk.path, node, await far(scratch, pools, controllerId));
  }

  get requests(): string {
    return join(this.pool, "requests", Buffer.from("n1").toString("hex"));
  }

  async use(name: string, use: Use, from: { fromSnapshot?: string; fromVolume?: string } = {}) {
    const volume = await createVolume(this.controller, name, { use, bytes: gib / 2, ...from });
    const { volumeId } = volume;
    await this.controller.client.controller.controllerPublishVolume({
      volumeId,
      nodeId: "n1",
      volumeCapability: capability(use),
    });
    const place = await takeVolume(this.scratch, this.node, volume, { use });
    const release = () => place.release();
    const end = async () => {
      await release();
      await this.controller.client.controller.controllerUnpublishVolume({ volumeId, nodeId: "n1" });
      await this.controller.client.controller.deleteVolume({ volumeId });
    };
    return { volumeId, target: place.target, release, end };
  }

  snapshot(name: string, sourceVolumeId: string, timeoutMs = 60_000) {
    return this.controller.client.controller.createSnapshot({ name, sourceVolumeId }, { timeoutMs });
  }

  clone(name: string, volumeId: string, timeoutMs: number) {
    const volumeContentSource = { type: { case: "volume", value: { volumeId } } } as const;
    const request = { name, volumeCapabilities: [capability("ext4")], volumeContentSource };
    return this.controller.client.controller.createVolume(request, { timeoutMs });
  }

  /** A controller that starts gets a copy of every mount that there is, so nothing may be mounted that is to be unmounted. */
  async startController(source: { release(): Promise<void> }): Promise<void> {
    // What is cut is there a moment before the node is done with it.
    await patient(() => source.release());
    await this.controller.start();
  }

  async snapshots(): Promise<string[]> {
    const { entries } = await this.controller.client.controller.listSnapshots({});
    return entries.map(({ snapshot }) => snapshot?.snapshotId ?? "");
  }

  async removeSnapshots(): Promise<void> {
    for (const snapshotId of await this.snapshots()) {
      await patient(() => this.controller.client.controller.deleteSnapshot({ snapshotId }));
    }
  }

  /** What lies in the node's folder, when nobody is asking. */
  async asked(): Promise<string[]> {
    for (let tries = 0; ; tries += 1) {
      const names = readdirSync(this.requests);
      if (names.length === 0 || tries === 60) return names;
      await sleep(50);
    }
  }

  async requested(): Promise<string> {
    return until("the request is there", () => readdirSync(this.requests).find((name) => name.endsWith(".json")));
  }
}

function far(scratch: Scratch, pools: readonly string[], nodeId: string): Promise<Driver> {
  const nothing = join(scratch.path, "no-devices");
  writeFileSync(nothing, "");
  const args = ["--services", "identity,controller", "--grace-seconds", "2"];
  return startDriver(scratch, { pools, nodeId, args, apart: true, standIns: { "/proc/partitions": nothing } });
}

async function until<T>(what: string, look: () => T | undefined | false): Promise<T> {
  for (let tries = 0; tries < 1_000; tries += 1) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    await sleep(10);
  }
  throw new Error(`not within 10 s: ${what}`);
}

/** The lock of a snapshot that is being made. */
const isSnapshot = (name: string) => name.startsWith("snapshot-");

/** Writes one thing after another, each synced before the next is begun; `end` tells how many. */
function load(use: Use, target: string): { end(): Promise<number> } {
  let going = true;
  let done = 0;
  const work = (async () => {
    for (; going && done < 2_000; done += 1) {
      if (use === "block") writeRaw(target, `load-${done}`, offsetOf(done));
      else {
        const file = await open(join(target, `load-${done}`), "w");
        await file.write(Buffer.alloc(16_384, done % 251));
        await file.sync();
        await file.close();
      }
      await sleep(1);
    }
  })();
  return {
    end: async () => {
      going = false;
      await work;
      return done;
    },
  };
}
const offsetOf = (index: number) => mib + index * 65_536;

/** How many of the load's steps a copy has; fails where a later one is there without an earlier. */
function stepsOf(use: Use, target: string, most: number): number {
  const names = use === "block" ? new Set<string>() : new Set(readdirSync(target));
  const has = (index: number) =>
    use === "block" ? holdsRaw(target, `load-${index}`, offsetOf(index)) : names.has(`load-${index}`);
  const there = Array.from({ length: most }, (_, index) => has(index));
  const count = there.lastIndexOf(true) + 1;
  assert.ok(!there.slice(0, Math.max(0, count - 1)).includes(false), "a later write is in the copy, an earlier is not");
  return count;
}

describe("a volume that another node has open", () => {
  let scratch: Scratch;
  let two: Two;
  before(async () => {
    scratch = makeScratch();
    two = await Two.start(scratch, "xfs");
  });
  after(() => scratch.end());

  for (const use of ["ext4", "xfs", "block"] as const) {
    test(`${use}: is snapshotted and cloned while it is written`, async () => {
      const source = await two.use(`source-${use}`, use);
      if (use === "block") writeRaw(source.target, "before");
      else writeFiles(source.target, "before", 5);
      const writing = load(use, source.target);
      await sleep(200);
      const begun = performance.now();
      const snapshotId = await createSnapshot(two.controller, `cut-${use}`, source.volumeId);
      assert.ok(performance.now() - begun < 5_000, "the node looks each second");
      assert.equal(await createSnapshot(two.controller, `cut-${use}`, source.volumeId), snapshotId);
      const clone = await two.use(`clone-${use}`, use, { fromVolume: source.volumeId });
      // Hangs, and fails by the test's time, where it is still frozen.
      const written = await writing.end();
      assert.deepEqual(await two.asked(), []);
      assert.equal(readdirSync(join(two.pool, "controllers")).length, 1, "the node counts as a controller no more");
      const restored = await two.use(`restored-${use}`, use, { fromSnapshot: snapshotId });
      const steps = [restored, clone].map(({ target }) => {
        if (use === "block") assert.ok(holdsRaw(target, "before"));
        else assert.deepEqual(differences(target, "before", 5), []);
        return stepsOf(use, target, written);
      });
      const [first = 0, second = 0] = steps;
      assert.ok(first > 0 && first <= second && second <= written, `${steps.join(" and ")} of ${written}`);
      for (const each of [clone, restored, source]) await each.end();
      await two.removeSnapshots();
      for (const name of [`cut-${use}`, `clone-${use}`]) {
        assert.match(two.node.log(), new RegExp(`"name":"${name}".*cut for a controller elsewhere`));
      }
    });
  }

  test("two controllers that ask for the same get one snapshot", async () => {
    const source = await two.use("both", "ext4");
    const other = await far(scratch, [`p=image:${two.pool},shared=true`], "c2");
    const ids = await Promise.all(
      [two.controller, two.controller, other].map((driver) =>
        patient(() => createSnapshot(driver, "one", source.volumeId)),
      ),
    );
    assert.equal(new Set(ids).size, 1);
    assert.deepEqual(await two.snapshots(), ids.slice(0, 1));
    await other.stop();
    await two.removeSnapshots();
    await source.end();
  });

  test("a node that does not answer is named, with what to do; later it does nothing", async () => {
    const source = await two.use("silent", "ext4");
    process.kill(two.node.pid, "SIGSTOP");
    try {
      const words =
        /staged on n1.* the node 'n1' was asked to cut it, and has not answered since \d{4}-.*see that the driver runs on 'n1'/;
      await refused(two.snapshot("never", source.volumeId, 3_500), "FAILED_PRECONDITION", words);
      await refused(two.clone("no-clone", source.volumeId, 3_500), "FAILED_PRECONDITION", words);
      assert.deepEqual(await two.asked(), []);
      // A caller that can't wait for an answer leaves its request behind for the next.
      await refused(two.snapshot("later", source.volumeId, 500), "DEADLINE_EXCEEDED");
      assert.equal(readdirSync(two.requests).length, 1);
    } finally {
      process.kill(two.node.pid, "SIGCONT");
    }
    const { snapshot } = await two.snapshot("later", source.volumeId);
    await sleep(1_500);
    assert.deepEqual(await two.snapshots(), [snapshot?.snapshotId]);
    assert.equal((await two.controller.client.controller.listVolumes({})).entries.length, 1);
    await two.removeSnapshots();
    await source.end();
  });

  test("a node that is killed at any moment leaves nothing frozen, nothing half-made, and no request", async () => {
    const source = await two.use("sweep", "xfs");
    for (const moment of [0, 5, 10, 20, 40]) {
      const cutting = two.snapshot(`sweep-${moment}`, source.volumeId).catch((error: unknown) => error);
      await two.requested();
      await until(
        "it is seen",
        () => !existsSync(two.requests) || readdirSync(join(two.pool, "locks")).some(isSnapshot),
      );
      await sleep(moment);
      await two.node.kill();
      writeFiles(source.target, `after-${moment}`, 2);
      await two.node.start();
      await cutting;
      const { snapshot } = await patient(() => two.snapshot(`sweep-${moment}`, source.volumeId));
      assert.deepEqual(await two.snapshots(), [snapshot?.snapshotId]);
      assert.deepEqual(await two.asked(), []);
      await two.removeSnapshots();
    }
    await source.end();
    await until("nothing is aside", () => readdirSync(join(two.pool, "building")).length === 0);
  });

  test("a controller that is stopped while it waits takes its request back", async () => {
    const source = await two.use("stopped", "ext4");
    process.kill(two.node.pid, "SIGSTOP");
    try {
      const cutting = refused(two.snapshot("unmade", source.volumeId), [
        "CANCELLED",
        "UNAVAILABLE",
        "FAILED_PRECONDITION",
      ]);
      await two.requested();
      await two.controller.stop();
      await cutting;
      assert.deepEqual(readdirSync(two.requests), []);
    } finally {
      process.kill(two.node.pid, "SIGCONT");
    }
    await two.startController(source);
    assert.deepEqual(await two.snapshots(), []);
    await source.end();
  });

  test("a controller that is killed while it waits finds the snapshot when it repeats", async () => {
    const source = await two.use("repeated", "ext4");
    process.kill(two.node.pid, "SIGSTOP");
    const lost = two.snapshot("again", source.volumeId).catch(() => undefined);
    await two.requested();
    await two.controller.kill();
    process.kill(two.node.pid, "SIGCONT");
    await lost;
    await until("the node has cut it", () => readdirSync(join(two.pool, "snapshots")).length === 1);
    await two.startController(source);
    const { snapshot } = await patient(() => two.snapshot("again", source.volumeId));
    assert.deepEqual(await two.snapshots(), [snapshot?.snapshotId]);
    await two.removeSnapshots();
    await source.end();
  });

  test("a request whose asker died is not acted on when it has expired", async () => {
    const source = await two.use("expired", "ext4");
    process.kill(two.node.pid, "SIGSTOP");
    const lost = two.snapshot("late", source.volumeId).catch(() => undefined);
    const name = await two.requested();
    await two.controller.kill();
    await lost;
    // As if the node had been away for a minute, by the pool's clock.
    const then = Date.now() / 1000 - 60;
    utimesSync(join(two.requests, name), then, then);
    process.kill(two.node.pid, "SIGCONT");
    await until("the node has dropped it", () => !existsSync(join(two.requests, name)));
    await two.startController(source);
    assert.deepEqual(await two.snapshots(), []);
    assert.match(two.node.log(), /a request to cut had expired/);
    await source.end();
  });

  test("a node whose driver never took requests is named at once", async () => {
    const source = await two.use("older", "ext4");
    await two.node.kill();
    rmSync(two.requests, { recursive: true });
    await refused(two.snapshot("none", source.volumeId), "FAILED_PRECONDITION", /'n1' takes no requests/);
    await two.node.start();
    await source.end();
  });
});

describe("a volume that another node has open, where a cut is a copy", () => {
  let scratch: Scratch;
  let two: Two;
  before(async () => {
    scratch = makeScratch();
    two = await Two.start(scratch, "ext4");
  });
  after(() => scratch.end());

  test("a node that is killed while it cuts leaves nothing frozen, and cuts when it is back", async () => {
    const source = await two.use("killed", "ext4");
    for (let n = 0; n < 12; n += 1) writeFileSync(join(source.target, `big-${n}`), Buffer.alloc(32 * mib, n + 1));
    writeFiles(source.target, "before", 5);
    const cutting = two.snapshot("whole", source.volumeId);
    const records = join(two.pool, "nodes", Buffer.from("n1").toString("hex"));
    await until(
      "it is being cut",
      () =>
        readdirSync(records).some((name) => name.startsWith("freeze-")) &&
        readdirSync(join(two.pool, "building")).length > 0,
    );
    await two.node.kill();
    assert.deepEqual(await two.snapshots(), []);
    writeFiles(source.target, "after", 2);
    await two.node.start();
    await cutting;
    assert.deepEqual(await two.asked(), []);
    const restored = await two.use("restored", "ext4", { fromSnapshot: (await two.snapshots())[0] ?? "" });
    assert.deepEqual(differences(restored.target, "before", 5), []);
    assert.deepEqual(differences(restored.target, "after", 2), []);
    await restored.end();
    await two.removeSnapshots();
    await source.end();
    assert.deepEqual(readdirSync(join(two.pool, "building")), []);
  });

  test("what the node refuses is told in its words", async () => {
    const source = await two.use("raw", "block");
    const words = /the node 'n1' was asked to cut it: a raw volume in use can't be held still.*SNAPSHOT_NEEDS_FREEZE/;
    await refused(two.snapshot("raw-cut", source.volumeId), "FAILED_PRECONDITION", words);
    assert.deepEqual(await two.asked(), []);
    assert.deepEqual(await two.snapshots(), []);
    await source.end();
  });
});

test("a controller beside the node's own process asks that", async (t) => {
  const scratch = makeScratch();
  t.after(() => scratch.end());
  const disk = await makePoolDisk(scratch, "xfs");
  const pools = [`p=image:${disk.path},shared=true`];
  const controller = await startDriver(scratch, { pools, args: ["--services", "identity,controller"] });
  const node = await startDriver(scratch, { pools, args: ["--services", "identity,node"], apart: true });
  const volume = await createVolume(controller, "v");
  const { volumeId } = volume;
  await controller.client.controller.controllerPublishVolume({
    volumeId,
    nodeId: "n1",
    volumeCapability: capability("ext4"),
  });
  const place = await takeVolume(scratch, node, volume);
  await createSnapshot(controller, "s", volumeId);
  assert.match(node.log(), /cut for a controller elsewhere/);
  await place.release();
});

test("a local pool has nobody to ask: the refusal says what to do", async (t) => {
  const scratch = makeScratch();
  t.after(() => scratch.end());
  const disk = await makePoolDisk(scratch, "xfs");
  const pools = [`p=image:${disk.path}`];
  const controller = await startDriver(scratch, { pools, args: ["--services", "identity,controller"] });
  const node = await startDriver(scratch, { pools, args: ["--services", "identity,node"], apart: true });
  const volume = await createVolume(controller, "v");
  const place = await takeVolume(scratch, node, volume);
  const words = /mounted where this process can't see it.*let the controller share the node's mount namespace/;
  await refused(createSnapshot(controller, "s", volume.volumeId), "FAILED_PRECONDITION", words);
  assert.ok(!existsSync(join(disk.path, "requests")));
  await place.release();
});
