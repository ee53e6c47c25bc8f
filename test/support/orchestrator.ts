/** Plays the orchestrator: requests with what a test does not care about filled in, and folders made as a kubelet makes them. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { CsiError } from "../../src/csi/client.ts";
import {
  VolumeCapability_AccessMode_Mode as Mode,
  type Volume,
  type VolumeCapabilitySchema,
} from "../../src/csi/gen/csi_pb.ts";
import type { Driver } from "./driver.ts";
import type { Scratch } from "./scratch.ts";

export const gib = 1024 ** 3;
export { Mode };

export type FsType = "ext4" | "xfs" | "btrfs";
/** How a volume is used; "directory" is a mount without a file system of its own. */
export type Use = FsType | "block" | "directory";

type CapabilityInit = MessageInitShape<typeof VolumeCapabilitySchema>;

export function capability(use: Use, mode?: number, mountFlags: readonly string[] = []): CapabilityInit {
  const accessMode = { mode: (mode ?? Mode.SINGLE_NODE_WRITER) as Mode };
  if (use === "block") return { accessType: { case: "block", value: {} }, accessMode };
  const fsType = use === "directory" ? "" : use;
  return { accessType: { case: "mount", value: { fsType, mountFlags: [...mountFlags] } }, accessMode };
}

export interface CreateOptions {
  readonly bytes?: number;
  readonly use?: Use;
  readonly mode?: number;
  readonly parameters?: Readonly<Record<string, string>>;
  readonly fromSnapshot?: string;
  readonly fromVolume?: string;
}

export async function createVolume(driver: Driver, name: string, options: CreateOptions = {}): Promise<Volume> {
  const { use = "ext4" } = options;
  const source =
    options.fromSnapshot !== undefined
      ? ({ case: "snapshot", value: { snapshotId: options.fromSnapshot } } as const)
      : options.fromVolume !== undefined
        ? ({ case: "volume", value: { volumeId: options.fromVolume } } as const)
        : undefined;
  const { volume } = await driver.client.controller.createVolume({
    name,
    capacityRange: { requiredBytes: BigInt(options.bytes ?? gib) },
    volumeCapabilities: [capability(use, options.mode)],
    parameters: { ...options.parameters },
    ...(source ? { volumeContentSource: { type: source } } : {}),
  });
  assert.ok(volume, "CreateVolume answered no volume");
  return volume;
}

export async function createSnapshot(driver: Driver, name: string, sourceVolumeId: string): Promise<string> {
  for (;;) {
    const { snapshot } = await driver.client.controller.createSnapshot({ name, sourceVolumeId });
    assert.ok(snapshot, "CreateSnapshot answered no snapshot");
    if (snapshot.readyToUse) return snapshot.snapshotId;
  }
}

export interface Usage {
  readonly staging: string;
  readonly target: string;
  /** Stages and publishes (again). */
  take(): Promise<void>;
  /** Unpublishes and unstages. May be called twice. */
  release(): Promise<void>;
}

export interface TakeOptions {
  readonly use?: Use;
  readonly mode?: number;
  readonly mountFlags?: readonly string[];
  readonly readonly?: boolean;
  readonly publishContext?: Readonly<Record<string, string>>;
}

/** A staging path (there already, as CSI has it) and a target path (only its parent is there) for one volume; calls nothing. */
export function placeFor(scratch: Scratch, driver: Driver, volume: Volume, options: TakeOptions = {}): Usage {
  const folder = mkdtempSync(join(scratch.path, "use-"));
  const staging = join(folder, "staging");
  const target = join(folder, "target");
  mkdirSync(staging);
  const common = {
    volumeId: volume.volumeId,
    volumeContext: volume.volumeContext,
    publishContext: { ...options.publishContext },
    volumeCapability: capability(options.use ?? "ext4", options.mode, options.mountFlags),
    stagingTargetPath: staging,
  };
  return {
    staging,
    target,
    async take() {
      await driver.client.node.nodeStageVolume(common);
      await driver.client.node.nodePublishVolume({
        ...common,
        targetPath: target,
        readonly: options.readonly ?? false,
      });
    },
    async release() {
      await driver.client.node.nodeUnpublishVolume({ volumeId: volume.volumeId, targetPath: target });
      await driver.client.node.nodeUnstageVolume({ volumeId: volume.volumeId, stagingTargetPath: staging });
    },
  };
}

/** Staged and published. */
export async function takeVolume(
  scratch: Scratch,
  driver: Driver,
  volume: Volume,
  options: TakeOptions = {},
): Promise<Usage> {
  const place = placeFor(scratch, driver, volume, options);
  await place.take();
  return place;
}

/** The call must fail with this code and with words that match; answers the message. */
export async function refused(
  call: Promise<unknown>,
  code: string | readonly string[],
  words?: RegExp,
): Promise<string> {
  const codes = typeof code === "string" ? [code] : code;
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof CsiError, `not an answer of the driver: ${String(error)}`);
    assert.ok(codes.includes(error.code), `expected ${codes.join(" or ")}, got ${error.code}: ${error.message}`);
    assert.notEqual(error.message, "");
    if (words) assert.match(error.message, words);
    return error.message;
  }
  assert.fail(`expected ${codes.join(" or ")}, got an answer`);
}

/** As an orchestrator after a failure: what another operation holds (recovery, a lost caller's) is asked again. */
export async function patient<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await call();
    } catch (error) {
      if (tries === 200 || !(error instanceof CsiError) || error.code !== "ABORTED") throw error;
      await sleep(20);
    }
  }
}
