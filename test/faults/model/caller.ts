/** Makes the model's calls on a real driver, as an orchestrator and its users do. */
import type { CallOptions, CsiClient } from "../../../src/csi/client.ts";
import { CsiError } from "../../../src/csi/client.ts";
import { capability, Mode } from "../../support/orchestrator.ts";
import type { World } from "../world.ts";
import { type Call, isSnapshot, mebibytesOf, type Outcome, type Sent } from "./calls.ts";
import { Folders, read, write } from "./folders.ts";
import { listed } from "./rules.ts";

/** For what never had an ID. */
const nobody = "nobody";
const mebibyte = 1024 ** 2;
/** This volume's access mode lets it be published twice. */
export const multiTarget = ["b"] as const;

export class Caller {
  readonly #world: World;
  readonly #prefix: string;
  readonly #folders = new Map<string, Folders>();
  readonly #ids = new Map<string, string>();

  /** Names of volumes and snapshots begin with `prefix`. */
  constructor(world: World, prefix: string) {
    this.#world = world;
    this.#prefix = prefix;
  }

  /** The call as it is sent now: with the IDs that were told last. */
  address(call: Call): Sent {
    const slot =
      call.rpc === "snapshot" ? call.volume : "volume" in call ? call.volume : "snapshot" in call ? call.snapshot : "";
    const fromId = call.rpc === "create" && call.from !== undefined ? (this.#ids.get(call.from) ?? nobody) : "";
    return { ...call, id: this.#ids.get(slot) ?? nobody, fromId };
  }

  /** What has this ID by all that was answered, in whatever order the answers came. */
  isNow(slot: string, id: string): void {
    this.#ids.set(slot, id);
  }

  /** Absent: nobody knows what became of it. @throws what is no answer of a driver. */
  async make(call: Sent, options: CallOptions, mayBeLost: () => boolean): Promise<Outcome | undefined> {
    try {
      return { code: "OK", value: await this.#call(call, options) };
    } catch (error) {
      if (!(error instanceof CsiError)) throw error;
      if (lost.includes(error.code) && mayBeLost()) return undefined;
      return { code: error.code, value: error.code === "ABORTED" || known.includes(error.code) ? "" : error.message };
    }
  }

  async #call(call: Sent, options: CallOptions): Promise<string> {
    const { controller, node } = this.#world.driver.client;
    switch (call.rpc) {
      case "create":
        return this.#create(call, options);
      case "delete":
        await controller.deleteVolume({ volumeId: call.id }, options);
        return "";
      case "get": {
        const { volume, status } = await controller.controllerGetVolume({ volumeId: call.id }, options);
        return `${Number(volume?.capacityBytes) / mebibyte} ${(status?.publishedNodeIds ?? []).length > 0}`;
      }
      case "stats": {
        const volumePath = this.#foldersOf(call).target(call.target);
        const { usage } = await node.nodeGetVolumeStats({ volumeId: call.id, volumePath }, options);
        return usage.length > 0 ? "" : "it answers no figures";
      }
      case "grow": {
        const capacityRange = { requiredBytes: BigInt(mebibytesOf(call.size) * mebibyte) };
        const { capacityBytes } = await controller.controllerExpandVolume(
          { volumeId: call.id, capacityRange },
          options,
        );
        return String(Number(capacityBytes) / mebibyte);
      }
      case "snapshot": {
        const name = `${this.#prefix}-${call.snapshot}`;
        const { snapshot } = await controller.createSnapshot({ name, sourceVolumeId: call.id }, options);
        const id = snapshot?.readyToUse ? snapshot.snapshotId : "";
        this.#ids.set(call.snapshot, id);
        return id;
      }
      case "deleteSnapshot":
        await controller.deleteSnapshot({ snapshotId: call.id }, options);
        return "";
      case "list":
        return this.#list(controller, options);
      case "listSnapshots":
        return this.#listSnapshots(controller, options);
      case "attach":
        await controller.controllerPublishVolume(
          { volumeId: call.id, nodeId: "n1", volumeCapability: this.#capability(call.volume), readonly: false },
          options,
        );
        return "";
      case "detach":
        await controller.controllerUnpublishVolume({ volumeId: call.id, nodeId: "n1" }, options);
        return "";
      case "write":
        await write(this.#foldersOf(call).target(call.target), call.seed, this.#raw);
        return "";
      case "read":
        return read(this.#foldersOf(call).target(call.target), this.#raw);
      case "stage":
      case "unstage":
      case "publish":
      case "unpublish":
      case "nodeGrow":
        return this.#use(node, call, options);
    }
  }

  async #create(call: Extract<Sent, { readonly rpc: "create" }>, options: CallOptions): Promise<string> {
    const { from, fromId, size } = call;
    const type =
      from !== undefined && isSnapshot(from)
        ? ({ case: "snapshot", value: { snapshotId: fromId } } as const)
        : ({ case: "volume", value: { volumeId: fromId } } as const);
    const { volume } = await this.#world.driver.client.controller.createVolume(
      {
        name: `${this.#prefix}-${call.volume}`,
        ...(size === undefined ? {} : { capacityRange: { requiredBytes: BigInt(mebibytesOf(size) * mebibyte) } }),
        volumeCapabilities: [this.#capability(call.volume)],
        ...(from === undefined ? {} : { volumeContentSource: { type } }),
      },
      options,
    );
    const id = volume?.volumeId ?? "";
    this.#ids.set(call.volume, id);
    return id;
  }

  async #list(controller: CsiClient["controller"], options: CallOptions): Promise<string> {
    const { entries } = await controller.listVolumes({}, options);
    return listed(
      entries.map(({ volume, status }) => {
        const attached = (status?.publishedNodeIds ?? []).length > 0;
        return `${volume?.volumeId} ${Number(volume?.capacityBytes) / mebibyte} ${attached}`;
      }),
    );
  }

  async #listSnapshots(controller: CsiClient["controller"], options: CallOptions): Promise<string> {
    const { entries } = await controller.listSnapshots({}, options);
    return listed(
      entries.map(({ snapshot }) => {
        return `${snapshot?.snapshotId} ${Number(snapshot?.sizeBytes) / mebibyte} ${snapshot?.sourceVolumeId}`;
      }),
    );
  }

  async #use(
    node: CsiClient["node"],
    call: Extract<Sent, { readonly rpc: "stage" | "unstage" | "publish" | "unpublish" | "nodeGrow" }>,
    options: CallOptions,
  ): Promise<string> {
    const folders = this.#foldersOf(call);
    const volumeId = call.id;
    const volumeCapability = this.#capability(call.volume);
    switch (call.rpc) {
      case "stage":
        await node.nodeStageVolume(
          { volumeId, volumeCapability, stagingTargetPath: folders.staging(call.at) },
          options,
        );
        return "";
      case "unstage":
        await node.nodeUnstageVolume({ volumeId, stagingTargetPath: folders.staging(call.at) }, options);
        return "";
      case "publish":
        await node.nodePublishVolume(
          {
            volumeId,
            volumeCapability,
            stagingTargetPath: folders.staging(call.at),
            targetPath: folders.target(call.target),
            readonly: call.ro ?? false,
          },
          options,
        );
        return "";
      case "unpublish":
        await node.nodeUnpublishVolume({ volumeId, targetPath: folders.target(call.target) }, options);
        return "";
      case "nodeGrow":
        await node.nodeExpandVolume({ volumeId, volumePath: folders.staging(call.at), volumeCapability }, options);
        return "";
    }
  }

  get #raw(): boolean {
    return this.#world.kind.use === "block";
  }

  #capability(slot: string) {
    const multi = multiTarget.some((each) => each === slot);
    return capability(this.#world.kind.use, multi ? Mode.SINGLE_NODE_MULTI_WRITER : Mode.SINGLE_NODE_WRITER);
  }

  /** A volume's successor of the same name has the same paths. */
  #foldersOf({ volume }: { readonly volume: string }): Folders {
    let there = this.#folders.get(volume);
    if (!there) {
      there = new Folders(this.#world.scratch.path);
      this.#folders.set(volume, there);
    }
    return there;
  }
}

/** What a caller that left, or whose driver is gone, gets in place of an answer. */
const lost = ["CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE"];
/** Codes that tell all by themselves; of any other the words are told, too. */
const known = ["OK", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED"];
