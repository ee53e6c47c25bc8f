/** Dozens of calls at once, of every kind, to the volumes of one pool. */

import assert from "node:assert/strict";
import type { CsiError } from "../../../src/csi/client.ts";
import type { Volume } from "../../../src/csi/gen/csi_pb.ts";
import { capability, type Usage } from "../../support/orchestrator.ts";
import { settled } from "../again.ts";
import type { House } from "./house.ts";
import { again, impatient } from "./watch.ts";

const bytes = 16 * 1024 ** 2;

interface One {
  readonly name: string;
  /** Absent: it is made by its call. */
  readonly volume?: Volume;
  readonly place?: Usage;
  readonly act: "create" | "delete" | "stage" | "publish" | "unstage" | "list";
}

const acts: readonly One["act"][] = ["delete", "stage", "create", "delete", "publish", "unstage", "stage", "list"];

export class Crowd {
  readonly #house: House;
  readonly #all: readonly One[];

  private constructor(house: House, all: readonly One[]) {
    this.#house = house;
    this.#all = all;
  }

  /** Last before the cause begins: their locks are still held ready, so that the calls get stuck behind them. */
  static async gather(house: House, count: number): Promise<Crowd> {
    const all = Array.from({ length: count }, async (_, index): Promise<One> => {
      const act = acts[index % acts.length] ?? "list";
      const name = `spare-${index}`;
      if (act === "create" || act === "list") return { name, act };
      const volume = await house.create("p", name, { bytes });
      const place = house.placeFor(volume);
      // One that is published already would not wait for anything.
      if (act === "publish" || act === "unstage")
        await house.driver.client.node.nodeStageVolume(stageOf(volume, place));
      return { name, volume, place, act };
    });
    return new Crowd(house, await Promise.all(all));
  }

  /** All calls at once; each with how it ended. */
  calls(): Promise<CsiError | undefined>[] {
    return this.#all.map(async (one) => {
      const error = await impatient((options) => this.#call(one, options));
      // A list without what can't be read would say that it is gone: it says whose disk is silent, in time.
      if (one.act === "list" && error)
        assert.match(`${error.code} ${error.message}`, /^UNAVAILABLE .*the pool 'p' did not answer/);
      return error;
    });
  }

  #call({ name, volume, place, act }: One, options: { timeoutMs: number }): Promise<unknown> {
    const { controller, node } = this.#house.driver.client;
    const parameters = { pool: "p" };
    if (act === "list") return controller.listVolumes({}, options);
    if (!volume || !place) {
      const capacityRange = { requiredBytes: BigInt(bytes) };
      return controller.createVolume(
        { name, capacityRange, volumeCapabilities: [capability("ext4")], parameters },
        options,
      );
    }
    const { volumeId } = volume;
    const { staging: stagingTargetPath, target: targetPath } = place;
    if (act === "delete") return controller.deleteVolume({ volumeId }, options);
    if (act === "stage") return node.nodeStageVolume(stageOf(volume, place), options);
    if (act === "unstage") return node.nodeUnstageVolume({ volumeId, stagingTargetPath }, options);
    return node.nodePublishVolume({ ...stageOf(volume, place), targetPath }, options);
  }

  /** The cause is gone: whatever became of the calls, everything can be let go and removed. */
  async settle(): Promise<void> {
    await Promise.all(
      this.#all.map(async ({ name, volume, place, act }) => {
        if (act === "list") return;
        const there = volume ?? (await settled(() => this.#house.create("p", name, { bytes })));
        if (place) await again(() => place.release());
        await this.#house.remove(there);
      }),
    );
  }
}

function stageOf({ volumeId }: Volume, { staging }: Usage) {
  return { volumeId, stagingTargetPath: staging, volumeCapability: capability("ext4") };
}
