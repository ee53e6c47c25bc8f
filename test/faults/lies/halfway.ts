/** Another volume whose stage a crash cut short: the next start is to undo that, whatever it finds wrong elsewhere in the pool. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { newestNote } from "../../../src/pools/note-file.ts";
import type { Seat, World } from "../world.ts";
import { noteOf } from "./kinds.ts";

export class Halfway {
  readonly #world: World;
  readonly #seat: Seat;
  readonly #note: string;

  private constructor(world: World, seat: Seat, note: string) {
    this.#world = world;
    this.#seat = seat;
    this.#note = note;
  }

  static async make(world: World, name: string): Promise<Halfway> {
    const seat = world.seat(await world.create(name));
    await seat.attach();
    await seat.stage();
    return new Halfway(world, seat, noteOf(world, name));
  }

  /** While no driver runs: its note says what it says in the midst of a stage. */
  cutShort(): void {
    const fields = JSON.parse(newestNote(readFileSync(this.#note, "utf8"))) as object;
    writeFileSync(this.#note, `${JSON.stringify({ ...fields, state: "opening" })}\n`);
  }

  async expectUndone(): Promise<void> {
    for (let tries = 0; existsSync(this.#note); tries += 1) {
      assert.ok(tries < 250, "the stage of another volume, which a crash cut short, is not undone");
      await sleep(20);
    }
  }

  async leave(): Promise<void> {
    await this.#seat.unstage();
    await this.#seat.detach();
    await this.#world.remove(this.#seat.volume);
  }
}
