import assert from "node:assert/strict";
import { statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ControllerServiceCapability_RPC_Type as Rpc } from "../../src/csi/gen/csi_pb.ts";
import { startDriver } from "../support/driver.ts";
import { createVolume, gib, refused, takeVolume } from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

test("controllerExpansion: false: no controller grows, and the node's call grows the whole volume", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const config = join(scratch.path, "config.yaml");
  writeFileSync(config, "controllerExpansion: false\n");
  const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`], args: ["--config", config] });
  const { controller, node } = driver.client;
  const declared = (await controller.controllerGetCapabilities({})).capabilities.map(({ type }) => type.value?.type);
  assert.ok(!declared.includes(Rpc.EXPAND_VOLUME));

  for (const use of ["xfs", "block"] as const) {
    const volume = await createVolume(driver, use, { use, bytes: gib / 2 });
    const { volumeId } = volume;
    const wanted = { requiredBytes: BigInt(gib) };
    await refused(controller.controllerExpandVolume({ volumeId, capacityRange: wanted }), "UNIMPLEMENTED");
    const place = await takeVolume(scratch, driver, volume, { use });
    const paths = { volumePath: place.target, stagingTargetPath: place.staging };
    const grow = (capacityRange: { requiredBytes: bigint; limitBytes?: bigint }) =>
      node.nodeExpandVolume({ volumeId, ...paths, capacityRange });
    assert.equal((await grow(wanted)).capacityBytes, BigInt(gib));
    assert.equal((await grow(wanted)).capacityBytes, BigInt(gib), "it may be repeated");
    assert.equal((await grow({ requiredBytes: BigInt(gib / 2) })).capacityBytes, BigInt(gib), "it never shrinks");
    if (use === "xfs") {
      const { blocks, bsize } = statfsSync(place.target);
      assert.ok(blocks * bsize > 0.9 * gib, `${blocks * bsize} bytes`);
    }
    await refused(grow({ requiredBytes: BigInt(100 * gib) }), "OUT_OF_RANGE", /GROWTH_TOO_LARGE/);
    await place.release();
    await place.take();
    assert.equal((await controller.controllerGetVolume({ volumeId })).volume?.capacityBytes, BigInt(gib));
    await place.release();
  }
});
