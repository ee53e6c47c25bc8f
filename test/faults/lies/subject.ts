/** The volume (and its snapshot) whose files are lied about, and all that can be asked of it. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Volume } from "../../../src/csi/gen/csi_pb.ts";
import { createSnapshot } from "../../support/orchestrator.ts";
import { settled } from "../again.ts";
import { mebibyte, type Seat, takeAll, volumeBytes, type World } from "../world.ts";
import { type Answer, answered } from "./answers.ts";

export class Subject {
  readonly #world: World;
  readonly name: string;
  readonly volume: Volume;
  readonly snapshotId: string | undefined;
  /** Everywhere it was tried to be used, to be let go once that is possible. */
  readonly #seats: Seat[] = [];
  #count = 0;
  #shows = true;

  private constructor(world: World, name: string, volume: Volume, snapshotId: string | undefined) {
    this.#world = world;
    this.name = name;
    this.volume = volume;
    this.snapshotId = snapshotId;
  }

  static async make(world: World, name: string): Promise<Subject> {
    const volume = await world.create(name);
    await world.fill(volume, name);
    const snapshotId = world.kind.copies
      ? await createSnapshot(world.driver, `${name}-snapshot`, volume.volumeId)
      : undefined;
    return new Subject(world, name, volume, snapshotId);
  }

  /** Its own folder in the pool. */
  get folder(): string {
    return folderOf(this.#world, "volumes", this.name);
  }

  get snapshotFolder(): string {
    return folderOf(this.#world, "snapshots", `${this.name}-snapshot`);
  }

  /** Where `take` took it. */
  get seat(): Seat {
    const [seat] = this.#seats;
    if (!seat) throw new Error(`nobody has taken ${this.name}`);
    return seat;
  }

  /** Attached, staged, published and written. */
  async take(): Promise<Seat> {
    const seat = this.#world.seat(this.volume);
    this.#seats.push(seat);
    await takeAll(seat);
    return seat;
  }

  /**
   * Everything that can be asked of it but its end. Each is answered, or refused in the domain's words; a use that comes
   * about shows what was written, unless it `may` show anything.
   */
  async ask(may: "its own" | "anything" = "its own"): Promise<void> {
    this.#count += 1;
    this.#shows = may === "its own";
    const { controller, node } = this.#world.driver.client;
    const { volumeId } = this.volume;
    const label = `${this.name}-${this.#count}`;
    await answered("ListVolumes", () => controller.listVolumes({}));
    await answered("GetCapacity", () => controller.getCapacity({}));
    await answered("ControllerGetVolume", () => controller.controllerGetVolume({ volumeId }));
    await answered("CreateVolume", () => this.#world.create(this.name));
    await this.#use();
    await answered("ControllerExpandVolume", () =>
      controller.controllerExpandVolume({ volumeId, capacityRange: { requiredBytes: BigInt(volumeBytes) } }),
    );
    await answered("NodeGetVolumeStats", () =>
      node.nodeGetVolumeStats({ volumeId, volumePath: this.#world.disk.path }),
    );
    if (!this.#world.kind.copies) return;
    const cut = await answered("CreateSnapshot", () =>
      controller.createSnapshot({ name: label, sourceVolumeId: volumeId }),
    );
    const snapshotId = cut.done ? cut.value.snapshot?.snapshotId : undefined;
    if (snapshotId) await settled(() => controller.deleteSnapshot({ snapshotId }));
    await this.#copied(`${label}-clone`, { fromVolume: volumeId });
    await answered("ListSnapshots", () => controller.listSnapshots({}));
    if (this.snapshotId === undefined) return;
    await this.#copied(`${label}-restored`, { fromSnapshot: this.snapshotId });
  }

  /** A copy of it may be refused; one that is made and can be used holds the same. */
  async #copied(name: string, from: { readonly fromVolume: string } | { readonly fromSnapshot: string }) {
    const bytes = volumeBytes + 16 * mebibyte;
    const made = await answered(`CreateVolume ${name}`, () => this.#world.create(name, { ...from, bytes }));
    if (!made.done) return;
    await this.#tryOut(this.#world.seat(made.value), name);
    await this.#world.remove(made.value);
  }

  async #use(): Promise<void> {
    const seat = this.#world.seat(this.volume);
    this.#seats.push(seat);
    await this.#tryOut(seat, this.name);
  }

  async #tryOut(seat: Seat, what: string): Promise<void> {
    const steps = ["attach", "stage", "publish"] as const;
    let answer: Answer<void> | undefined;
    for (const step of steps) {
      answer = await answered(`${step} ${what}`, () => seat[step]());
      if (!answer.done) break;
    }
    if (answer?.done && this.#shows) seat.holds(this.name);
    for (const step of ["unpublish", "unstage", "detach"] as const) {
      await answered(`${step} ${what}`, () => seat[step]());
    }
  }

  /** Now that the right file is back: it is let go everywhere, holds what was written, and can be used as ever. */
  async expectBack(): Promise<void> {
    const seats = this.#seats.splice(0);
    // The last first: it was staged there a second time, while nothing said that it was staged already.
    for (const step of ["unpublish", "unstage", "detach"] as const)
      for (const seat of seats.toReversed()) await settled(() => seat[step]());
    const { volumeId } = this.volume;
    assert.equal((await settled(() => this.#world.create(this.name))).volumeId, volumeId, "it has another identity");
    await this.#world.expectHolds(this.volume, this.name);
    if (this.snapshotId === undefined) return;
    const restored = await this.#world.create(`${this.name}-back`, { fromSnapshot: this.snapshotId });
    await this.#world.expectHolds(restored, this.name);
    await this.#world.remove(restored);
  }

  async remove(): Promise<void> {
    if (this.snapshotId !== undefined)
      await this.#world.driver.client.controller.deleteSnapshot({ snapshotId: this.snapshotId });
    await this.#world.remove(this.volume);
  }
}

/** The folder of the entry with this name. */
export function folderOf(world: World, shelf: "volumes" | "snapshots", name: string): string {
  const folder = join(world.disk.path, shelf);
  for (const key of readdirSync(folder)) {
    const record = JSON.parse(readFileSync(join(folder, key, "record.json"), "utf8")) as { readonly name: string };
    if (record.name === name) return join(folder, key);
  }
  throw new Error(`the pool has no '${name}' in ${shelf}`);
}
