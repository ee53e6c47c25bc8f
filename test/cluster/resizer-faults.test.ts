/** The resizer killed at every step, cut off, contradicted and doubled: every claim gets what it asked for, and no more. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startApiProxy } from "../support/cluster/api-proxy.ts";
import { makeClass, makeSpace, type Space } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { startScripted } from "../support/cluster/scripted-driver.ts";
import { staticVolume } from "../support/cluster/static-volume.ts";
import { scratchFor } from "../support/scratch.ts";

test("the resizer, whatever happens", { timeout: 170_000 }, async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  const driver = await startScripted(scratch, { name: "d.example", controller: ["EXPAND_VOLUME"] });
  await makeClass(plane, "c", { driver: driver.name });
  const proxy = await startApiProxy(plane);
  const space = await makeSpace(plane, "faults");
  const options = { firstWaitMs: 50, longestWaitMs: 500 };
  const helper = startHelper(plane, "resizer", { socket: driver.socket, kubeconfig: proxy.kubeconfig, options });

  const sizes = new Map<string, bigint>();
  /** A volume that grows without a node's part; it never shrinks. */
  const expand: NonNullable<typeof driver.answers.controllerExpandVolume> = ({ volumeId, capacityRange }) => {
    const bytes = capacityRange?.requiredBytes ?? 0n;
    const now = sizes.get(volumeId) ?? 0n;
    sizes.set(volumeId, bytes > now ? bytes : now);
    return Promise.resolve({ capacityBytes: bytes, nodeExpansionRequired: false });
  };
  driver.answers = { controllerExpandVolume: expand };
  const make = (name: string) => staticVolume(space, name, { driver: driver.name, class: "c" });
  const grown = async (name: string, size: string) => {
    await plane.until(`${name} has ${size}`, async () => {
      const { status } = await space.getClaim(name);
      return status.capacity?.storage === size ? status : undefined;
    });
    const { status } = await space.getClaim(name);
    assert.deepEqual([status.conditions ?? [], status.allocatedResourceStatuses ?? {}], [[], {}]);
    assert.equal((await space.bound(name)).spec.capacity.storage, size);
  };
  const writesOf = (name: string) =>
    proxy.writes.filter(({ path }) => path.includes(`/${name}/status`) || path.endsWith(`-${name}`));
  const quiet = () => {
    proxy.before = undefined;
    proxy.after = undefined;
    driver.answers = { controllerExpandVolume: expand };
  };

  await t.test("a growth is three writes", async () => {
    await make("plain");
    await space.resize("plain", "128Mi");
    await grown("plain", "128Mi");
    assert.deepEqual(
      writesOf("plain").map(({ method, path }) => `${method} ${path}`),
      [
        "PATCH /api/v1/namespaces/faults/persistentvolumeclaims/plain/status",
        "PATCH /api/v1/persistentvolumes/faults-plain",
        "PATCH /api/v1/namespaces/faults/persistentvolumeclaims/plain/status",
      ],
    );
  });

  for (const [moment, count] of [1, 2, 3].flatMap((n) => [["before", n] as const, ["after", n] as const])) {
    await t.test(`killed ${moment} its write ${count}`, async () => {
      const name = `killed-${moment}-${count}`;
      await make(name);
      let seen = 0;
      const killed = Promise.withResolvers<void>();
      proxy[moment] = async ({ method, path }) => {
        if (method !== "PATCH" || !path.includes(name)) return undefined;
        if (++seen !== count) return undefined;
        await helper.kill();
        killed.resolve();
        return moment === "before" ? { status: 503, reason: "Gone" } : undefined;
      };
      await space.resize(name, "128Mi");
      await killed.promise;
      quiet();
      helper.start();
      await grown(name, "128Mi");
    });
  }

  await t.test("killed while the driver is at work", async () => {
    await make("killed");
    const killed = Promise.withResolvers<void>();
    driver.answers = {
      async controllerExpandVolume(request, call) {
        const answer = await expand(request, call);
        await helper.kill();
        killed.resolve();
        return answer;
      },
    };
    await space.resize("killed", "128Mi");
    await killed.promise;
    quiet();
    // What was begun is ended, though less is wanted by now.
    await space.resize("killed", "100Mi");
    helper.start();
    await grown("killed", "128Mi");
  });

  await t.test("somebody else writes the claim before each of its writes", async () => {
    await make("contended");
    let touched = 0;
    proxy.before = async ({ method, path }) => {
      if (method === "PATCH" && path.endsWith("contended/status")) {
        touched += 1;
        await plane.api.merge("/api/v1/namespaces/faults/persistentvolumeclaims/contended", {
          metadata: { annotations: { touched: String(touched) } },
        });
        // Not for ever, or nobody could ever write.
        if (touched === 6) proxy.before = undefined;
      }
      return undefined;
    };
    await space.resize("contended", "128Mi");
    await grown("contended", "128Mi");
    assert.ok(touched >= 3);
    quiet();
    const calls = driver.calls.filter(
      ({ request }) => "volumeId" in request && request.volumeId === "faults-contended",
    );
    assert.equal(calls.length, 1, "a conflict costs no call of the driver");
  });

  await t.test("the watches end, and what they missed is seen", async () => {
    await make("cut");
    proxy.before = ({ watch }) => Promise.resolve(watch ? { status: 500, reason: "InternalError" } : undefined);
    proxy.cutWatches();
    await space.resize("cut", "128Mi");
    await sleep(300);
    quiet();
    await grown("cut", "128Mi");
  });

  await t.test("the API server goes while the driver is at work, and comes back", async () => {
    await make("down");
    driver.answers = {
      async controllerExpandVolume(request, call) {
        await plane.apiServer.kill();
        return expand(request, call);
      },
    };
    await space.resize("down", "128Mi");
    await plane.until("it is down", () => (plane.apiServer.running ? undefined : true));
    quiet();
    await sleep(500);
    await plane.startApiServer();
    await grown("down", "128Mi");
  });

  await t.test("the size is made smaller and larger while it grows", async () => {
    await make("changing");
    const asked: bigint[] = [];
    driver.answers = {
      async controllerExpandVolume(request, call) {
        asked.push(request.capacityRange?.requiredBytes ?? 0n);
        if (asked.length === 1) await space.resize("changing", "96Mi");
        if (asked.length === 2) await space.resize("changing", "300Mi");
        return expand(request, call);
      },
    };
    await space.resize("changing", "128Mi");
    await grown("changing", "128Mi");
    // 96Mi are there already, with 128Mi.
    await space.resize("changing", "200Mi");
    await grown("changing", "300Mi");
    quiet();
    assert.deepEqual(
      asked.map((bytes) => bytes >> 20n),
      [128n, 200n, 300n],
    );
  });

  await t.test("two at once, as when a Lease is lost late", async () => {
    const second = startHelper(plane, "resizer", { socket: driver.socket, name: "second", options });
    await plane.until("both work", () => second.log().includes("the resizer works") || undefined);
    const names = Array.from({ length: 10 }, (_, index) => `twice-${index}`);
    await Promise.all(names.map(make));
    await Promise.all(names.map((name) => space.resize(name, "128Mi")));
    await Promise.all(names.map((name) => grown(name, "128Mi")));
    assert.equal(await second.stop(), 0);
    // Neither goes on writing.
    const before = await versions(space, names);
    await sleep(500);
    assert.deepEqual(await versions(space, names), before);
  });

  assert.equal(await helper.stop(), 0);
});

async function versions(space: Space, names: readonly string[]): Promise<unknown[]> {
  return Promise.all(
    names.map(async (name) => {
      const { metadata } = await space.getClaim(name);
      return (metadata as { resourceVersion?: string }).resourceVersion;
    }),
  );
}
