import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../pools/problem.ts";
import type { CreateVolumeRequest } from "../volumes/api.ts";
import { CsiError } from "./client.ts";
import {
  ControllerServiceCapability_RPC_Type as ControllerType,
  VolumeCapability_AccessMode_Mode as Mode,
  NodeServiceCapability_RPC_Type as NodeType,
} from "./gen/csi_pb.ts";
import { allFeatures, aVolume, testServer } from "./test-server.ts";

const mount = {
  accessMode: { mode: Mode.SINGLE_NODE_WRITER },
  accessType: { case: "mount" as const, value: { fsType: "xfs" } },
};

function fails(code: string, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof CsiError);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}

test("identity: name, version, capabilities, ready", async () => {
  await using t = await testServer({});
  const { name, vendorVersion } = await t.client.identity.getPluginInfo({});
  assert.deepEqual([name, vendorVersion], ["local.csi.holdfast", "1.2.3"]);
  const { capabilities } = await t.client.identity.getPluginCapabilities({});
  assert.deepEqual(
    capabilities.map(({ type }) => [type.case, type.value?.type]),
    [
      ["service", 1],
      ["service", 2],
      ["volumeExpansion", 1],
    ],
  );
  assert.equal((await t.client.identity.probe({})).ready, true);
});

test("identity: not ready while it starts, a code of its own when it is ill", async () => {
  let ill = false;
  const ready = async () => {
    if (ill) throw new Problem("POOL_UNAVAILABLE", "nothing works");
    return "reading the pools";
  };
  await using t = await testServer({ options: { rules: { readiness: { ready } }, services: new Set(["identity"]) } });
  assert.equal((await t.client.identity.probe({})).ready, false);
  ill = true;
  await assert.rejects(t.client.identity.probe({}), fails("UNAVAILABLE", /nothing works/));
});

test("createVolume: the request in the rules' terms, the answer in CSI's", async () => {
  let seen: CreateVolumeRequest | undefined;
  await using t = await testServer({
    controller: {
      create: async (request) => {
        seen = request;
        return { ...aVolume, source: { snapshotId: "s1" } };
      },
    },
  });
  const { volume } = await t.client.controller.createVolume({
    name: "../päth/with\ttab",
    capacityRange: { requiredBytes: 5_000_000_000_000n, limitBytes: 0n },
    volumeCapabilities: [mount],
    parameters: { pool: "a", fsType: "xfs" },
    mutableParameters: { pool: "b" },
    volumeContentSource: { type: { case: "snapshot", value: { snapshotId: "s1" } } },
    accessibilityRequirements: { requisite: [{ segments: { k: "v" } }] },
  });
  assert.deepEqual(seen, {
    name: "../päth/with\ttab",
    capacity: { required: 5_000_000_000_000 },
    capabilities: [{ access: "mount", mode: "SINGLE_NODE_WRITER", fsType: "xfs", mountFlags: [] }],
    parameters: { pool: "b", fsType: "xfs" },
    source: { snapshotId: "s1" },
    topology: { requisite: [{ k: "v" }], preferred: [] },
  });
  assert.equal(volume?.capacityBytes, 5_000_000_000_000n);
  assert.equal(volume?.contentSource?.type.case, "snapshot");
  assert.deepEqual(volume?.accessibleTopology[0]?.segments, { "local.csi.holdfast/node": "a" });
});

test("createVolume: bad fields are named and the rules are not asked", async () => {
  await using t = await testServer({});
  const create = (parts: object) =>
    t.client.controller.createVolume({ name: "n", volumeCapabilities: [mount], ...parts });
  const bad: [object, string, RegExp][] = [
    [{ name: "" }, "INVALID_ARGUMENT", /^name is missing/],
    [{ name: "a\0b" }, "INVALID_ARGUMENT", /^name "a\\u0000b" has a control character/],
    [{ name: "\u0085" }, "INVALID_ARGUMENT", /^name .* control/],
    [{ name: "x".repeat(4096) }, "INVALID_ARGUMENT", /^name has 4096 bytes/],
    [{ name: "ä".repeat(65) }, "INVALID_ARGUMENT", /^name has 130 bytes/],
    [{ volumeCapabilities: [] }, "INVALID_ARGUMENT", /^volume_capabilities is missing/],
    [{ volumeCapabilities: [{}] }, "INVALID_ARGUMENT", /^volume_capabilities\[0\]\.access_mode is missing/],
    [{ volumeCapabilities: [{ accessMode: mount.accessMode }] }, "INVALID_ARGUMENT", /access_type is missing/],
    [{ volumeCapabilities: [{ ...mount, accessMode: { mode: 99 } }] }, "INVALID_ARGUMENT", /99 is not a mode/],
    [
      { volumeCapabilities: [{ ...mount, accessType: { case: "mount", value: { volumeMountGroup: "5" } } }] },
      "INVALID_ARGUMENT",
      /volume_mount_group/,
    ],
    [{ parameters: { a: "x".repeat(4096) } }, "INVALID_ARGUMENT", /^parameters has 4097 bytes/],
    [{ volumeContentSource: {} }, "INVALID_ARGUMENT", /^volume_content_source is empty/],
    [
      { volumeContentSource: { type: { case: "volume", value: { volumeId: "x".repeat(200) } } } },
      "NOT_FOUND",
      /no volume/,
    ],
    [{ capacityRange: { requiredBytes: -1n } }, "OUT_OF_RANGE", /required_bytes -1 is negative/],
    [{ capacityRange: { requiredBytes: 2n ** 63n - 1n } }, "OUT_OF_RANGE", /largest size/],
    [{ capacityRange: { requiredBytes: 5n, limitBytes: 4n } }, "OUT_OF_RANGE", /limit_bytes 4 is below/],
  ];
  for (const [parts, code, message] of bad)
    await assert.rejects(create(parts), fails(code, message), JSON.stringify(code));
});

test("node: paths are checked before anything else is done with them", async () => {
  await using t = await testServer({});
  const stage = (stagingTargetPath: string) =>
    t.client.node.nodeStageVolume({ volumeId: "v", stagingTargetPath, volumeCapability: mount });
  await assert.rejects(stage(""), fails("INVALID_ARGUMENT", /^staging_target_path is missing/));
  await assert.rejects(stage("some/path"), fails("INVALID_ARGUMENT", /not an absolute path/));
  await assert.rejects(stage("/a/../b"), fails("INVALID_ARGUMENT", /has '\.\.' in it/));
  await assert.rejects(stage("/a\0b"), fails("INVALID_ARGUMENT", /NUL/));
  await assert.rejects(stage("//"), fails("INVALID_ARGUMENT", /root/));
  await assert.rejects(stage(`/${"x".repeat(4096)}`), fails("INVALID_ARGUMENT", /4097 bytes/));
});

test("node: a clean path reaches the rules, and a nonsense path only where the volume goes first", async () => {
  const paths: string[] = [];
  await using t = await testServer({
    node: {
      stage: async ({ stagingPath }) => void paths.push(stagingPath),
      stats: async ({ id, path }) => {
        paths.push(path);
        throw new Problem("VOLUME_NOT_FOUND", `there is no volume ${id}`);
      },
    },
  });
  await t.client.node.nodeStageVolume({ volumeId: "v", stagingTargetPath: "/a//b/./c/", volumeCapability: mount });
  await assert.rejects(
    t.client.node.nodeGetVolumeStats({ volumeId: "v", volumePath: "some/path" }),
    fails("NOT_FOUND", /v/),
  );
  assert.deepEqual(paths, ["/a/b/c", "some/path"]);
});

test("IDs that nobody can have issued are absent: removals succeed, the rest is NOT_FOUND", async () => {
  await using t = await testServer({});
  const volumeId = "../".repeat(100);
  await t.client.controller.deleteVolume({ volumeId });
  await t.client.controller.deleteSnapshot({ snapshotId: volumeId });
  await t.client.controller.controllerUnpublishVolume({ volumeId });
  await t.client.node.nodeUnpublishVolume({ volumeId, targetPath: "/t" });
  await t.client.node.nodeUnstageVolume({ volumeId, stagingTargetPath: "/t" });
  assert.deepEqual((await t.client.controller.listSnapshots({ snapshotId: volumeId })).entries, []);
  await assert.rejects(t.client.controller.controllerGetVolume({ volumeId }), fails("NOT_FOUND", /VOLUME_NOT_FOUND/));
  await assert.rejects(t.client.controller.getSnapshot({ snapshotId: volumeId }), fails("NOT_FOUND", /SNAPSHOT/));
  await assert.rejects(t.client.controller.listVolumes({ startingToken: volumeId }), fails("ABORTED", /TOKEN_UNKNOWN/));
  await assert.rejects(t.client.controller.listVolumes({ maxEntries: -1 }), fails("INVALID_ARGUMENT", /max_entries/));
});

test("capabilities follow from the features, and what is not declared is UNIMPLEMENTED", async () => {
  const types = async (features: Partial<typeof allFeatures>) => {
    await using t = await testServer({ controller: { features: { ...allFeatures, ...features } } });
    const controller = await t.client.controller.controllerGetCapabilities({});
    const node = await t.client.node.nodeGetCapabilities({});
    return {
      controller: new Set(controller.capabilities.map(({ type }) => type.value?.type)),
      node: new Set(node.capabilities.map(({ type }) => type.value?.type)),
    };
  };
  const all = await types({});
  assert.deepEqual(
    [...all.controller].sort((a, b) => Number(a) - Number(b)),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 15],
  );
  assert.deepEqual(
    [...all.node].sort((a, b) => Number(a) - Number(b)),
    [1, 2, 3, 5],
  );
  const few = await types({ attach: false, snapshots: false, expand: false, clones: false });
  assert.ok(
    !few.controller.has(ControllerType.PUBLISH_UNPUBLISH_VOLUME) && !few.controller.has(ControllerType.CLONE_VOLUME),
  );
  assert.ok(!few.node.has(NodeType.EXPAND_VOLUME));

  const none = { snapshots: false, clones: false, expand: false, attach: false, topology: false };
  await using t = await testServer({ controller: { features: none } });
  const { controller, groupController, node } = t.client;
  await assert.rejects(controller.createSnapshot({}), fails("UNIMPLEMENTED", /CreateSnapshot/));
  await assert.rejects(controller.controllerPublishVolume({}), fails("UNIMPLEMENTED", /ControllerPublishVolume/));
  await assert.rejects(controller.controllerExpandVolume({}), fails("UNIMPLEMENTED", /ControllerExpandVolume/));
  await assert.rejects(controller.controllerModifyVolume({}), fails("UNIMPLEMENTED", /ControllerModifyVolume/));
  await assert.rejects(node.nodeExpandVolume({}), fails("UNIMPLEMENTED", /NodeExpandVolume/));
  await assert.rejects(groupController.groupControllerGetCapabilities({}), fails("UNIMPLEMENTED", /GroupController/));
  await assert.rejects(
    controller.createVolume({
      name: "n",
      volumeCapabilities: [mount],
      volumeContentSource: { type: { case: "volume", value: { volumeId: "v" } } },
    }),
    fails("INVALID_ARGUMENT", /SOURCE_UNSUPPORTED/),
  );
});

test("a service that the process does not serve is UNIMPLEMENTED", async () => {
  await using t = await testServer({ options: { services: new Set(["node"]) } });
  await assert.rejects(
    t.client.controller.listVolumes({}),
    fails("UNIMPLEMENTED", /does not serve csi\.v1\.Controller/),
  );
  assert.equal((await t.client.node.nodeGetInfo({})).nodeId, "a");
  assert.equal((await t.client.identity.getPluginCapabilities({})).capabilities.length > 0, true);
});

test("validate confirms what was asked, or says why not", async () => {
  let why: string | undefined;
  await using t = await testServer({ controller: { validate: async () => why } });
  const asked = { volumeId: "v", volumeCapabilities: [mount], parameters: { a: "b" } };
  const { confirmed } = await t.client.controller.validateVolumeCapabilities(asked);
  assert.equal(confirmed?.volumeCapabilities[0]?.accessMode?.mode, Mode.SINGLE_NODE_WRITER);
  assert.deepEqual(confirmed?.parameters, { a: "b" });
  why = "no such mode";
  const refused = await t.client.controller.validateVolumeCapabilities(asked);
  assert.deepEqual([refused.confirmed, refused.message], [undefined, "no such mode"]);
});

test("lists, capacity, snapshots, statistics and growth keep their figures", async () => {
  const snapshot = { id: "s", sourceVolumeId: "v", size: 2 ** 40, created: 1_700_000_000_123, ready: true };
  await using t = await testServer({
    controller: {
      list: async ({ max, token }) => ({ entries: [aVolume], next: `${max}/${token}` }),
      listSnapshots: async (asked) => ({ entries: asked.snapshotId === "s" ? [snapshot] : [], next: "" }),
      capacity: async () => ({ available: 2 ** 50, maximum: 2 ** 49, minimum: 1 }),
      createSnapshot: async () => snapshot,
      expand: async ({ capacity }) => ({ capacity: capacity.required ?? 0, nodeExpansionRequired: true }),
      attach: async ({ nodeId, readonly }) => ({ at: nodeId, readonly: String(readonly) }),
    },
    node: {
      stats: async () => [{ unit: "INODES", total: 3, available: 2, used: 1 }],
      expand: async () => 2 ** 33,
    },
  });
  const { controller, node } = t.client;
  const page = await controller.listVolumes({ maxEntries: 7, startingToken: "t" });
  assert.deepEqual([page.nextToken, page.entries[0]?.status?.publishedNodeIds], ["7/t", ["a"]]);
  assert.equal((await controller.listSnapshots({ snapshotId: "s" })).entries[0]?.snapshot?.sizeBytes, 2n ** 40n);
  const space = await controller.getCapacity({});
  assert.deepEqual(
    [space.availableCapacity, space.maximumVolumeSize, space.minimumVolumeSize],
    [2n ** 50n, 2n ** 49n, 1n],
  );
  const made = await controller.createSnapshot({ name: "n", sourceVolumeId: "v" });
  assert.deepEqual(
    [made.snapshot?.creationTime?.seconds, made.snapshot?.creationTime?.nanos],
    [1_700_000_000n, 123_000_000],
  );
  const grown = await controller.controllerExpandVolume({ volumeId: "v", capacityRange: { requiredBytes: 9n } });
  assert.deepEqual([grown.capacityBytes, grown.nodeExpansionRequired], [9n, true]);
  await assert.rejects(
    controller.controllerExpandVolume({ volumeId: "v", capacityRange: {} }),
    fails("INVALID_ARGUMENT", /capacity_range/),
  );
  const attached = await controller.controllerPublishVolume({
    volumeId: "v",
    nodeId: "a",
    readonly: true,
    volumeCapability: mount,
  });
  assert.deepEqual(attached.publishContext, { at: "a", readonly: "true" });
  const { usage } = await node.nodeGetVolumeStats({ volumeId: "v", volumePath: "/p" });
  assert.deepEqual([usage[0]?.unit, usage[0]?.total, usage[0]?.available, usage[0]?.used], [2, 3n, 2n, 1n]);
  assert.equal((await node.nodeExpandVolume({ volumeId: "v", volumePath: "/p" })).capacityBytes, 2n ** 33n);
});
