/** Plays the orchestrator: calls the driver over its socket and prints each call as a step of the story. */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { formatSize } from "../../config/size.ts";
import type { CsiClient } from "../../csi/client.ts";
import { VolumeUsage_Unit as Unit } from "../../csi/gen/csi_pb.ts";
import { capabilityOf } from "../messages.ts";
import type { Scratch } from "./scratch.ts";
import type { Story } from "./story.ts";

/** A volume of the story: what an orchestrator remembers of it. */
export interface Made {
  readonly name: string;
  readonly id: string;
  readonly block: boolean;
  readonly fsType: string;
  readonly context: Record<string, string>;
}

interface Wish {
  readonly size: number;
  readonly block?: boolean;
  readonly fsType?: string;
  readonly fromSnapshot?: string;
  readonly fromVolume?: string;
}

export class Orchestrator {
  /** Replaced when the driver is started again. */
  client: CsiClient;
  readonly #story: Story;
  readonly #scratch: Scratch;

  constructor(client: CsiClient, story: Story, scratch: Scratch) {
    this.client = client;
    this.#story = story;
    this.#scratch = scratch;
  }

  async create(name: string, wish: Wish): Promise<Made> {
    const source = wish.fromSnapshot
      ? "restored"
      : wish.fromVolume
        ? "cloned"
        : wish.block
          ? "raw"
          : (wish.fsType ?? "");
    const { made } = await this.#story.step("CreateVolume", async () => {
      const { id, bytes, context } = await this.requestVolume(name, wish);
      const made: Made = { name, id, block: wish.block ?? false, fsType: wish.fsType ?? "", context };
      return { made, text: `'${name}', ${formatSize(bytes)}, ${source}` };
    });
    return made;
  }

  /** The call alone, not told. */
  async requestVolume(
    name: string,
    wish: Wish,
  ): Promise<{ id: string; bytes: number; context: Record<string, string> }> {
    const { fromSnapshot, fromVolume } = wish;
    const { volume } = await this.client.controller.createVolume({
      name,
      capacityRange: { requiredBytes: BigInt(wish.size) },
      volumeCapabilities: [capability({ block: wish.block ?? false, fsType: wish.fsType ?? "" })],
      ...(fromSnapshot
        ? { volumeContentSource: { type: { case: "snapshot", value: { snapshotId: fromSnapshot } } } }
        : {}),
      ...(fromVolume ? { volumeContentSource: { type: { case: "volume", value: { volumeId: fromVolume } } } } : {}),
    });
    return {
      id: volume?.volumeId ?? "",
      bytes: Number(volume?.capacityBytes ?? 0n),
      context: { ...volume?.volumeContext },
    };
  }

  async stage(volume: Made): Promise<void> {
    await this.#story.step("NodeStageVolume", async () => {
      const stagingTargetPath = this.#scratch.staging(volume.name);
      mkdirSync(stagingTargetPath, { recursive: true });
      const { id: volumeId, context: volumeContext } = volume;
      await this.client.node.nodeStageVolume({
        volumeId,
        stagingTargetPath,
        volumeCapability: capability(volume),
        volumeContext,
      });
      return {
        text: `'${volume.name}': its file is a loop device now${volume.block ? "" : `, and mounted as ${volume.fsType}`}`,
      };
    });
  }

  async publish(volume: Made): Promise<string> {
    const targetPath = this.#scratch.target(volume.name);
    await this.#story.step("NodePublishVolume", async () => {
      mkdirSync(dirname(targetPath), { recursive: true });
      await this.client.node.nodePublishVolume({
        volumeId: volume.id,
        targetPath,
        stagingTargetPath: this.#scratch.staging(volume.name),
        volumeCapability: capability(volume),
        volumeContext: volume.context,
      });
      return { text: `'${volume.name}' at ${targetPath}` };
    });
    return targetPath;
  }

  async use(volume: Made): Promise<string> {
    await this.stage(volume);
    return this.publish(volume);
  }

  async unpublish(volume: Made): Promise<void> {
    await this.#story.step("NodeUnpublishVolume", async () => {
      await this.client.node.nodeUnpublishVolume({
        volumeId: volume.id,
        targetPath: this.#scratch.target(volume.name),
      });
      return { text: `'${volume.name}'` };
    });
  }

  async unstage(volume: Made): Promise<void> {
    await this.#story.step("NodeUnstageVolume", async () => {
      await this.client.node.nodeUnstageVolume({
        volumeId: volume.id,
        stagingTargetPath: this.#scratch.staging(volume.name),
      });
      return { text: `'${volume.name}'` };
    });
  }

  async delete(volume: { readonly name: string; readonly id: string }): Promise<void> {
    await this.#story.step("DeleteVolume", async () => {
      await this.client.controller.deleteVolume({ volumeId: volume.id });
      return { text: `'${volume.name}'` };
    });
  }

  async snapshot(name: string, source: Made): Promise<string> {
    const { id } = await this.#story.step("CreateSnapshot", async () => {
      const { snapshot } = await this.client.controller.createSnapshot({ name, sourceVolumeId: source.id });
      return { id: snapshot?.snapshotId ?? "", text: `'${name}' of '${source.name}', while it is written to` };
    });
    return id;
  }

  async deleteSnapshot(name: string, snapshotId: string): Promise<void> {
    await this.#story.step("DeleteSnapshot", async () => {
      await this.client.controller.deleteSnapshot({ snapshotId });
      return { text: `'${name}'` };
    });
  }

  /** Answers whether the node has to do its part. */
  async grow(volume: Made, bytes: number): Promise<boolean> {
    const { rest } = await this.#story.step("ControllerExpandVolume", async () => {
      const capacityRange = { requiredBytes: BigInt(bytes) };
      const answer = await this.client.controller.controllerExpandVolume({ volumeId: volume.id, capacityRange });
      return {
        rest: answer.nodeExpansionRequired,
        text: `'${volume.name}' to ${formatSize(Number(answer.capacityBytes))}`,
      };
    });
    return rest;
  }

  async growOnNode(volume: Made, bytes: number): Promise<void> {
    await this.#story.step("NodeExpandVolume", async () => {
      const answer = await this.client.node.nodeExpandVolume({
        volumeId: volume.id,
        volumePath: this.#scratch.target(volume.name),
        stagingTargetPath: this.#scratch.staging(volume.name),
        capacityRange: { requiredBytes: BigInt(bytes) },
        volumeCapability: capability(volume),
      });
      return { text: `'${volume.name}', while it is in use: ${formatSize(Number(answer.capacityBytes))}` };
    });
  }

  async stats(volume: Made): Promise<void> {
    await this.#story.step("NodeGetVolumeStats", async () => {
      const asked = { volumeId: volume.id, volumePath: this.#scratch.target(volume.name) };
      const { usage } = await this.client.node.nodeGetVolumeStats(asked);
      const parts = usage.map((one) => {
        const shown = (value: bigint) => (one.unit === Unit.BYTES ? formatSize(Number(value)) : `${value}`);
        return `${shown(one.used)} of ${shown(one.total)}${one.unit === Unit.INODES ? " inodes" : ""}`;
      });
      return { text: `'${volume.name}': ${parts.join(", ")}` };
    });
  }

  async count(): Promise<number> {
    return (await this.client.controller.listVolumes({})).entries.length;
  }
}

function capability(volume: { readonly block: boolean; readonly fsType: string }) {
  return capabilityOf({ block: volume.block, fsType: volume.fsType, mode: "SINGLE_NODE_WRITER" });
}
