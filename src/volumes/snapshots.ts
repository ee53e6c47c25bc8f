/** The controller's half of the rules: snapshots. */
import { keyOf, newNonce } from "../pools/ids.ts";
import type { Pool, Snapshot } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type { Call, Page, Paged, SnapshotView } from "./api.ts";
import type { Asking } from "./asking.ts";
import type { Context } from "./context.ts";
import { shown } from "./pool-set.ts";
import { paged } from "./tokens.ts";

/** What the snapshotter adds about its object; nothing else means anything here. */
const metadata = /^csi\.storage\.k8s\.io\//;

export class SnapshotRules {
  readonly #context: Context;

  readonly #asking: Asking | undefined;

  /** `asking` absent: what this process can't cut is refused. */
  constructor(context: Context, asking?: Asking) {
    this.#context = context;
    this.#asking = asking;
  }

  async create(
    asked: {
      readonly name: string;
      readonly sourceVolumeId: string;
      readonly parameters: Readonly<Record<string, string>>;
    },
    call: Call,
  ): Promise<SnapshotView> {
    const unknown = Object.keys(asked.parameters).find((key) => !metadata.test(key));
    if (unknown !== undefined)
      throw new Problem("PARAMETER_UNKNOWN", `there is no snapshot class parameter ${shown(unknown)}`);
    return this.#context.ledger.run(
      { key: `snapshot-name/${asked.name}`, label: `snapshot name ${shown(asked.name)}`, lockPaths: [] },
      call,
      JSON.stringify(asked),
      (progress) => {
        // For as long as the snapshot is made its name is held: the caller's leaving ends neither.
        const lasting = { ...call, signal: progress.signal };
        const attempt = () => this.#findOrCut(asked, lasting);
        const { name, sourceVolumeId } = asked;
        return this.#asking
          ? this.#asking.orAsk({ kind: "snapshot", name, sourceVolumeId }, lasting, progress, attempt)
          : attempt();
      },
      { goesOn: true },
    );
  }

  async #findOrCut(
    asked: { readonly name: string; readonly sourceVolumeId: string },
    call: Call,
  ): Promise<SnapshotView> {
    const { ledger } = this.#context;
    const there = await this.#find(asked.name, asked.sourceVolumeId);
    if (there) return this.#same(there, asked.sourceVolumeId);
    const { pool, volume } = await this.#context.pools.theVolume(asked.sourceVolumeId);
    if (!pool.features.snapshots) throw new Problem("FEATURE_ABSENT", `the pool '${pool.name}' has no snapshots`);
    const snapshot = {
      key: keyOf("snapshot", pool.uuid, asked.name),
      nonce: newNonce(),
      ...this.#context.pools.namedHere(pool),
      name: asked.name,
      parameters: {},
    };
    const made = await ledger.run(
      this.#context.snapshotSubject(pool, snapshot),
      call,
      asked.sourceVolumeId,
      () =>
        ledger.run(
          this.#context.volumeSubject(pool, volume),
          call,
          asked.name,
          async (progress) => {
            // Another process may have made it before the name was locked.
            const made = await pool.findSnapshot(snapshot.key);
            if (made) return made;
            const source = await pool.find(volume.key);
            if (source?.nonce !== volume.nonce)
              throw new Problem("VOLUME_NOT_FOUND", "the source was deleted meanwhile");
            progress.step("making the snapshot");
            const hold = this.#context.hold.still(pool, source, progress);
            const work = { ...progress, hold };
            return pool.snapshot(snapshot, source, asked.sourceVolumeId, work);
          },
          { goesOn: true },
        ),
      { goesOn: true },
    );
    return this.#same({ pool, snapshot: made }, asked.sourceVolumeId);
  }

  /** Copies share blocks or have their own; none depends on the snapshot, so it can always go. */
  async remove(id: string, call: Call): Promise<void> {
    const found = await this.#context.pools.snapshot(id);
    if (!found) return;
    const { pool, snapshot } = found;
    await this.#context.ledger.run(
      this.#context.snapshotSubject(pool, snapshot),
      call,
      id,
      async (progress) => {
        progress.step("deleting");
        const current = await pool.findSnapshot(snapshot.key);
        if (current?.nonce === snapshot.nonce) await pool.removeSnapshot(current);
      },
      { goesOn: true, last: true },
    );
  }

  async get(id: string): Promise<SnapshotView> {
    const found = await this.#context.pools.snapshot(id);
    if (!found) throw new Problem("SNAPSHOT_NOT_FOUND", `there is no snapshot ${shown(id)}`);
    return this.#view(found.pool, found.snapshot);
  }

  async list(
    asked: Page & { readonly snapshotId?: string; readonly sourceVolumeId?: string },
    call: Call,
  ): Promise<Paged<SnapshotView>> {
    if (asked.snapshotId) {
      const found = await unlessForeign(() => this.#context.pools.snapshot(asked.snapshotId ?? ""));
      const views = found ? [this.#view(found.pool, found.snapshot)] : [];
      const wanted = views.filter((view) => !asked.sourceVolumeId || view.sourceVolumeId === asked.sourceVolumeId);
      return { entries: wanted, next: "" };
    }
    const { sourceVolumeId } = asked;
    const read = sourceVolumeId ? ofSource(sourceVolumeId) : everySnapshot;
    const { pools } = this.#context;
    return paged(
      await pools.all(call),
      asked,
      (pool, after, max) => pools.ask(pool, call, () => read(pool, after, max)),
      (pool, snapshot) => this.#view(pool, snapshot),
    );
  }

  /** In the source's pool, which decides; else in one of the others that answer. */
  async #find(name: string, sourceId: string): Promise<{ pool: Pool; snapshot: Snapshot } | undefined> {
    const look = (each: Pool) => each.findSnapshot(keyOf("snapshot", each.uuid, name));
    // Whose source is wrong is told so where the source is looked for.
    const pool = (await unlessForeign(() => this.#context.pools.locate(sourceId)))?.pool;
    const snapshot = pool && (await look(pool));
    if (snapshot) return { pool, snapshot };
    const other = await this.#context.inOthers(pool, look);
    return other && { pool: other.pool, snapshot: other.found };
  }

  #same(there: { pool: Pool; snapshot: Snapshot }, sourceVolumeId: string): SnapshotView {
    const view = this.#view(there.pool, there.snapshot);
    if (view.sourceVolumeId === sourceVolumeId) return view;
    throw new Problem(
      "NAME_TAKEN",
      `there is a snapshot ${shown(there.snapshot.name)} of another volume, ${shown(view.sourceVolumeId)}`,
    );
  }

  #view(pool: Pool, snapshot: Snapshot): SnapshotView {
    return {
      id: this.#context.pools.idOf(pool, snapshot),
      sourceVolumeId: snapshot.origin.id,
      size: snapshot.size,
      created: snapshot.created,
      ready: true,
    };
  }
}

type Reader = (pool: Pool, after: string | undefined, max: number) => ReturnType<Pool["listSnapshots"]>;

const everySnapshot: Reader = (pool, after, max) => pool.listSnapshots(after, max);

/** Pages of one source's snapshots: read through in steps, until the page is full or the pool ends. */
function ofSource(sourceVolumeId: string): Reader {
  return async (pool, after, max) => {
    const entries: Snapshot[] = [];
    for (let from = after; ; ) {
      const page = await pool.listSnapshots(from, 500);
      for (const snapshot of page.entries) {
        if (snapshot.origin.id !== sourceVolumeId) continue;
        if (entries.length === max) return { entries, next: entries.at(-1)?.key ?? snapshot.key };
        entries.push(snapshot);
      }
      if (page.next === undefined) return { entries };
      from = page.next;
    }
  };
}

/** A filter names what to show, not what to act on: an ID from elsewhere shows nothing. */
async function unlessForeign<T>(find: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await find();
  } catch (error) {
    if (error instanceof Problem && error.code === "FOREIGN_ID") return undefined;
    throw error;
  }
}
