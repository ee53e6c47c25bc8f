/** The same group snapshots through the upstream snapshot-controller and csi-snapshotter and through ours: the same is left. */
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

const groupApi = "/apis/groupsnapshot.storage.k8s.io/v1";
const singleApi = "/apis/snapshot.storage.k8s.io/v1";
const driverName = "groups.example";
const creationTime = { seconds: 1_700_000_000n, nanos: 123_456_789 };
const sizeBytes = 64n << 20n;

interface Any {
  readonly metadata: Metadata;
  readonly spec: Readonly<Record<string, { readonly namespace?: string } | undefined>>;
  readonly status?: {
    readonly readyToUse?: boolean;
    readonly error?: object;
    readonly volumeGroupSnapshotName?: string;
  };
}
interface Side {
  readonly name: string;
  readonly plane: ControlPlane;
  readonly driver: ScriptedDriver;
}
interface Play extends Side {
  readonly space: Space;
  readonly path: string;
  group(): Promise<Any | undefined>;
  members(): Promise<Any[]>;
  until<T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T>;
}
interface Left {
  readonly groups: Any[];
  readonly groupContents: Any[];
  readonly snapshots: Any[];
  readonly contents: Any[];
}
interface Case {
  readonly name: string;
  readonly create?: (count: number) => boolean;
  /** Upstream does not get there. */
  readonly onlyOurs?: boolean;
  readonly story: (play: Play) => Promise<void>;
  readonly expect: (left: Left) => void;
}

const make = ({ space, path }: Play, policy: "delete" | "retain" | undefined) =>
  space.api.create(path, {
    apiVersion: "groupsnapshot.storage.k8s.io/v1",
    kind: "VolumeGroupSnapshot",
    metadata: { name: "g" },
    spec: {
      source: { selector: { matchLabels: { app: "shop" } } },
      ...(policy && { volumeGroupSnapshotClassName: policy }),
    },
  });
const ready = async (play: Play) => {
  await play.until("the group is ready", async () => (await play.group())?.status?.readyToUse);
  await play.until("its snapshots are ready", async () => {
    const members = await play.members();
    return members.length === 2 && members.every(({ status }) => status?.readyToUse && status.volumeGroupSnapshotName);
  });
};
const remove = async (play: Play) => {
  await play.until("it is protected", async () => (await play.group())?.metadata.finalizers?.length);
  await play.until("so are its snapshots", async () =>
    (await play.members()).every(({ metadata }) => (metadata.finalizers?.length ?? 0) > 1),
  );
  await play.space.api.remove(`${play.path}/g`);
  await play.until("the group is gone", async () => (await play.group()) === undefined);
  await play.until("its snapshots are gone", async () => (await play.members()).length === 0);
};

const cases: readonly Case[] = [
  {
    name: "two volumes, ready at once",
    async story(play) {
      await make(play, "delete");
      await ready(play);
    },
    expect: ({ groupContents, snapshots, contents }) =>
      assert.deepEqual([groupContents.length, snapshots.length, contents.length], [1, 2, 2]),
  },
  {
    name: "the default class, ready after a while",
    // Upstream writes what the driver said at the first call into the members again and again: they are never ready.
    onlyOurs: true,
    create: (count) => count > 2,
    async story(play) {
      await make(play, undefined);
      await ready(play);
    },
    expect: ({ groups: [group] }) => assert.equal(group?.status?.readyToUse, true),
  },
  {
    name: "deleted with its storage",
    async story(play) {
      await make(play, "delete");
      await ready(play);
      await remove(play);
    },
    expect: ({ groupContents, contents }) => assert.equal(groupContents.length + contents.length, 0),
  },
  {
    name: "deleted, the storage retained",
    async story(play) {
      await make(play, "retain");
      await ready(play);
      await remove(play);
    },
    expect: ({ groupContents, contents }) => assert.deepEqual([groupContents.length, contents.length], [1, 2]),
  },
  {
    name: "the driver refuses",
    create: () => {
      throw new Problem("VOLUME_NOT_FOUND", "as the test says");
    },
    async story(play) {
      await make(play, "delete");
      await play.until("it failed", async () => (await play.group())?.status?.error);
    },
    expect: ({ snapshots, contents }) => assert.equal(snapshots.length + contents.length, 0),
  },
  {
    name: "no claim has the labels",
    async story(play) {
      await play.space.api.create(play.path, {
        apiVersion: "groupsnapshot.storage.k8s.io/v1",
        kind: "VolumeGroupSnapshot",
        metadata: { name: "g" },
        spec: { source: { selector: { matchLabels: { app: "other" } } }, volumeGroupSnapshotClassName: "delete" },
      });
      await play.until("it failed", async () => (await play.group())?.status?.error);
    },
    expect: ({ groupContents }) => assert.equal(groupContents.length, 0),
  },
  {
    name: "snapshots that existed before",
    async story(play) {
      const { space, path } = play;
      const handle = `${space.name}-group`;
      const members = ["one", "two"].map((name) => `${space.name}-${name}-snap`);
      await space.api.create(`${groupApi}/volumegroupsnapshotcontents`, {
        apiVersion: "groupsnapshot.storage.k8s.io/v1",
        kind: "VolumeGroupSnapshotContent",
        metadata: { name: `${space.name}-old` },
        spec: {
          driver: driverName,
          deletionPolicy: "Delete",
          source: { groupSnapshotHandles: { volumeGroupSnapshotHandle: handle, volumeSnapshotHandles: members } },
          volumeGroupSnapshotRef: { name: "g", namespace: space.name },
        },
      });
      await space.api.create(path, {
        apiVersion: "groupsnapshot.storage.k8s.io/v1",
        kind: "VolumeGroupSnapshot",
        metadata: { name: "g" },
        spec: { source: { volumeGroupSnapshotContentName: `${space.name}-old` } },
      });
      await play.until("the group is ready", async () => (await play.group())?.status?.readyToUse);
      for (const [index, member] of members.entries()) await space.existing(`m${index}`, member, driverName);
      await ready(play);
      await play.until("they belong to it", async () =>
        (await play.members()).every(({ metadata }) => "ownerReferences" in metadata),
      );
    },
    expect: ({ contents }) => assert.equal(contents.length, 2),
  },
];

test("group snapshots through upstream and through ours", async (t) => {
  const scratch = scratchFor(t);
  const sides = await Promise.all(
    (["upstream", "ours"] as const).map(async (name): Promise<Side> => {
      const plane = await startControlPlane(scratch);
      await installDefinitions(plane, join(import.meta.dirname, "../../deploy/crds"));
      await makeClass(plane, "any", { driver: "nobody.example" });
      const driver = await startScripted(scratch, {
        name: driverName,
        plugin: ["CONTROLLER_SERVICE", "GROUP_CONTROLLER_SERVICE"],
        controller: ["CREATE_DELETE_SNAPSHOT", "LIST_SNAPSHOTS"],
      });
      for (const [policy, deletionPolicy] of [
        ["delete", "Delete"],
        ["retain", "Retain"],
      ] as const) {
        const annotations =
          policy === "delete" ? { "groupsnapshot.storage.kubernetes.io/is-default-class": "true" } : {};
        await plane.api.create(`${groupApi}/volumegroupsnapshotclasses`, {
          apiVersion: "groupsnapshot.storage.k8s.io/v1",
          kind: "VolumeGroupSnapshotClass",
          metadata: { name: policy, annotations },
          driver: driverName,
          deletionPolicy,
        });
      }
      if (name === "upstream") {
        const fast = ["--kube-api-qps=300", "--kube-api-burst=600", "--retry-interval-start=200ms"];
        const sidecars = { snapshotter: [...fast, "--extra-create-metadata"], snapshotController: fast };
        await startUpstream(plane, { socket: driver.socket, sidecars });
      } else {
        const options = { firstWaitMs: 200, extraCreateMetadata: true };
        startHelper(plane, "snapshotter", { socket: driver.socket, options });
        startHelper(plane, "snapshotController", { socket: driver.socket, options });
      }
      return { name, plane, driver };
    }),
  );
  for (const [index, each] of cases.entries()) {
    await t.test(each.name, async () => {
      const played = sides.filter(({ name }) => name === "ours" || !each.onlyOurs);
      const [theirs, ours = theirs] = await Promise.all(played.map((side) => play(`group-${index}`, side, each)));
      assert.ok(theirs && ours);
      assert.deepEqual(ours.objects, theirs.objects);
      each.expect(ours.raw);
    });
  }
});

async function play(namespace: string, side: Side, each: Case): Promise<{ raw: Left; objects: unknown }> {
  const { plane, driver } = side;
  const space = await makeSpace(plane, namespace);
  script(driver, namespace, each);
  for (const claim of ["one", "two"]) {
    await staticVolume(space, claim, { driver: driverName, class: "any" });
    const path = `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${claim}`;
    await plane.api.merge(path, { metadata: { labels: { app: "shop" } } });
  }
  const path = `${groupApi}/namespaces/${namespace}/volumegroupsnapshots`;
  const snapshots = `${singleApi}/namespaces/${namespace}/volumesnapshots`;
  const of = async (kind: string, ref: string) =>
    (await plane.api.list<Any>(kind)).filter(({ spec }) => spec[ref]?.namespace === namespace);
  await each.story({
    ...side,
    space,
    path,
    group: () => plane.api.find(`${path}/g`),
    members: () => plane.api.list(snapshots),
    until: (what, ask) =>
      plane.until(`${side.name}: ${what}`, async () => (await ask()) || undefined, {
        hint: async () => (await space.events()).join("\n"),
      }),
  });
  const look = async () => {
    const raw: Left = {
      groups: await plane.api.list(path),
      groupContents: await of(`${groupApi}/volumegroupsnapshotcontents`, "volumeGroupSnapshotRef"),
      snapshots: await plane.api.list(snapshots),
      contents: await of(`${singleApi}/volumesnapshotcontents`, "volumeSnapshotRef"),
    };
    const calls = driver.calls.filter(({ request }) => JSON.stringify(request, plain).includes(`${namespace}-`));
    const sorted = calls.map(({ rpc, request }) => ({
      rpc,
      request: {
        ...request,
        ...("parameters" in request && {
          parameters: Object.entries(request.parameters as object).sort(([one], [other]) => one.localeCompare(other)),
        }),
      },
    }));
    // The names of members are hashes of a UID: what they are of tells them apart, and the list's order does not.
    const hashes = new Map<string, string>();
    for (const { spec, metadata } of raw.contents) {
      const hash = /[0-9a-f]{64}/.exec(metadata.name)?.[0];
      if (hash !== undefined) hashes.set(hash, `of ${(spec["source"] as { volumeHandle?: string }).volumeHandle}`);
    }
    let text = JSON.stringify({ ...raw, calls: distinct(sorted) });
    for (const [hash, name] of hashes) text = text.replaceAll(hash, name);
    const known = JSON.parse(text.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UID")) as Left;
    const objects = { ...known, snapshots: ordered(known.snapshots), contents: ordered(known.contents) };
    return { raw, objects: comparable(objects, {}) };
  };
  let before = await look();
  for (let same = 0; same < 2; ) {
    await sleep(400);
    const now = await look();
    same = JSON.stringify(now.objects) === JSON.stringify(before.objects) ? same + 1 : 0;
    before = now;
  }
  return before;
}

const ordered = (list: readonly Any[]) =>
  [...list].sort((one, other) => one.metadata.name.localeCompare(other.metadata.name));
const plain = (_: string, value: unknown) => (typeof value === "bigint" ? `${value}` : value);

/** Adds the case's answers, for the volumes of a namespace, to those of the cases before. */
function script(driver: ScriptedDriver, namespace: string, each: Case): void {
  const [single, group] = [driver.answers, driver.groupAnswers];
  const groupId = `${namespace}-group`;
  let count = 0;
  const snapshots = (volumes: readonly string[], readyToUse: boolean) =>
    volumes.map((sourceVolumeId) => ({
      snapshotId: `${sourceVolumeId}-snap`,
      sourceVolumeId,
      creationTime,
      readyToUse,
      sizeBytes,
      groupSnapshotId: groupId,
    }));
  const ours = (id: string | undefined) => id?.startsWith(`${namespace}-`) ?? false;
  driver.groupAnswers = {
    createVolumeGroupSnapshot: async (request, call) => {
      if (!ours(request.sourceVolumeIds[0])) return (await group.createVolumeGroupSnapshot?.(request, call)) ?? {};
      const readyToUse = each.create?.(++count) ?? true;
      const made = snapshots(request.sourceVolumeIds, readyToUse);
      return { groupSnapshot: { groupSnapshotId: groupId, snapshots: made, creationTime, readyToUse } };
    },
    getVolumeGroupSnapshot: async (request, call) => {
      if (!ours(request.groupSnapshotId)) return (await group.getVolumeGroupSnapshot?.(request, call)) ?? {};
      const made = snapshots(
        ["one", "two"].map((name) => `${namespace}-${name}`),
        true,
      );
      return { groupSnapshot: { groupSnapshotId: groupId, snapshots: made, creationTime, readyToUse: true } };
    },
    deleteVolumeGroupSnapshot: async (request, call) =>
      ours(request.groupSnapshotId) ? {} : ((await group.deleteVolumeGroupSnapshot?.(request, call)) ?? {}),
  };
  driver.answers = {
    listSnapshots: async (request, call) => {
      if (!ours(request.snapshotId)) return (await single.listSnapshots?.(request, call)) ?? {};
      const [snapshot] = snapshots([request.snapshotId.replace(/-snap$/, "")], true);
      return { entries: snapshot === undefined ? [] : [{ snapshot }] };
    },
  };
}
