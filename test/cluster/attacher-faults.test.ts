/** The attacher killed at every step, cut off, contradicted and doubled: what is asked for is attached, and nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startApiProxy } from "../support/cluster/api-proxy.ts";
import { makeAttachment } from "../support/cluster/attachments.ts";
import { makeClass, makeSpace, type Volume } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { makeNode } from "../support/cluster/objects.ts";
import { startScripted } from "../support/cluster/scripted-driver.ts";
import { staticVolume } from "../support/cluster/static-volume.ts";
import { scratchFor } from "../support/scratch.ts";

const finalizer = "external-attacher/d-example";

test("the attacher, whatever happens", { timeout: 170_000 }, async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  const driver = await startScripted(scratch, { name: "d.example", controller: ["PUBLISH_UNPUBLISH_VOLUME"] });
  await makeClass(plane, "c", { driver: driver.name });
  await makeNode(plane, "n1", { drivers: [{ name: driver.name }] });
  const proxy = await startApiProxy(plane);
  const space = await makeSpace(plane, "faults");
  const options = { firstWaitMs: 50, longestWaitMs: 500 };
  const helper = startHelper(plane, "attacher", { socket: driver.socket, kubeconfig: proxy.kubeconfig, options });

  /** What the storage really has. */
  const attached = new Set<string>();
  const publish: NonNullable<typeof driver.answers.controllerPublishVolume> = ({ volumeId }) => {
    attached.add(volumeId);
    return Promise.resolve({ publishContext: {} });
  };
  const unpublish: NonNullable<typeof driver.answers.controllerUnpublishVolume> = ({ volumeId }) => {
    attached.delete(volumeId);
    return Promise.resolve({});
  };
  const quiet = () => {
    proxy.before = undefined;
    proxy.after = undefined;
    driver.answers = { controllerPublishVolume: publish, controllerUnpublishVolume: unpublish };
  };
  quiet();
  const make = async (name: string) => {
    await staticVolume(space, name, { driver: driver.name, class: "c" });
    return () => makeAttachment(plane, name, { attacher: driver.name, node: "n1", volume: `faults-${name}` });
  };
  const finalizersOf = async (name: string) =>
    (await plane.api.get<Volume>(`/api/v1/persistentvolumes/faults-${name}`)).metadata.finalizers ?? [];

  await t.test("an attachment is three writes, its end one, or two", async () => {
    const attach = await make("plain");
    const attachment = await attach();
    await attachment.attached();
    await attachment.remove();
    assert.deepEqual(
      proxy.writes.slice(0, 4).map(({ method, path }) => `${method} ${path}`),
      [
        "PATCH /api/v1/persistentvolumes/faults-plain",
        "PATCH /apis/storage.k8s.io/v1/volumeattachments/plain",
        "PATCH /apis/storage.k8s.io/v1/volumeattachments/plain/status",
        "PATCH /apis/storage.k8s.io/v1/volumeattachments/plain",
      ],
    );
    assert.ok((await finalizersOf("plain")).includes(finalizer));
  });

  const moments = [1, 2, 3, 4].flatMap((n) => [["before", n] as const, ["after", n] as const]);
  for (const [moment, count] of moments) {
    await t.test(`killed ${moment} its write ${count}`, async () => {
      const name = `killed-${moment}-${count}`;
      const attach = await make(name);
      let seen = 0;
      const killed = Promise.withResolvers<void>();
      proxy[moment] = async ({ method, path }) => {
        if (method !== "PATCH" || !path.includes(name)) return undefined;
        if (++seen !== count) return undefined;
        await helper.kill();
        killed.resolve();
        return moment === "before" ? { status: 503, reason: "Gone" } : undefined;
      };
      const attachment = await attach();
      if (count === 4) await attachment.attached();
      const removed = count === 4 ? attachment.remove() : Promise.resolve();
      await killed.promise;
      quiet();
      helper.start();
      if (count < 4) {
        await attachment.attached();
        assert.ok(attached.has(`faults-${name}`));
        assert.ok((await finalizersOf(name)).includes(finalizer));
        await attachment.remove();
      }
      await removed;
      assert.ok(!attached.has(`faults-${name}`));
    });
  }

  await t.test("given up and killed while the driver attaches: it is detached all the same", async () => {
    const attach = await make("killed");
    const killed = Promise.withResolvers<void>();
    driver.answers = {
      async controllerPublishVolume(request, call) {
        await publish(request, call);
        await helper.kill();
        killed.resolve();
        return {};
      },
    };
    const attachment = await attach();
    await killed.promise;
    quiet();
    const removed = attachment.remove();
    helper.start();
    await removed;
    assert.ok(!attached.has("faults-killed"));
  });

  await t.test("somebody else writes the objects before each of its writes", async () => {
    const attach = await make("contended");
    let touched = 0;
    proxy.before = async ({ method, path }) => {
      if (method === "PATCH" && path.endsWith("contended") && touched < 6) {
        touched += 1;
        const finalizers = (await plane.api.get<Volume>(path)).metadata.finalizers ?? [];
        await plane.api.merge(path, { metadata: { finalizers: [...finalizers, `other.example/${touched}`] } });
      }
      return undefined;
    };
    const attachment = await attach();
    const { metadata } = await attachment.attached();
    quiet();
    assert.equal(touched, 6);
    const all = [...(await finalizersOf("contended")), ...(metadata.finalizers ?? [])];
    for (let count = 1; count <= touched; count++)
      assert.ok(all.includes(`other.example/${count}`), "nobody's is lost");
    await plane.api.merge(attachment.path, { metadata: { finalizers: [finalizer] } });
    await attachment.remove();
  });

  await t.test("the watches end, and what they missed is seen", async () => {
    const attach = await make("cut");
    const attachment = await attach();
    await attachment.attached();
    proxy.before = ({ watch }) => Promise.resolve(watch ? { status: 500, reason: "InternalError" } : undefined);
    proxy.cutWatches();
    const removed = attachment.remove();
    await sleep(300);
    quiet();
    await removed;
    assert.ok(!attached.has("faults-cut"));
  });

  await t.test("the API server goes while the driver is at work, and comes back", async () => {
    const attach = await make("down");
    driver.answers = {
      async controllerPublishVolume(request, call) {
        await plane.apiServer.kill();
        return publish(request, call);
      },
    };
    const attachment = await attach();
    await plane.until("it is down", () => (plane.apiServer.running ? undefined : true));
    quiet();
    await sleep(500);
    await plane.startApiServer();
    await attachment.attached();
    await attachment.remove();
    assert.ok(!attached.has("faults-down"));
  });

  await t.test("two at once, as when a Lease is lost late", async () => {
    const second = startHelper(plane, "attacher", { socket: driver.socket, name: "second", options });
    await plane.until("both work", () => second.log().includes("the attacher works") || undefined);
    const attaching = await Promise.all(Array.from({ length: 10 }, (_, index) => make(`twice-${index}`)));
    const attachments = await Promise.all(attaching.map((attach) => attach()));
    await Promise.all(attachments.map((attachment) => attachment.attached()));
    assert.equal([...attached].filter((name) => name.includes("twice")).length, 10);
    await Promise.all(attachments.map((attachment) => attachment.remove()));
    await sleep(300);
    assert.deepEqual([...attached], []);
    assert.equal(await second.stop(), 0);
  });

  assert.equal(await helper.stop(), 0);
});
