import assert from "node:assert/strict";
import { test } from "node:test";
import { VolumeCapability_AccessMode_Mode as Mode } from "../csi/gen/csi_pb.ts";
import { accessModeOf, capabilityOf } from "./volume-capability.ts";

test("access modes follow the table of the upstream helpers", () => {
  const cases: readonly [readonly string[], boolean, number][] = [
    [["ReadWriteOnce"], false, Mode.SINGLE_NODE_WRITER],
    [["ReadWriteOnce"], true, Mode.SINGLE_NODE_MULTI_WRITER],
    [["ReadWriteOncePod"], true, Mode.SINGLE_NODE_SINGLE_WRITER],
    [["ReadWriteOncePod"], false, Mode.SINGLE_NODE_WRITER],
    [["ReadOnlyMany"], true, Mode.MULTI_NODE_READER_ONLY],
    [["ReadWriteOnce", "ReadWriteMany"], false, Mode.MULTI_NODE_MULTI_WRITER],
    [["ReadOnlyMany", "ReadWriteMany"], true, Mode.MULTI_NODE_MULTI_WRITER],
  ];
  for (const [modes, fine, expected] of cases) assert.equal(accessModeOf(modes, fine), expected, modes.join());
  assert.throws(() => accessModeOf(["ReadWriteOncePod", "ReadWriteOnce"], true), /does not go together/);
  assert.throws(() => accessModeOf(["ReadOnlyMany", "ReadWriteOnce"], true), /no mode/);
  assert.throws(() => accessModeOf([], true), /no known access mode/);
});

test("a file system has its type and mount options, a raw volume neither", () => {
  const driver = { controller: new Set<string>() };
  const accessMode = { mode: Mode.SINGLE_NODE_WRITER };
  const spec = { accessModes: ["ReadWriteOnce"], mountOptions: ["noatime"], csi: { fsType: "xfs" } };
  assert.deepEqual(capabilityOf(spec, driver), {
    accessType: { case: "mount", value: { fsType: "xfs", mountFlags: ["noatime"] } },
    accessMode,
  });
  assert.deepEqual(capabilityOf({ ...spec, volumeMode: "Block" }, driver), {
    accessType: { case: "block", value: {} },
    accessMode,
  });
});
