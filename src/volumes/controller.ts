/** The controller's half of the rules: volumes that are there. Making them, snapshots and attaching stand beside it. */
import type { Pool, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type { Call, Capability, CapacityRange, Segments, VolumeView } from "./api.ts";
import { unsupported } from "./capabilities.ts";
import type { Context } from "./context.ts";
import { growInPool } from "./growth.ts";
import { refuseInUse } from "./in-use.ts";
import { mismatch, sameMap, within } from "./matching.ts";
import { parseParameters } from "./parameters.ts";
import { stillThere } from "./pool-set.ts";
import { chooseSize, fits } from "./sizes.ts";
import { viewOf } from "./view.ts";

export class VolumeRules {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Deleted means: of sight at once, its space back soon. A volume that is open or attached anywhere stays. */
  async remove(id: string, call: Call): Promise<void> {
    const found = (await this.#context.pools.volume(id)) ?? (await this.#context.pools.ephemeral(id));
    if (!found) return;
    const { pool, volume } = found;
    await this.#context.ledger.run(
      this.#context.volumeSubject(pool, volume),
      call,
      id,
      async (progress) => {
        const current = await pool.find(volume.key);
        if (current?.nonce !== volume.nonce) return;
        await refuseInUse(this.#context, pool, current);
        progress.step("deleting");
        await pool.remove(current);
        await this.#context.records(pool).remove(volume.key);
      },
      { goesOn: true, last: true },
    );
  }

  async expand(
    asked: { readonly id: string; readonly capacity: CapacityRange; readonly capability?: Capability },
    call: Call,
  ): Promise<{ capacity: number; nodeExpansionRequired: boolean }> {
    const { pool, volume } = await this.#context.pools.theVolume(asked.id);
    if (asked.capability) this.#refuseUnsupported(pool, [asked.capability], volume);
    const wanted = chooseSize(asked.capacity, 0, volume.size);
    const nodeExpansionRequired = pool.features.gives === "device";
    if (wanted <= volume.size) {
      if (!fits(volume.size, asked.capacity)) {
        throw new Problem(
          "SIZE_OUT_OF_RANGE",
          `the volume has ${volume.size} bytes already, more than the limit of ${asked.capacity.limit}`,
        );
      }
      return { capacity: volume.size, nodeExpansionRequired };
    }
    const grown = await this.#context.ledger.run(
      this.#context.volumeSubject(pool, volume),
      call,
      JSON.stringify(asked),
      async (progress) => {
        progress.step("growing");
        const current = await stillThere(pool, volume);
        return growInPool(pool, current, wanted);
      },
      { goesOn: true },
    );
    return { capacity: grown.size, nodeExpansionRequired };
  }

  async get(id: string): Promise<VolumeView> {
    const { pool, volume } = await this.#context.pools.theVolume(id);
    return viewOf(this.#context.pools, pool, volume);
  }

  async validate(
    id: string,
    asked: {
      readonly capabilities: readonly Capability[];
      readonly parameters: Readonly<Record<string, string>>;
      readonly context: Readonly<Record<string, string>>;
    },
  ): Promise<string | undefined> {
    const { pool, volume } = await this.#context.pools.theVolume(id);
    if (Object.keys(asked.context).length > 0) return "the volume has an empty context";
    try {
      this.#refuseUnsupported(pool, asked.capabilities, volume);
      if (Object.keys(asked.parameters).length > 0) {
        const { identity } = parseParameters(asked.parameters);
        if (!sameMap(identity, volume.parameters)) return "the volume was made with other parameters";
      }
      return undefined;
    } catch (error) {
      if (error instanceof Problem && error.kind === "invalid") return error.message;
      throw error;
    }
  }

  async capacity(
    asked: {
      readonly capabilities: readonly Capability[];
      readonly parameters: Readonly<Record<string, string>>;
      readonly topology?: Segments;
    },
    call: Call,
  ): Promise<{ available: number; maximum: number; minimum: number }> {
    const { pool: name } = parseParameters(asked.parameters);
    const here = this.#context.pools.segments();
    const elsewhere = here && asked.topology && !within(here, asked.topology);
    const pools = elsewhere
      ? []
      : name === undefined
        ? await this.#context.pools.all(call)
        : [await this.#context.pools.named(name)];
    const able = pools.filter((pool) => asked.capabilities.every((each) => unsupported(pool, each) === undefined));
    const figures = await Promise.all(able.map((pool) => this.#context.pools.ask(pool, call, () => pool.capacity())));
    const available = figures.reduce((sum, each) => sum + each.available, 0);
    const maximum = Math.max(0, ...figures.map((each) => each.available));
    const minimum = able.length === 0 ? 0 : Math.min(...able.map((pool) => pool.features.minimumSize));
    return { available, maximum, minimum };
  }

  #refuseUnsupported(pool: Pool, capabilities: readonly Capability[], volume: Volume): void {
    for (const each of capabilities) {
      const reason = unsupported(pool, each) ?? mismatch(volume, each);
      if (reason !== undefined) throw new Problem("CAPABILITY_UNSUPPORTED", reason);
    }
  }
}
