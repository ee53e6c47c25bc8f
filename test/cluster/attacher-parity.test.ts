/** The same attachments through the upstream attacher and through ours: the same objects are left. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../../src/pools/problem.ts";
import { type Attachment, type AttachmentHandle, makeAttachment } from "../support/cluster/attachments.ts";
import { makeClass, makeSpace, type Volume } from "../support/cluster/claims.ts";
import { type ControlPlane, startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { makeNode } from "../support/cluster/objects.ts";
import { comparable, distinct } from "../support/cluster/parity.ts";
import { type ScriptedDriver, startScripted } from "../support/cluster/scripted-driver.ts";
import { type StaticOptions, staticVolume } from "../support/cluster/static-volume.ts";
import { startUpstream } from "../support/cluster/upstream.ts";
import { scratchFor } from "../support/scratch.ts";

type Kind = "full" | "plain" | "idle";

/** One of the two, with a volume. */
interface Side {
  readonly plane: ControlPlane;
  readonly driver: ScriptedDriver;
  readonly volume: string;
  /** Asks to attach it. */
  attach(node?: string, source?: object): Promise<AttachmentHandle>;
  /** How often this volume was asked for by this method. */
  count(rpc: string): number;
  readonly scene: Scene;
}

/** What the driver answers for this volume; a test may change it. */
interface Scene {
  failPublish?: boolean;
  failUnpublish?: boolean;
  /** ListVolumes says so, whatever was done. */
  publishedOn?: string[];
}

interface Case {
  readonly name: string;
  /** plain: without PUBLISH_READONLY and lists; idle: does not attach. Absent: full. */
  readonly driver?: Kind;
  readonly volume?: Partial<StaticOptions>;
  readonly scene?: Scene;
  /** Answers the attachment that is compared in the end. */
  readonly story: (side: Side) => Promise<AttachmentHandle>;
  readonly expect: (attachment: Attachment | undefined, volume: Volume | undefined) => void;
}

const finalizers = (object: Attachment | Volume | undefined) => object?.metadata.finalizers ?? [];
const again = async (side: Side, rpc: string) => {
  await side.plane.until(`${rpc} again`, () => (side.count(rpc) > 1 ? true : undefined));
};

const cases: readonly Case[] = [
  {
    name: "attached, read-only, with what the driver tells the node",
    volume: {
      source: { readOnly: true, volumeAttributes: { a: "b" }, fsType: "xfs" },
      spec: { mountOptions: ["noatime"] },
    },
    async story(side) {
      const attachment = await side.attach();
      await attachment.attached();
      return attachment;
    },
    expect(attachment, volume) {
      assert.deepEqual(attachment?.status.attachmentMetadata, { device: "7" });
      assert.deepEqual(finalizers(attachment), ["external-attacher/ours-example"]);
      assert.ok(finalizers(volume).includes("external-attacher/ours-example"));
    },
  },
  {
    name: "a driver that knows no read-only and tells nothing",
    driver: "plain",
    volume: { source: { readOnly: true }, block: true, mode: "ReadWriteMany" },
    async story(side) {
      const attachment = await side.attach();
      await attachment.attached();
      return attachment;
    },
    expect: (attachment) => assert.equal(attachment?.status.attachmentMetadata, undefined),
  },
  {
    name: "detached",
    async story(side) {
      const attachment = await side.attach();
      await attachment.attached();
      await attachment.remove();
      return attachment;
    },
    expect(attachment, volume) {
      assert.equal(attachment, undefined);
      assert.ok(finalizers(volume).includes("external-attacher/ours-example"));
    },
  },
  {
    name: "it can't be attached, then it can",
    scene: { failPublish: true },
    async story(side) {
      const attachment = await side.attach();
      assert.equal((await attachment.failed("attachError")).errorCode, 9);
      side.scene.failPublish = false;
      await attachment.attached();
      return attachment;
    },
    expect: (attachment) => assert.equal(attachment?.status.attachError, undefined),
  },
  {
    name: "it can't be attached",
    scene: { failPublish: true },
    async story(side) {
      const attachment = await side.attach();
      await attachment.failed("attachError");
      return attachment;
    },
    expect: (attachment) => assert.equal(attachment?.status.attached, false),
  },
  {
    name: "never attached, and given up: it is detached all the same",
    scene: { failPublish: true },
    async story(side) {
      const attachment = await side.attach();
      await attachment.failed("attachError");
      await attachment.remove();
      assert.ok(side.count("controllerUnpublishVolume") > 0);
      return attachment;
    },
    expect: (attachment) => assert.equal(attachment, undefined),
  },
  {
    name: "it can't be detached",
    scene: { failUnpublish: true },
    async story(side) {
      const attachment = await side.attach();
      await attachment.attached();
      await side.plane.api.remove(attachment.path);
      await attachment.failed("detachError");
      return attachment;
    },
    expect: (attachment) => assert.equal(attachment?.status.attached, true),
  },
  {
    name: "a node without the driver",
    async story(side) {
      const attachment = await side.attach("bare");
      await attachment.failed("attachError");
      return attachment;
    },
    expect: (attachment) => assert.deepEqual(finalizers(attachment), []),
  },
  {
    name: "no such volume",
    async story(side) {
      const attachment = await side.attach("n1", { persistentVolumeName: "none" });
      await attachment.failed("attachError");
      return attachment;
    },
    expect: (attachment) => assert.deepEqual(finalizers(attachment), []),
  },
  {
    name: "a volume that is being deleted",
    async story(side) {
      await side.plane.api.remove(`/api/v1/persistentvolumes/${side.volume}`);
      const attachment = await side.attach();
      await attachment.failed("attachError");
      return attachment;
    },
    expect: (attachment) => assert.deepEqual(finalizers(attachment), []),
  },
  {
    name: "a volume that is deleted while it is attached",
    async story(side) {
      const attachment = await side.attach();
      await attachment.attached();
      const path = `/api/v1/persistentvolumes/${side.volume}`;
      await side.plane.api.remove(path);
      // Only the attacher's finalizer is to hold it.
      await side.plane.api.remove(`/api/v1/namespaces/${side.volume.replace(/-c$/, "")}/persistentvolumeclaims/c`);
      await side.plane.until("the controller-manager lets it go", async () => {
        const { metadata } = await side.plane.api.get<Volume>(path);
        return metadata.finalizers?.length === 1 ? true : undefined;
      });
      await attachment.remove();
      await side.plane.until("it is gone", async () =>
        (await side.plane.api.find(path)) === undefined ? true : undefined,
      );
      return attachment;
    },
    expect: (_, volume) => assert.equal(volume, undefined),
  },
  {
    name: "a volume written in the attachment",
    async story(side) {
      const csi = { driver: side.driver.name, volumeHandle: side.volume, volumeAttributes: { in: "line" } };
      const spec = { accessModes: ["ReadWriteOnce"], csi };
      const attachment = await side.attach("n1", { inlineVolumeSpec: spec });
      await attachment.attached();
      return attachment;
    },
    expect: (attachment) => assert.equal(finalizers(attachment).length, 1),
  },
  {
    name: "a driver that does not attach",
    driver: "idle",
    async story(side) {
      const attachment = await side.attach();
      await attachment.attached();
      return attachment;
    },
    expect: (attachment) => assert.deepEqual(finalizers(attachment), []),
  },
  {
    name: "it came undone behind its back",
    async story(side) {
      const attachment = await side.attach();
      await attachment.attached();
      side.scene.publishedOn = [];
      await again(side, "controllerPublishVolume");
      delete side.scene.publishedOn;
      return attachment;
    },
    expect: (attachment) => assert.equal(attachment?.status.attached, true),
  },
  {
    name: "the node is gone: what it was called is noted",
    async story(side) {
      const node = `lost-${side.volume}`;
      await makeNode(side.plane, node, { drivers: [{ name: side.driver.name, nodeID: "its-id" }] });
      const attachment = await side.attach(node);
      await attachment.attached();
      await side.plane.api.remove(`/apis/storage.k8s.io/v1/csinodes/${node}`);
      await attachment.remove();
      return attachment;
    },
    expect: (attachment) => assert.equal(attachment, undefined),
  },
];

test("the upstream attacher and ours leave the same objects", { timeout: 170_000 }, async (t) => {
  const scratch = scratchFor(t);
  // Error codes on attachments are behind this gate in 1.34, and always there from 1.36 on.
  const plane = await startControlPlane(scratch, {
    apiServerArgs: ["--feature-gates=MutableCSINodeAllocatableCount=true"],
  });
  await makeClass(plane, "c", { driver: "any" });
  const sides = (["ours", "theirs"] as const).map((who) => ({ who, scenes: new Map<string, Scene>() }));
  const started = await Promise.all(
    sides.map(async ({ who, scenes }) => {
      const attached = new Map<string, Set<string>>();
      const drivers: Record<Kind, ScriptedDriver> = {
        full: await startScripted(scratch, {
          name: `${who}.example`,
          controller: ["PUBLISH_UNPUBLISH_VOLUME", "PUBLISH_READONLY", "LIST_VOLUMES", "LIST_VOLUMES_PUBLISHED_NODES"],
        }),
        plain: await startScripted(scratch, {
          name: `${who}.plain.example`,
          controller: ["PUBLISH_UNPUBLISH_VOLUME", "SINGLE_NODE_MULTI_WRITER"],
        }),
        idle: await startScripted(scratch, { name: `${who}.idle.example` }),
      };
      for (const [kind, driver] of Object.entries(drivers)) {
        driver.answers = {
          async controllerPublishVolume({ volumeId, nodeId }) {
            if (scenes.get(volumeId)?.failPublish) throw new Problem("ATTACHED_ELSEWHERE", "as the test says");
            attached.set(volumeId, (attached.get(volumeId) ?? new Set()).add(nodeId));
            return Promise.resolve({ publishContext: kind === "full" ? { device: "7" } : {} });
          },
          async controllerUnpublishVolume({ volumeId, nodeId }) {
            if (scenes.get(volumeId)?.failUnpublish) throw new Problem("INTERNAL", "as the test says");
            attached.get(volumeId)?.delete(nodeId);
            return Promise.resolve({});
          },
          listVolumes: () =>
            Promise.resolve({
              entries: [...attached].map(([volumeId, nodes]) => ({
                volume: { volumeId, capacityBytes: 1n },
                status: { publishedNodeIds: scenes.get(volumeId)?.publishedOn ?? [...nodes] },
              })),
            }),
        };
        const { socket, name } = driver;
        if (who === "ours") {
          const options = { firstWaitMs: 200, compareMs: 1000 };
          startHelper(plane, "attacher", { socket, name: `attacher-${name}`, options });
        } else {
          const limits = ["--kube-api-qps=100", "--kube-api-burst=100"];
          const attacher = ["--retry-interval-start=200ms", "--reconcile-sync=1s", ...limits];
          await startUpstream(plane, { socket, sidecars: { attacher }, prefix: `${name}-` });
        }
      }
      return { who, scenes, drivers };
    }),
  );
  const names = started.flatMap(({ drivers }) =>
    Object.values(drivers).map(({ name }) => ({ name, nodeID: "id-of-n1" })),
  );
  await makeNode(plane, "n1", { drivers: names });
  await makeNode(plane, "bare");

  const play = async ({ who, drivers, scenes }: (typeof started)[number], one: Case, index: number) => {
    const driver = drivers[one.driver ?? "full"];
    const space = await makeSpace(plane, `${who}-${index}`);
    const volume = `${space.name}-c`;
    await staticVolume(space, "c", { driver: driver.name, class: "c", ...one.volume });
    const scene: Scene = { ...one.scene };
    scenes.set(volume, scene);
    const asked = () => driver.calls.filter(({ request }) => "volumeId" in request && request.volumeId === volume);
    const attachment = await one.story({
      plane,
      driver,
      volume,
      scene,
      attach: (node = "n1", source = { persistentVolumeName: volume }) =>
        makeAttachment(plane, `${who}-${index}`, { attacher: driver.name, node, source }),
      count: (rpc) => asked().filter((call) => call.rpc === rpc).length,
    });
    const left = await attachment.get();
    const of = await plane.api.find<Volume>(`/api/v1/persistentvolumes/${volume}`);
    const replaced = { [`${who}.`]: "", [`${who}-`]: "" };
    const same = comparable({ left, of }, replaced);
    return { left, of, same, said: comparable(distinct(asked()), replaced) };
  };

  for (const [index, one] of cases.entries()) {
    await t.test(one.name, async () => {
      const [ours, theirs] = await Promise.all(started.map((side) => play(side, one, index)));
      assert.ok(ours && theirs);
      one.expect(ours.left, ours.of);
      assert.deepEqual(ours.same, theirs.same);
      assert.deepEqual(ours.said, theirs.said);
    });
  }
});
