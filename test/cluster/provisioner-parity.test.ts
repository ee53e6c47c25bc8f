/** The same claims through the upstream provisioner and through ours: the driver is asked the same, and the same objects are left. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ProvisionerOptions } from "../../src/kubernetes/provisioner/index.ts";
import { Problem } from "../../src/pools/problem.ts";
import { makeSpace, type Space } from "../support/cluster/claims.ts";
import { type ControlPlane, startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { installDefinitions, makeNode } from "../support/cluster/objects.ts";
import { comparable, distinct } from "../support/cluster/parity.ts";
import { type ScriptedDriver, startScripted } from "../support/cluster/scripted-driver.ts";
import { snapshotDefinitions, startUpstream } from "../support/cluster/upstream.ts";
import { scratchFor } from "../support/scratch.ts";

/** One of the two, with a driver and a namespace of its own. */
interface Side {
  readonly plane: ControlPlane;
  readonly driver: ScriptedDriver;
  readonly space: Space;
  /** In the names of all that is its own. */
  readonly mark: string;
  /** How often the driver was asked for this claim's volume. */
  asked(rpc: "createVolume" | "deleteVolume", claim: string): number;
  waitFor(what: string, ask: () => Promise<unknown>): Promise<void>;
  phase(claim: string): Promise<string>;
}

interface Case {
  /** Also the claim's name. */
  readonly name: string;
  readonly title: string;
  /** Of the StorageClass: parameters, allowedTopologies ... */
  readonly class?: object;
  /** Absent: Immediate. */
  readonly waits?: true;
  readonly claim?: { readonly annotations?: Record<string, string>; readonly spec?: object };
  /** Its VolumeAttributesClass. */
  readonly attributes?: string;
  /** The node that was selected. */
  readonly selected?: string;
  readonly before?: (side: Side) => Promise<void>;
  /** Answers of CreateVolume before the good one: a size, a code, or without the content that was asked for. */
  readonly answers?: readonly (bigint | "no content" | "unavailable" | "invalid" | "out of room")[];
  /** DeleteVolume fails so often. */
  readonly failDelete?: number;
  /** Absent: until it is bound. */
  readonly story?: (side: Side) => Promise<void>;
  readonly expect?: (left: Left) => void;
}

interface Left {
  readonly claim:
    | {
        readonly metadata: { readonly annotations?: Record<string, string> };
        readonly status: { readonly phase: string };
      }
    | undefined;
  readonly volume:
    | { readonly metadata: { readonly finalizers?: string[] }; readonly spec: Record<string, unknown> }
    | undefined;
  readonly calls: readonly string[];
}

const gib = 1024n ** 3n;
const zone = (...values: string[]) => [{ matchLabelExpressions: [{ key: "x/zone", values }] }];
const token = (name: string) => `\${${name}}`;
const secretParameters = (...purposes: string[]) =>
  Object.fromEntries(
    purposes.flatMap((purpose) => [
      [`csi.storage.k8s.io/${purpose}secret-name`, `${purpose}of-${token("pvc.name")}`],
      [`csi.storage.k8s.io/${purpose}secret-namespace`, token("pvc.namespace")],
    ]),
  );
const bound = (side: Side, name: string) =>
  side.waitFor(`${name} is bound`, async () => ((await side.phase(name)) === "Bound" ? true : undefined));
const stays = (name: string) => async (side: Side) => {
  await side.waitFor("its annotation", async () => (await side.space.getClaim(name)).metadata.annotations);
  await sleep(1500);
  assert.equal(await side.phase(name), "Pending");
};
const snapshots = (side: Side) => `/apis/snapshot.storage.k8s.io/v1/namespaces/${side.space.name}/volumesnapshots`;

/** A snapshot and its content, as a snapshotter leaves them. */
async function snapshot(side: Side, name: string, more: { ready?: boolean; mode?: string } = {}): Promise<void> {
  const contents = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents";
  const content = `content-${name}.${side.mark}`;
  const group = { apiVersion: "snapshot.storage.k8s.io/v1" };
  const made = await side.plane.api.create<{ metadata: { uid: string } }>(snapshots(side), {
    ...group,
    kind: "VolumeSnapshot",
    metadata: { name },
    spec: { source: { volumeSnapshotContentName: content } },
  });
  await side.plane.api.create(contents, {
    ...group,
    kind: "VolumeSnapshotContent",
    metadata: { name: content },
    spec: {
      deletionPolicy: "Retain",
      driver: side.driver.name,
      source: { snapshotHandle: `handle-${name}` },
      volumeSnapshotRef: { name, namespace: side.space.name, uid: made.metadata.uid },
      ...(more.mode !== undefined && { sourceVolumeMode: more.mode }),
    },
  });
  const ready = { readyToUse: more.ready !== false, restoreSize: Number(gib) };
  await side.plane.api.merge(`${contents}/${content}/status`, {
    status: { ...ready, snapshotHandle: `handle-${name}` },
  });
  await side.plane.api.merge(`${snapshots(side)}/${name}/status`, {
    status: { ...ready, restoreSize: "1Gi", boundVolumeSnapshotContentName: content },
  });
}

const fromSnapshot = (name: string) => ({
  dataSource: { apiGroup: "snapshot.storage.k8s.io", kind: "VolumeSnapshot", name },
});

const cases: readonly Case[] = [
  { name: "plain", title: "nothing but a size" },
  { name: "selected", title: "a selected node", waits: true, selected: "n2" },
  { name: "data-web-0", title: "the first of a StatefulSet" },
  { name: "data-web-1", title: "the second of a StatefulSet" },
  { name: "other-3", title: "a name that looks like one" },
  {
    name: "allowed",
    title: "a selected node among the allowed zones",
    class: { allowedTopologies: zone("b", "a") },
    waits: true,
    selected: "n2",
  },
  { name: "allowed-now", title: "allowed zones and no node", class: { allowedTopologies: zone("c", "b") } },
  {
    name: "two-keys",
    title: "allowed zones and racks",
    class: {
      allowedTopologies: [
        {
          matchLabelExpressions: [
            { key: "x/zone", values: ["b", "a"] },
            { key: "x/rack", values: ["r2", "r1"] },
          ],
        },
        ...zone("c"),
      ],
    },
  },
  {
    name: "parameters",
    title: "parameters, secrets, mount options, Retain",
    class: {
      parameters: {
        kind: "fast",
        "csi.storage.k8s.io/fstype": "xfs",
        ...secretParameters("provisioner-", "controller-publish-", "node-stage-", "controller-expand-"),
        "csi.storage.k8s.io/secret-name": `${token("pvc.annotations['example.com/secret']")}-${token("pv.name")}`,
        "csi.storage.k8s.io/secret-namespace": "kube-system",
        "csi.storage.k8s.io/controller-modify-secret-name": "modify",
        "csi.storage.k8s.io/controller-modify-secret-namespace": token("pvc.namespace"),
      },
      mountOptions: ["noatime", "nodev"],
      reclaimPolicy: "Retain",
    },
    claim: { annotations: { "example.com/secret": "mine" } },
    before: async (side) => {
      await side.plane.api.create(`/api/v1/namespaces/${side.space.name}/secrets`, {
        metadata: { name: "provisioner-of-parameters" },
        stringData: { user: "me", key: "x" },
      });
    },
  },
  { name: "old-fstype", title: "the file system by the old key", class: { parameters: { fsType: "ext4" } } },
  {
    name: "block",
    title: "a raw volume, for many",
    class: { parameters: { "csi.storage.k8s.io/fstype": "xfs" }, mountOptions: ["noatime"] },
    claim: { spec: { volumeMode: "Block", accessModes: ["ReadWriteMany"] } },
  },
  { name: "modes", title: "several modes", claim: { spec: { accessModes: ["ReadOnlyMany", "ReadWriteOnce"] } } },
  { name: "one-pod", title: "one pod", claim: { spec: { accessModes: ["ReadWriteOncePod"] } } },
  {
    name: "odd-size",
    title: "a size that is no binary unit",
    claim: { spec: { resources: { requests: { storage: "1500M" } } } },
  },
  {
    name: "attributes",
    title: "a VolumeAttributesClass",
    attributes: "gold",
    before: async (side) => {
      await side.plane.api.create("/apis/storage.k8s.io/v1/volumeattributesclasses", {
        metadata: { name: `gold.${side.mark}` },
        driverName: side.driver.name,
        parameters: { iops: "7" },
      });
    },
  },
  {
    name: "restored",
    title: "a restored snapshot",
    claim: { spec: fromSnapshot("cut") },
    before: (side) => snapshot(side, "cut"),
    expect: ({ calls }) => assert.match(calls[0] ?? "", /handle-cut/),
  },
  {
    name: "restored-small",
    title: "a restore that is too small",
    claim: { spec: { ...fromSnapshot("large"), resources: { requests: { storage: "1Mi" } } } },
    before: (side) => snapshot(side, "large"),
    story: stays("restored-small"),
  },
  {
    name: "restored-later",
    title: "a snapshot that is ready later",
    claim: { spec: fromSnapshot("slow") },
    before: (side) => snapshot(side, "slow", { ready: false }),
    async story(side) {
      await stays("restored-later")(side);
      await side.plane.api.merge(`${snapshots(side)}/slow/status`, { status: { readyToUse: true } });
      await bound(side, "restored-later");
    },
  },
  {
    name: "restored-mode",
    title: "a restore that would change the mode",
    claim: { spec: { ...fromSnapshot("raw") } },
    before: (side) => snapshot(side, "raw", { mode: "Block" }),
    story: stays("restored-mode"),
  },
  {
    name: "cloned",
    title: "a cloned claim",
    claim: { spec: { dataSource: { kind: "PersistentVolumeClaim", name: "source-of-cloned" } } },
    before: async (side) => {
      await side.space.claim("source-of-cloned", { class: `cloned.${side.mark}`, size: "1Gi" });
      await bound(side, "source-of-cloned");
    },
  },
  {
    name: "no-content",
    title: "a volume that came without its content is deleted, and made again",
    claim: { spec: fromSnapshot("lost") },
    before: (side) => snapshot(side, "lost"),
    answers: ["no content"],
    expect: ({ calls }) => assert.equal(calls.length, 3),
  },
  {
    name: "too-small",
    title: "a volume that came too small is deleted, and made again",
    answers: [1024n],
    expect: ({ calls }) => assert.equal(calls.length, 3),
  },
  { name: "larger", title: "a volume that came larger", answers: [2n * gib] },
  { name: "unknown-size", title: "a volume whose size the driver does not tell", answers: [0n] },
  { name: "away", title: "a driver that is away for a moment", answers: ["unavailable", "unavailable"] },
  {
    name: "no-room",
    title: "no room where a node was selected",
    waits: true,
    selected: "n1",
    answers: Array<"out of room">(50).fill("out of room"),
    story: (side) =>
      side.waitFor("the selection is gone", async () =>
        (await side.space.getClaim("no-room")).metadata.annotations?.["volume.kubernetes.io/selected-node"] ===
        undefined
          ? true
          : undefined,
      ),
  },
  {
    name: "no-room-now",
    title: "no room where none was selected",
    answers: ["out of room"],
    expect: ({ claim }) => assert.equal(claim?.status.phase, "Bound"),
  },
  {
    name: "invalid",
    title: "what the driver calls invalid",
    answers: Array<"invalid">(50).fill("invalid"),
    story: stays("invalid"),
  },
  {
    name: "unknown-parameter",
    title: "a parameter that is not known",
    class: { parameters: { "csi.storage.k8s.io/what": "x" } },
    story: stays("unknown-parameter"),
  },
  {
    name: "half-a-secret",
    title: "a secret without its namespace",
    class: { parameters: { "csi.storage.k8s.io/node-stage-secret-name": "x" } },
    story: stays("half-a-secret"),
  },
  {
    name: "no-secret",
    title: "a secret that is not there",
    class: { parameters: secretParameters("provisioner-") },
    story: stays("no-secret"),
  },
  {
    name: "selector",
    title: "a claim with a selector",
    claim: { spec: { selector: { matchLabels: { a: "b" } } } },
    story: stays("selector"),
  },
  {
    name: "populated",
    title: "a volume that another fills",
    claim: { spec: { dataSourceRef: { apiGroup: "example.com", kind: "Painting", name: "x" } } },
    story: stays("populated"),
  },
  {
    name: "gone-node",
    title: "a selected node that is not there",
    waits: true,
    selected: "n9",
    story: (side) =>
      side.waitFor("the selection is gone", async () =>
        (await side.space.getClaim("gone-node")).metadata.annotations?.["volume.kubernetes.io/selected-node"] ===
        undefined
          ? true
          : undefined,
      ),
  },
  {
    name: "deleted",
    title: "deleted, after a failure, with its secret",
    class: { parameters: secretParameters("provisioner-") },
    before: async (side) => {
      await side.plane.api.create(`/api/v1/namespaces/${side.space.name}/secrets`, {
        metadata: { name: "provisioner-of-deleted" },
        stringData: { key: "y" },
      });
    },
    failDelete: 1,
    async story(side) {
      await bound(side, "deleted");
      await side.space.removeClaim("deleted");
    },
    expect({ claim, volume, calls }) {
      assert.equal(claim, undefined);
      assert.equal(volume, undefined);
      assert.equal(calls.length, 2);
    },
  },
  {
    name: "retained",
    title: "deleted, and the volume retained",
    class: { reclaimPolicy: "Retain" },
    async story(side) {
      await bound(side, "retained");
      const name = (await side.space.getClaim("retained")).spec.volumeName;
      await side.plane.api.remove(`/api/v1/namespaces/${side.space.name}/persistentvolumeclaims/retained`);
      await side.waitFor("it is released", async () => {
        const { status } = await side.plane.api.get<{ status: { phase: string } }>(`/api/v1/persistentvolumes/${name}`);
        return status.phase === "Released" ? true : undefined;
      });
      await sleep(500);
    },
    expect: ({ volume }) => assert.ok(!volume?.metadata.finalizers?.some((each) => each.startsWith("external"))),
  },
];

/** What only matters where only the selected node's segment is asked for, and nothing without one. */
const strictCases: readonly Case[] = [
  { name: "selected", title: "a selected node", waits: true, selected: "n2" },
  { name: "nowhere", title: "no node and no zones" },
  {
    name: "allowed",
    title: "a node in an allowed zone",
    class: { allowedTopologies: zone("b") },
    waits: true,
    selected: "n2",
  },
  {
    name: "not-allowed",
    title: "a node in another zone",
    class: { allowedTopologies: zone("a") },
    waits: true,
    selected: "n2",
    story: stays("not-allowed"),
  },
  {
    name: "given-fstype",
    title: "the class's file system wins",
    class: { parameters: { "csi.storage.k8s.io/fstype": "xfs" } },
  },
];

/** Where one acts for its node only. */
const nodeCases: readonly Case[] = [
  { name: "mine", title: "a selected node that is this one", waits: true, selected: "n1" },
  {
    name: "not-mine",
    title: "a selected node that is another",
    waits: true,
    selected: "n2",
    story: stays("not-mine"),
    expect: ({ calls }) => assert.deepEqual(calls, []),
  },
  {
    name: "deleted",
    title: "made and deleted",
    waits: true,
    selected: "n1",
    async story(side) {
      await bound(side, "deleted");
      await side.space.removeClaim("deleted");
    },
    expect: ({ calls }) => assert.equal(calls.length, 2),
  },
  {
    name: "no-room",
    title: "no room on this node",
    waits: true,
    selected: "n1",
    answers: ["out of room"],
    story: (side) =>
      side.waitFor("the selection is gone", async () =>
        (await side.space.getClaim("no-room")).metadata.annotations?.["volume.kubernetes.io/selected-node"] ===
        undefined
          ? true
          : undefined,
      ),
  },
  {
    name: "restored",
    title: "a restored snapshot",
    waits: true,
    selected: "n1",
    claim: { spec: fromSnapshot("cut") },
    before: (side) => snapshot(side, "cut"),
  },
];

interface Run {
  readonly title: string;
  readonly mark: string;
  readonly upstream: readonly string[];
  readonly ours: ProvisionerOptions;
  /** Both act for this node only. */
  readonly node?: string;
  readonly cases: readonly Case[];
}

const runs: readonly Run[] = [
  { title: "usual", mark: "usual", upstream: [], ours: {}, cases },
  {
    title: "strict topology, none where no node is selected, and a file system by default",
    mark: "strict",
    upstream: ["--strict-topology", "--immediate-topology=false", "--default-fstype=ext4"],
    ours: { strictTopology: true, immediateTopology: false, defaultFsType: "ext4" },
    cases: strictCases,
  },
  {
    title: "one for a node",
    mark: "node",
    upstream: ["--node-deployment", "--strict-topology"],
    ours: {},
    node: "n1",
    cases: nodeCases,
  },
];

const zones = { n1: ["a", "r1"], n2: ["b", "r1"], n3: ["b", "r2"] } as const;
/** Where each node has its own volumes: itself. Else its zone and rack. */
function segmentOf(node: string, alone: boolean): Record<string, string> {
  if (alone) return { "x/node": node };
  const [place = "", rack = ""] = zones[node as keyof typeof zones];
  return { "x/zone": place, "x/rack": rack };
}

const claimNameOf = (parameters: Record<string, string>): string => parameters["csi.storage.k8s.io/pvc/name"] ?? "";

function script(driver: ScriptedDriver, { cases: all, node }: Run): void {
  const answers = new Map(all.map((each) => [each.name, [...(each.answers ?? [])]]));
  const failures = new Map(all.map((each) => [each.name, each.failDelete ?? 0]));
  driver.answers = {
    createVolume(request) {
      const name = claimNameOf(request.parameters);
      const answer = answers.get(name)?.shift();
      if (answer === "unavailable") throw new Problem("POOL_UNAVAILABLE", "a while, please");
      if (answer === "invalid") throw new Problem("FIELD_INVALID", "never");
      if (answer === "out of room") throw new Problem("POOL_FULL", "full");
      const source = request.volumeContentSource;
      return Promise.resolve({
        volume: {
          volumeId: `volume-of-${name}`,
          capacityBytes: typeof answer === "bigint" ? answer : (request.capacityRange?.requiredBytes ?? 0n),
          volumeContext: { told: "by the driver" },
          ...(source && answer !== "no content" && { contentSource: source }),
          accessibleTopology:
            request.accessibilityRequirements?.preferred.slice(0, 1).map(({ segments }) => ({
              segments: node === undefined ? { "x/zone": segments["x/zone"] ?? "" } : segments,
            })) ?? [],
        },
      });
    },
    deleteVolume({ volumeId }) {
      const name = volumeId.replace("volume-of-", "");
      const left = failures.get(name) ?? 0;
      failures.set(name, left - 1);
      if (left > 0) throw new Problem("VOLUME_IN_USE", "somebody has it");
      return Promise.resolve({});
    },
  };
}

for (const run of runs) {
  test(`what the provisioners leave is the same: ${run.title}`, async (t) => {
    const scratch = scratchFor(t);
    const plane = await startControlPlane(scratch, { kcmArgs: ["--kube-api-qps=300", "--kube-api-burst=600"] });
    await installDefinitions(plane, snapshotDefinitions);
    const marks = [`${run.mark}-theirs`, `${run.mark}-ours`];
    const sides: Side[] = [];
    for (const mark of marks) {
      const driver = await startScripted(scratch, {
        name: `driver.${mark}`,
        controller: [
          "CREATE_DELETE_VOLUME",
          "CREATE_DELETE_SNAPSHOT",
          "CLONE_VOLUME",
          "MODIFY_VOLUME",
          "SINGLE_NODE_MULTI_WRITER",
        ],
        plugin: ["CONTROLLER_SERVICE", "VOLUME_ACCESSIBILITY_CONSTRAINTS"],
        topology: segmentOf(run.node ?? "n1", run.node !== undefined),
      });
      script(driver, run);
      const space = await makeSpace(plane, mark);
      sides.push({
        plane,
        driver,
        space,
        mark,
        asked: (rpc, claim) =>
          driver.calls.filter((call) => call.rpc === rpc && JSON.stringify(call, noBigint).includes(claim)).length,
        waitFor: async (what, ask) => {
          await plane.until(`${mark}: ${what}`, ask, { hint: async () => (await space.events()).join("\n") });
        },
        phase: async (claim) => (await space.getClaim(claim)).status.phase,
      });
    }
    for (const node of Object.keys(zones)) {
      const labels = segmentOf(node, run.node !== undefined);
      const drivers = sides.map(({ driver }) => ({ name: driver.name, topologyKeys: Object.keys(labels) }));
      await makeNode(plane, node, { labels, drivers });
    }
    const [theirs, ours] = sides;
    if (theirs === undefined || ours === undefined) throw new Error("two sides");
    await startUpstream(plane, {
      socket: theirs.driver.socket,
      env: { NODE_NAME: run.node ?? "" },
      sidecars: {
        provisioner: [
          ...["--feature-gates=Topology=true", "--extra-create-metadata", "--kube-api-qps=200", "--kube-api-burst=400"],
          ...["--retry-interval-start=200ms", "--retry-interval-max=1s", ...run.upstream],
        ],
      },
    });
    const helper = startHelper(plane, "provisioner", {
      socket: ours.driver.socket,
      ...(run.node !== undefined && { node: run.node }),
      options: { extraCreateMetadata: true, firstWaitMs: 200, longestWaitMs: 1000, ...run.ours },
    });

    for (const each of run.cases) {
      await t.test(each.title, async () => {
        const [left, right] = await Promise.all(sides.map((side) => play(side, each)));
        each.expect?.(right as Left);
        assert.deepEqual(right, left);
      });
    }
    assert.equal(await helper.stop(), 0);
  });
}

const noBigint = (_: string, value: unknown) => (typeof value === "bigint" ? `${value}` : value);

/** Lets one side do it, and answers what is left. */
async function play(side: Side, each: Case): Promise<unknown> {
  const { plane, space, mark, driver } = side;
  await plane.api.create("/apis/storage.k8s.io/v1/storageclasses", {
    metadata: { name: `${each.name}.${mark}` },
    provisioner: driver.name,
    volumeBindingMode: each.waits ? "WaitForFirstConsumer" : "Immediate",
    ...each.class,
  });
  await each.before?.(side);
  const spec = each.claim?.spec ?? {};
  const path = `/api/v1/namespaces/${space.name}/persistentvolumeclaims`;
  const { metadata } = await plane.api.create<{ metadata: { uid: string } }>(path, {
    metadata: {
      name: each.name,
      annotations: {
        ...each.claim?.annotations,
        ...(each.selected !== undefined && { "volume.kubernetes.io/selected-node": each.selected }),
      },
    },
    spec: {
      storageClassName: `${each.name}.${mark}`,
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: "1Gi" } },
      ...spec,
      ...(each.attributes !== undefined && { volumeAttributesClassName: `${each.attributes}.${mark}` }),
    },
  });
  await (each.story ?? ((one: Side) => bound(one, each.name)))(side);
  // Finalizers may be written a moment later.
  await sleep(300);
  const name = (await plane.api.find<{ spec: { volumeName?: string } }>(`${path}/${each.name}`))?.spec.volumeName;
  // A volume that a node makes for itself is named after its driver: a difference that is meant.
  const names = { [`${driver.name}-${metadata.uid}`]: "pvc-UID", [metadata.uid]: "UID", [mark]: "SIDE" };
  const source = /"kind":"VolumeSnapshot".*?"name":"([^"]+)"/.exec(JSON.stringify(spec))?.[1];
  const clone = /"kind":"PersistentVolumeClaim","name":"([^"]+)"/.exec(JSON.stringify(spec))?.[1];
  const volume = await plane.api.find<{ spec: { csi: { volumeAttributes: Record<string, string> } } }>(
    `/api/v1/persistentvolumes/${name ?? `pvc-${metadata.uid}`}`,
  );
  const attribute = volume?.spec.csi.volumeAttributes;
  if (attribute) attribute["storage.kubernetes.io/csiProvisionerIdentity"] = "IDENTITY";
  const finalizersOf = async (object: string) =>
    (await plane.api.find<{ metadata: { finalizers?: string[] } }>(object))?.metadata.finalizers ?? [];
  const calls = driver.calls.filter(({ rpc, request }) =>
    rpc === "createVolume"
      ? claimNameOf((request as { parameters: Record<string, string> }).parameters) === each.name
      : (request as { volumeId?: string }).volumeId === `volume-of-${each.name}`,
  );
  return {
    claim: comparable(await plane.api.find(`${path}/${each.name}`), names),
    volume: comparable(volume, names),
    ...(source !== undefined && { snapshot: await finalizersOf(`${snapshots(side)}/${source}`) }),
    ...(clone !== undefined && { source: await finalizersOf(`${path}/${clone}`) }),
    calls: distinct(calls.map((call) => comparable(JSON.parse(JSON.stringify(call, noBigint)), names) as object)),
  };
}
