/**
 * The same snapshots through the upstream snapshot-controller and csi-snapshotter, through ours, and through both mixtures: the same
 * objects are left, and the driver is asked the same.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Problem } from "../../src/pools/problem.ts";
import { type Metadata, makeClass, makeSpace, type Space } from "../support/cluster/claims.ts";
import { type ControlPlane, startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { installDefinitions } from "../support/cluster/objects.ts";
import { comparable, distinct } from "../support/cluster/parity.ts";
import { type ScriptedDriver, startScripted } from "../support/cluster/scripted-driver.ts";
import { staticVolume } from "../support/cluster/static-volume.ts";
import { startUpstream } from "../support/cluster/upstream.ts";
import { scratchFor } from "../support/scratch.ts";

const group = "/apis/snapshot.storage.k8s.io/v1";
const contentsPath = `${group}/volumesnapshotcontents`;
const prefix = "snapshot.storage.kubernetes.io";

interface Snapshot {
  readonly metadata: Metadata;
  readonly status?: {
    readonly readyToUse?: boolean;
    readonly creationTime?: string;
    readonly error?: object;
  };
}
interface Content {
  readonly metadata: Metadata;
  readonly spec: { readonly sourceVolumeMode?: string; readonly volumeSnapshotRef: { readonly namespace: string } };
  readonly status?: { readonly readyToUse?: boolean; readonly snapshotHandle?: string; readonly error?: object };
}

/** One controller with one snapshotter, and a namespace for a case. */
interface Side {
  readonly name: string;
  readonly plane: ControlPlane;
  readonly driver: ScriptedDriver;
  readonly space: Space;
  /** In this side's namespace. */
  readonly snapshots: string;
  make(name: string, spec: object): Promise<Snapshot>;
  snapshot(name: string): Promise<Snapshot | undefined>;
  contents(): Promise<Content[]>;
  until<T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T>;
  /** Waits until the snapshot is so. */
  is(name: string, what: string, so: (snapshot: Snapshot) => boolean | undefined): Promise<Snapshot>;
}

interface Case {
  readonly name: string;
  /** What the driver answers to the n-th call; absent: ready at once. Throws to fail. */
  readonly create?: (count: number) => { readonly ready?: boolean };
  readonly list?: (count: number) => { readonly ready?: boolean } | undefined;
  readonly remove?: (count: number) => void;
  readonly block?: boolean;
  readonly story: (side: Side) => Promise<void>;
  /** Of what our pair left. */
  readonly expect: (left: { snapshots: Snapshot[]; contents: Content[]; claimFinalizers: readonly string[] }) => void;
}

const source = { persistentVolumeClaimName: "c" };
const ready = (side: Side, name = "s") => side.is(name, "ready", ({ status }) => status?.readyToUse);
const failed = (side: Side, name = "s") => side.is(name, "failed", ({ status }) => status?.error !== undefined);
const gone = (side: Side, name = "s") => side.until("gone", async () => (await side.snapshot(name)) === undefined);
const remove = (side: Side, name = "s") => side.plane.api.remove(`${side.snapshots}/${name}`);
const fixed = (snapshot: Snapshot | undefined) => snapshot?.metadata.finalizers?.length;
const refuse = (code: "VOLUME_NOT_FOUND" | "OPERATION_RUNNING" | "VOLUME_IN_USE") => {
  throw new Problem(code, "as the test says");
};
const existing = (side: Side, name: string, more: object = {}, snapshotMore: object = {}) =>
  Promise.all([
    side.plane.api.create(contentsPath, {
      apiVersion: "snapshot.storage.k8s.io/v1",
      kind: "VolumeSnapshotContent",
      metadata: { name: `${side.space.name}-${name}` },
      spec: {
        driver: side.driver.name,
        deletionPolicy: "Delete",
        source: { snapshotHandle: `${side.space.name}-old` },
        volumeSnapshotRef: { name, namespace: side.space.name },
        ...more,
      },
    }),
    side.make(name, { source: { volumeSnapshotContentName: `${side.space.name}-${name}` }, ...snapshotMore }),
  ]);

const cases: readonly Case[] = [
  {
    name: "a claim's snapshot, ready at once",
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-delete` });
      await ready(side);
    },
    expect({ snapshots: [snapshot], contents: [content], claimFinalizers }) {
      assert.deepEqual(snapshot?.metadata.finalizers, [
        `${prefix}/volumesnapshot-as-source-protection`,
        `${prefix}/volumesnapshot-bound-protection`,
      ]);
      assert.deepEqual(content?.metadata.finalizers, [`${prefix}/volumesnapshotcontent-bound-protection`]);
      assert.equal(claimFinalizers.length, 1);
    },
  },
  {
    name: "ready after a while",
    create: (count) => ({ ready: count > 2 }),
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-delete` });
      await ready(side);
    },
    expect: ({ contents: [content] }) => assert.equal(content?.status?.readyToUse, true),
  },
  {
    name: "not ready yet: the claim is held",
    create: () => ({ ready: false }),
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-delete` });
      await side.until("cut", async () => (await side.contents())[0]?.status?.snapshotHandle);
      await side.is("s", "with its time", ({ status }) => status?.creationTime !== undefined);
    },
    expect: ({ claimFinalizers }) => assert.ok(claimFinalizers.includes(`${prefix}/pvc-as-source-protection`)),
  },
  {
    name: "the default class, and a block volume",
    block: true,
    async story(side) {
      await side.make("s", { source });
      await ready(side);
    },
    expect: ({ contents: [content] }) => assert.equal(content?.spec.sourceVolumeMode, "Block"),
  },
  {
    name: "deleted with its storage",
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-delete` });
      await ready(side);
      await side.until("protected", async () => fixed(await side.snapshot("s")) === 2);
      await remove(side);
      await gone(side);
    },
    expect: ({ snapshots, contents }) => assert.equal(snapshots.length + contents.length, 0),
  },
  {
    name: "deleted, the storage retained",
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-retain` });
      await ready(side);
      await remove(side);
      await gone(side);
    },
    expect: ({ contents: [content] }) =>
      assert.equal(content?.metadata.annotations?.[`${prefix}/volumesnapshot-being-deleted`], "yes"),
  },
  {
    name: "retained, and then its content is deleted",
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-retain` });
      await ready(side);
      await remove(side);
      await gone(side);
      const [content] = await side.contents();
      await side.plane.api.remove(`${contentsPath}/${content?.metadata.name}`);
      await side.until("no content", async () => (await side.contents()).length === 0);
    },
    expect: ({ contents }) => assert.equal(contents.length, 0),
  },
  {
    name: "in use on the storage for a while",
    remove: (count) => (count < 3 ? refuse("VOLUME_IN_USE") : undefined),
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-delete` });
      await ready(side);
      await remove(side);
      await gone(side);
    },
    expect: ({ contents }) => assert.equal(contents.length, 0),
  },
  {
    name: "the driver has no such volume",
    create: () => refuse("VOLUME_NOT_FOUND"),
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-delete` });
      await failed(side);
      await side.until(
        "no mark",
        async () => Object.keys((await side.contents())[0]?.metadata.annotations ?? {}).length === 0,
      );
    },
    expect: ({ snapshots: [snapshot] }) => assert.equal(snapshot?.status?.readyToUse, false),
  },
  {
    name: "failed for good, and deleted",
    create: () => refuse("VOLUME_NOT_FOUND"),
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-delete` });
      await failed(side);
      await remove(side);
      await gone(side);
    },
    expect: ({ contents }) => assert.equal(contents.length, 0),
  },
  {
    name: "failed, perhaps still running: the mark stays",
    create: () => refuse("OPERATION_RUNNING"),
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-delete` });
      await failed(side);
    },
    expect: ({ contents: [content] }) =>
      assert.equal(content?.metadata.annotations?.[`${prefix}/volumesnapshot-being-created`], "yes"),
  },
  {
    name: "deleted while the create has no answer: first the answer, then the deletion",
    create: (count) => (count < 4 ? refuse("OPERATION_RUNNING") : {}),
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-delete` });
      await failed(side);
      await remove(side);
      // Upstream may overlook that its own mark is gone, and then waits for its resync after a quarter of an hour: it is woken.
      await side.until("gone", async () => {
        const [content] = await side.contents();
        const labels = { wake: `${Date.now()}` };
        await side.plane.api
          .merge(`${contentsPath}/${content?.metadata.name}`, { metadata: { labels } })
          .catch(() => undefined);
        return (await side.snapshot("s")) === undefined;
      });
    },
    expect: ({ contents }) => assert.equal(contents.length, 0),
  },
  {
    name: "one that existed before",
    async story(side) {
      await existing(side, "s");
      await ready(side);
    },
    expect: ({ contents: [content] }) => assert.match(content?.status?.snapshotHandle ?? "", /-old$/),
  },
  {
    name: "one that existed before, with a class, deleted",
    list: (count) => ({ ready: count > 1 }),
    async story(side) {
      await existing(side, "s", {}, { volumeSnapshotClassName: `${side.driver.name}-delete` });
      await ready(side);
      await remove(side);
      await gone(side);
    },
    expect: ({ contents }) => assert.equal(contents.length, 0),
  },
  {
    name: "one that the driver does not have",
    list: () => undefined,
    async story(side) {
      await existing(side, "s");
      await failed(side);
    },
    expect: ({ snapshots: [snapshot] }) => assert.equal(snapshot?.status?.readyToUse, false),
  },
  {
    name: "no such content, no such class, no such claim",
    async story(side) {
      await side.make("no-content", { source: { volumeSnapshotContentName: "nowhere" } });
      await side.make("no-class", { source, volumeSnapshotClassName: "nowhere" });
      await side.make("no-claim", {
        source: { persistentVolumeClaimName: "nowhere" },
        volumeSnapshotClassName: `${side.driver.name}-delete`,
      });
      for (const name of ["no-content", "no-class", "no-claim"]) await failed(side, name);
    },
    expect: ({ contents, snapshots }) => assert.deepEqual([contents.length, snapshots.length], [0, 3]),
  },
  {
    name: "a content that is another snapshot's",
    async story(side) {
      await existing(side, "s");
      await ready(side);
      await side.make("thief", { source: { volumeSnapshotContentName: `${side.space.name}-s` } });
      await failed(side, "thief");
    },
    expect: ({ snapshots }) => assert.equal(snapshots.length, 2),
  },
  {
    name: "secrets: their names are noted on the content",
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-secret` });
      await ready(side);
    },
    expect: ({ contents: [content] }) =>
      assert.match(content?.metadata.annotations?.[`${prefix}/deletion-secret-name`] ?? "", /-secret$/),
  },
  {
    name: "a claim that restores it holds it",
    async story(side) {
      await side.make("s", { source, volumeSnapshotClassName: `${side.driver.name}-delete` });
      await ready(side);
      await side.until("protected", async () => fixed(await side.snapshot("s")) === 2);
      await side.space.claim("restore", { class: "any", fromSnapshot: "s" });
      await sleep(500);
      await remove(side);
      await sleep(1500);
    },
    expect: ({ snapshots: [snapshot] }) => assert.equal(snapshot?.metadata.finalizers?.length, 2),
  },
];

const fast = ["--kube-api-qps=300", "--kube-api-burst=600", "--retry-interval-start=200ms"];

test("snapshots through upstream, through ours, and through mixtures", async (t) => {
  const scratch = scratchFor(t);
  const combinations = await Promise.all(
    (["upstream", "ours"] as const).map(async (controller) => {
      const plane = await startControlPlane(scratch);
      await installDefinitions(plane, join(import.meta.dirname, "../../deploy/crds"));
      await makeClass(plane, "any", { driver: "nobody.example" });
      await plane.apply({
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "s-secret", namespace: "default" },
        data: {},
      });
      const sides = await Promise.all(
        (["upstream", "ours"] as const).map(async (snapshotter) => {
          const name = `${snapshotter}.example`;
          const driver = await startScripted(scratch, {
            name,
            controller: ["CREATE_DELETE_SNAPSHOT", "LIST_SNAPSHOTS"],
          });
          await makeSnapshotClasses(plane, name);
          return { name: `${controller}, ${snapshotter}`, plane, driver };
        }),
      );
      const [theirs, mine] = sides;
      assert.ok(theirs && mine);
      await startUpstream(plane, {
        prefix: controller,
        socket: theirs.driver.socket,
        sidecars: {
          snapshotter: [...fast, "--extra-create-metadata"],
          ...(controller === "upstream" && { snapshotController: [...fast, "--enable-distributed-snapshotting"] }),
        },
      });
      const options = { firstWaitMs: 200, extraCreateMetadata: true };
      startHelper(plane, "snapshotter", { socket: mine.driver.socket, options, name: `snapshotter-${controller}` });
      if (controller === "ours") startHelper(plane, "snapshotController", { socket: mine.driver.socket, options });
      return sides;
    }),
  );

  for (const [index, each] of cases.entries()) {
    await t.test(each.name, async () => {
      const left = await Promise.all(combinations.flat().map((side) => play(`case-${index}`, side, each)));
      const [reference, ...others] = left;
      assert.ok(reference);
      for (const other of others) assert.deepEqual(other.objects, reference.objects, other.name);
      const ours = others.at(-1);
      assert.ok(ours);
      each.expect(ours.raw);
    });
  }
});

async function makeSnapshotClasses(plane: ControlPlane, driver: string): Promise<void> {
  const secret = (part: string) => `csi.storage.k8s.io/snapshotter-secret-${part}`;
  const parameters = {
    [secret("name")]: `$\{volumesnapshot.name}-secret`,
    [secret("namespace")]: "default",
    kind: "x",
  };
  const kinds = [
    { name: "delete", deletionPolicy: "Delete", isDefault: true },
    { name: "retain", deletionPolicy: "Retain" },
    { name: "secret", deletionPolicy: "Delete", parameters },
  ];
  for (const { name, isDefault, ...rest } of kinds) {
    await plane.api.create(`${group}/volumesnapshotclasses`, {
      apiVersion: "snapshot.storage.k8s.io/v1",
      kind: "VolumeSnapshotClass",
      metadata: { name: `${driver}-${name}`, annotations: isDefault ? { [`${prefix}/is-default-class`]: "true" } : {} },
      driver,
      ...rest,
    });
  }
}

/** Plays a case on one side; answers what it left. */
async function play(
  namespace: string,
  { name, plane, driver }: Pick<Side, "name" | "plane" | "driver">,
  each: Case,
): Promise<{ name: string; objects: unknown; raw: Parameters<Case["expect"]>[0] }> {
  const space = await makeSpace(plane, `${namespace}-${driver.name.split(".")[0]}`);
  const volume = `${space.name}-c`;
  script(driver, space.name, each);
  await staticVolume(space, "c", { driver: driver.name, class: "any", ...(each.block && { block: true }) });
  const snapshots = `${group}/namespaces/${space.name}/volumesnapshots`;
  const until: Side["until"] = (what, ask) =>
    plane.until(`${name}: ${what}`, async () => (await ask()) || undefined, {
      hint: async () => (await space.events()).join("\n"),
    });
  const side: Side = {
    name,
    plane,
    driver,
    space,
    snapshots,
    make: (snapshot, spec) =>
      plane.api.create(snapshots, {
        apiVersion: "snapshot.storage.k8s.io/v1",
        kind: "VolumeSnapshot",
        metadata: { name: snapshot },
        spec,
      }),
    snapshot: (snapshot) => plane.api.find(`${snapshots}/${snapshot}`),
    contents: async () =>
      (await plane.api.list<Content>(contentsPath)).filter(
        ({ spec }) => spec.volumeSnapshotRef.namespace === space.name,
      ),
    until,
    is: (snapshot, what, so) =>
      until(`${snapshot} is ${what}`, async () => {
        const found = await plane.api.find<Snapshot>(`${snapshots}/${snapshot}`);
        return found !== undefined && so(found) ? found : undefined;
      }),
  };
  await each.story(side);
  const look = async () => {
    const raw = {
      snapshots: await plane.api.list<Snapshot>(snapshots),
      contents: await side.contents(),
      claimFinalizers: (await space.getClaim("c")).metadata.finalizers ?? [],
    };
    const names = { [space.name]: "NS", [driver.name]: "DRIVER" };
    const calls = driver.calls.filter(({ request }) => JSON.stringify(request, plain).includes(volume.slice(0, -2)));
    return {
      raw,
      objects: comparable(JSON.parse(anonymous(JSON.stringify({ ...raw, calls: callsOf(calls) }))), names),
    };
  };
  // The last writes of a story may still be under way: what is left is what does not change any more.
  let before = await look();
  for (let same = 0; same < 2; ) {
    await sleep(400);
    const now = await look();
    same = JSON.stringify(now.objects) === JSON.stringify(before.objects) ? same + 1 : 0;
    before = now;
  }
  return { name, ...before };
}

const plain = (_: string, value: unknown) => (typeof value === "bigint" ? `${value}` : value);

const anonymous = (text: string) => text.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UID");

/** Which calls there were, in which order; what is in a map has none. */
const callsOf = (calls: readonly { rpc: string; request: object }[]): string[] =>
  distinct(
    calls.map(({ rpc, request }) => {
      const parameters =
        "parameters" in request
          ? Object.entries(request.parameters as object).sort(([one], [other]) => one.localeCompare(other))
          : [];
      return { rpc, request: { ...request, parameters } };
    }),
  );

const creationTime = { seconds: 1_700_000_000n, nanos: 123_456_789 };

/** Adds the case's answers, for the volumes and snapshots of a namespace, to those of the cases before. */
function script(driver: ScriptedDriver, namespace: string, each: Case): void {
  const before = driver.answers;
  const counts = { create: 0, list: 0, remove: 0 };
  const made = (sourceVolumeId: string, snapshotId: string, readyToUse: boolean) => ({
    snapshot: { snapshotId, sourceVolumeId, creationTime, readyToUse, sizeBytes: 64n << 20n },
  });
  driver.answers = {
    ...before,
    createSnapshot: async (request, call) => {
      if (!request.sourceVolumeId.startsWith(`${namespace}-`))
        return (await before.createSnapshot?.(request, call)) ?? {};
      const answer = each.create?.(++counts.create) ?? {};
      return made(request.sourceVolumeId, `${request.sourceVolumeId}-snap`, answer.ready ?? true);
    },
    listSnapshots: async (request, call) => {
      if (!request.snapshotId.startsWith(`${namespace}-`)) return (await before.listSnapshots?.(request, call)) ?? {};
      const answer = each.list === undefined ? {} : each.list(++counts.list);
      return { entries: answer === undefined ? [] : [made("", request.snapshotId, answer.ready ?? true)] };
    },
    deleteSnapshot: async (request, call) => {
      if (!request.snapshotId.startsWith(`${namespace}-`)) return (await before.deleteSnapshot?.(request, call)) ?? {};
      each.remove?.(++counts.remove);
      return {};
    },
  };
}
