/** The controller's half of the rules: making volumes. */
import { keyOf, newNonce } from "../pools/ids.ts";
import type { NewVolume, Pool, Progress, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type { Call, CreateVolumeRequest, VolumeView } from "./api.ts";
import type { Asking } from "./asking.ts";
import { finishCopy } from "./content.ts";
import type { Context } from "./context.ts";
import { shown } from "./pool-set.ts";
import { type Source, sourceFor } from "./sources.ts";
import { viewOf } from "./view.ts";
import { checkTopology, difference, sizeFor, understand, type Wish } from "./wish.ts";

export class CreateRules {
  readonly #context: Context;

  readonly #asking: Asking | undefined;

  /** `asking` absent: what this process can't copy is refused. */
  constructor(context: Context, asking?: Asking) {
    this.#context = context;
    this.#asking = asking;
  }

  async create(request: CreateVolumeRequest, call: Call): Promise<VolumeView> {
    checkTopology(this.#context.pools, request.topology);
    const wish = await understand(this.#context.pools, request);
    const { name } = request;
    const key = keyOf("volume", wish.pool.uuid, name);
    const asked = JSON.stringify([request, wish.pool.uuid]);
    // In this process the name is one for all pools. Between processes its pool decides, and waits for the disk of no other.
    const lockPaths = [wish.pool.lockPath("volume", key)];
    const { ledger } = this.#context;
    const label = `name ${shown(name)}`;
    const attempt = (caller: Call) =>
      ledger.run(
        { key: `name/${name}`, label, lockPaths, local: !this.#context.pools.shared },
        caller,
        asked,
        (progress) => this.#createOrFind(request, wish, key, caller, progress),
        { goesOn: true },
      );
    const { source } = request;
    const asking = this.#asking;
    if (!asking || !wish.pool.shared || !source || !("volumeId" in source)) return attempt(call);
    // A node that is asked to clone takes the name's locks itself, so what waits for it has none.
    const { capacity, capabilities } = request;
    const cut = {
      kind: "clone",
      request: { name, capacity, capabilities, parameters: wish.parameters, source },
    } as const;
    return ledger.run(
      { key: `clone/${name}`, label, lockPaths: [] },
      call,
      asked,
      (progress) => {
        const lasting = { ...call, signal: progress.signal };
        return asking.orAsk(cut, lasting, progress, () => attempt(lasting));
      },
      { goesOn: true },
    );
  }

  async #createOrFind(
    request: CreateVolumeRequest,
    wish: Wish,
    key: string,
    call: Call,
    progress: Progress,
  ): Promise<VolumeView> {
    const elsewhere = this.#context.inOthers(wish.pool, (pool) =>
      pool.find(keyOf("volume", pool.uuid, request.name), "absent"),
    );
    elsewhere.catch(() => undefined);
    const there = await wish.pool.find(key, "absent");
    if (there) {
      // Its key is made of its name: this one was changed.
      if (there.name !== request.name)
        throw new Problem(
          "RECORD_DAMAGED",
          `the record of the volume ${shown(request.name)} calls it ${shown(there.name)}`,
        );
      const differs = difference(wish.pool, there, request, wish);
      if (differs === undefined) return viewOf(this.#context.pools, wish.pool, there);
      throw taken(request.name, differs);
    }
    const other = await elsewhere;
    if (other) throw taken(request.name, `it is in the pool '${other.pool.name}'`);
    const source = request.source && (await sourceFor(this.#context.pools, request.source, wish.pool));
    const made: NewVolume = {
      key,
      nonce: newNonce(),
      ...this.#context.pools.namedHere(wish.pool),
      name: request.name,
      size: sizeFor(request.capacity, wish, source),
      access: wish.access,
      fsType: wish.fsType,
      mkfsOptions: wish.mkfsOptions,
      parameters: wish.parameters,
      ...(source ? { origin: source.origin } : {}),
    };
    progress.step("making the volume");
    const volume = await this.#make(wish.pool, made, source, call, progress);
    return viewOf(this.#context.pools, wish.pool, volume);
  }

  #make(pool: Pool, made: NewVolume, source: Source | undefined, call: Call, progress: Progress): Promise<Volume> {
    const finish = (device: string, latch: Parameters<typeof finishCopy>[1]) =>
      finishCopy(device, latch, made, progress);
    const original = source?.volume;
    if (!original) {
      const hold = <T>(_maxMs: number, cut: (stillness: "idle") => Promise<T>) => cut("idle");
      return pool
        .create(made, { ...progress, finish, hold })
        .catch((error: unknown) => unlessDeleted(pool, source, error));
    }
    // A copy of a volume holds that volume too, until the cut is made and the copy is whole.
    return this.#context.ledger.run(
      this.#context.volumeSubject(pool, original),
      // For as long as the copy is made its name is held too: the caller's leaving ends neither.
      { ...call, rpc: `${call.rpc} of a clone`, signal: progress.signal },
      made.name,
      (inner) => pool.create(made, { ...inner, finish, hold: this.#context.hold.still(pool, original, inner) }),
      { goesOn: true },
    );
  }
}

function taken(name: string, differs: string): Problem {
  return new Problem("NAME_TAKEN", `there is a volume '${name}' that was made by a different request: ${differs}`);
}

/**
 * A snapshot is not held while it is copied, so that any number of copies is made at once. Whatever failed because it was
 * deleted meanwhile failed for want of a source, and nothing was lost.
 */
async function unlessDeleted(pool: Pool, source: Source | undefined, error: unknown): Promise<never> {
  const { snapshot } = source ?? {};
  if (!snapshot) throw error;
  const there = await pool.findSnapshot(snapshot.key).catch(() => snapshot);
  if (there?.nonce === snapshot.nonce) throw error;
  throw new Problem("SNAPSHOT_NOT_FOUND", `the snapshot ${shown(snapshot.name)} was deleted while it was copied`, {
    cause: error,
  });
}
