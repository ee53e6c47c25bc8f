/** The calls that an orchestrator makes for one volume, each one timed. */
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CsiClient } from "../../src/csi/client.ts";
import { VolumeCapability_AccessMode_Mode as Mode, type VolumeCapabilitySchema } from "../../src/csi/gen/csi_pb.ts";

/** How volumes are made and used. */
export interface Kind {
  readonly pool: string;
  readonly access: "mount" | "block";
  /** Empty: the driver's choice. */
  readonly fsType: string;
  /** Bytes. */
  readonly size: number;
}

export function capability(kind: Pick<Kind, "access" | "fsType">): MessageInitShape<typeof VolumeCapabilitySchema> {
  const accessMode = { mode: Mode.SINGLE_NODE_WRITER };
  return kind.access === "block"
    ? { accessMode, accessType: { case: "block" as const, value: {} } }
    : { accessMode, accessType: { case: "mount" as const, value: { fsType: kind.fsType } } };
}

/** Milliseconds of each call, by its RPC. */
export class Timings {
  readonly byRpc = new Map<string, number[]>();

  async time<T>(rpc: string, work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const result = await work();
    const times = this.byRpc.get(rpc);
    if (times) times.push(performance.now() - began);
    else this.byRpc.set(rpc, [performance.now() - began]);
    return result;
  }

  of(rpc: string): readonly number[] {
    return this.byRpc.get(rpc) ?? [];
  }
}

/** One volume and its two paths. Paths are made before and removed after, as the kubelet does; that is not timed. */
export class Play {
  readonly #client: CsiClient;
  readonly #kind: Kind;
  readonly #name: string;
  readonly #timings: Timings;
  readonly stagingPath: string;
  readonly targetPath: string;
  id = "";

  constructor(client: CsiClient, kind: Kind, folder: string, name: string, timings = new Timings()) {
    this.#client = client;
    this.#kind = kind;
    this.#name = name;
    this.#timings = timings;
    this.stagingPath = join(folder, `${name}-s`);
    this.targetPath = join(folder, `${name}-t`);
  }

  async create(source?: { readonly snapshotId: string } | { readonly volumeId: string }): Promise<void> {
    const { pool, size } = this.#kind;
    const type =
      source === undefined
        ? undefined
        : "snapshotId" in source
          ? { case: "snapshot" as const, value: source }
          : { case: "volume" as const, value: source };
    const answer = await this.#timings.time("CreateVolume", () =>
      this.#client.controller.createVolume({
        name: this.#name,
        capacityRange: { requiredBytes: BigInt(size) },
        volumeCapabilities: [capability(this.#kind)],
        parameters: { pool },
        ...(type === undefined ? {} : { volumeContentSource: { type } }),
      }),
    );
    this.id = answer.volume?.volumeId ?? "";
  }

  async stage(): Promise<void> {
    mkdirSync(this.stagingPath);
    await this.#timings.time("NodeStageVolume", () =>
      this.#client.node.nodeStageVolume({
        volumeId: this.id,
        stagingTargetPath: this.stagingPath,
        volumeCapability: capability(this.#kind),
      }),
    );
  }

  async publish(): Promise<void> {
    await this.#timings.time("NodePublishVolume", () =>
      this.#client.node.nodePublishVolume({
        volumeId: this.id,
        stagingTargetPath: this.stagingPath,
        targetPath: this.targetPath,
        volumeCapability: capability(this.#kind),
      }),
    );
  }

  async unpublish(): Promise<void> {
    const asked = { volumeId: this.id, targetPath: this.targetPath };
    await this.#timings.time("NodeUnpublishVolume", () => this.#client.node.nodeUnpublishVolume(asked));
  }

  async unstage(): Promise<void> {
    const asked = { volumeId: this.id, stagingTargetPath: this.stagingPath };
    await this.#timings.time("NodeUnstageVolume", () => this.#client.node.nodeUnstageVolume(asked));
    rmdirSync(this.stagingPath);
  }

  async remove(): Promise<void> {
    const asked = { volumeId: this.id };
    await this.#timings.time("DeleteVolume", () => this.#client.controller.deleteVolume(asked));
  }

  async whole(): Promise<void> {
    await this.create();
    await this.stage();
    await this.publish();
    await this.unpublish();
    await this.unstage();
    await this.remove();
  }
}
