/** One caller of a running load: makes, uses, copies, grows and deletes its own volumes, one call after another, as its seed says. */
import type { Volume } from "../../../src/csi/gen/csi_pb.ts";
import { createSnapshot } from "../../support/orchestrator.ts";
import { put } from "../content.ts";
import type { Random } from "../frame/random.ts";
import { type Seat, volumeBytes, type World } from "../world.ts";
import type { Kind, KnownSnapshot, KnownVolume, Moment, UnderWay } from "./moment.ts";

export const grownBytes = 2 * volumeBytes;
const mostVolumes = 3;
const mostSnapshots = 2;

/** A volume as its caller knows it: what is written here was acknowledged. */
interface Held extends KnownVolume {
  volume?: Volume;
  id?: string;
  bytes: number;
  attached: boolean;
  readonly seeds: string[];
  /** How many of its steps of use are done. */
  used: number;
  stagedBefore: boolean;
  seat?: Seat;
}

interface Taken extends KnownSnapshot {
  id?: string;
}

/** A call that is possible now: what it concerns, and how what is known changes when it is answered. */
interface Call extends UnderWay {
  act(): Promise<void>;
}

export class Caller {
  readonly #world: World;
  readonly #name: string;
  readonly #random: Random;
  readonly #volumes: Held[] = [];
  readonly #snapshots: Taken[] = [];
  readonly #gone: string[] = [];
  readonly #counts = new Map<Kind, number>();
  #made = 0;
  #underWay: UnderWay | undefined;

  constructor(world: World, name: string, random: Random) {
    this.#world = world;
    this.#name = name;
    this.#random = random;
  }

  /** The next call: of what is possible the kind that this caller did least. Answers how often it has begun it. */
  next(): { readonly kind: Kind; readonly nth: number; run(): Promise<void> } {
    const possible = this.#possible();
    const count = ({ kind }: UnderWay) => this.#counts.get(kind) ?? 0;
    const least = Math.min(...possible.map(count));
    const call = this.#random.of(possible.filter((each) => count(each) === least));
    if (!call) throw new Error("there is nothing to do");
    const nth = count(call) + 1;
    this.#counts.set(call.kind, nth);
    return {
      kind: call.kind,
      nth,
      run: async () => {
        this.#underWay = call;
        await call.act();
        this.#underWay = undefined;
      },
    };
  }

  /** What it knows now; does not change later. */
  moment(): Moment {
    return {
      volumes: this.#volumes.filter(({ id }) => id !== undefined).map(known),
      snapshots: this.#snapshots.filter(({ id }) => id !== undefined).map(known),
      gone: [...this.#gone],
      underWay: this.#underWay === undefined ? [] : [copyOf(this.#underWay)],
    };
  }

  /** Gives back and deletes all that it has. */
  async end(): Promise<void> {
    for (const held of this.#volumes) while (held.used > 0) await this.#back(held).act();
    for (const held of [...this.#volumes]) await this.#delete(held).act();
    for (const taken of [...this.#snapshots]) await this.#deleteSnapshot(taken).act();
  }

  #possible(): Call[] {
    const { copies } = this.#world.kind;
    const room = this.#volumes.length < mostVolumes;
    const taken = this.#snapshots;
    return [
      ...(room ? [this.#create("create", [])] : []),
      ...(room && copies
        ? taken.map((from) => this.#create("restore", from.seeds, { fromSnapshot: from.id ?? "" }, from.bytes))
        : []),
      ...taken.map((each) => this.#deleteSnapshot(each)),
      ...this.#volumes.flatMap((held) => this.#withOne(held, room)),
    ];
  }

  #withOne(held: Held, room: boolean): Call[] {
    const { copies, grows, use } = this.#world.kind;
    const last = this.#steps().length;
    const calls: Call[] = [held.used === last ? this.#write(held) : this.#on(held)];
    calls.push(held.used === 0 ? this.#delete(held) : this.#back(held));
    const used = held.seeds.length > 0;
    if (copies && used && this.#snapshots.length < mostSnapshots) calls.push(this.#snapshot(held));
    if (copies && used && room)
      calls.push(this.#create("clone", held.seeds, { fromVolume: held.id ?? "" }, held.bytes));
    // An ext4 that is mounted grows only with a right that a driver in a test need not have.
    if (grows && held.bytes < grownBytes && (use !== "ext4" || held.used === 0)) calls.push(this.#grow(held));
    return calls;
  }

  #steps(): readonly ("attach" | "stage" | "publish")[] {
    return this.#world.kind.shared ? ["attach", "stage", "publish"] : ["stage", "publish"];
  }

  #create(
    kind: "create" | "restore" | "clone",
    seeds: readonly string[],
    from: KnownVolume["wish"] = {},
    bytes = volumeBytes,
  ): Call {
    const name = `${this.#name}-${this.#made + 1}`;
    const wish = { bytes, ...from };
    const held: Held = {
      name,
      wish,
      bytes,
      attached: false,
      seeds: [...seeds],
      used: 0,
      stagedBefore: kind !== "create",
    };
    return {
      kind,
      volume: held,
      act: async () => {
        this.#made += 1;
        held.volume = await this.#world.create(name, wish);
        held.id = held.volume.volumeId;
        this.#volumes.push(held);
      },
    };
  }

  #delete(held: Held): Call {
    return {
      kind: "delete",
      volume: held,
      act: async () => {
        const volumeId = held.id ?? "";
        await this.#world.remove({ volumeId });
        this.#volumes.splice(this.#volumes.indexOf(held), 1);
        this.#gone.push(volumeId);
      },
    };
  }

  #snapshot(held: Held): Call {
    const name = `${this.#name}-${this.#made + 1}`;
    const taken: Taken = { name, sourceId: held.id ?? "", bytes: held.bytes, seeds: [...held.seeds] };
    return {
      kind: "snapshot",
      snapshot: taken,
      act: async () => {
        this.#made += 1;
        taken.id = await createSnapshot(this.#world.driver, name, taken.sourceId);
        this.#snapshots.push(taken);
      },
    };
  }

  #deleteSnapshot(taken: Taken): Call {
    return {
      kind: "delete-snapshot",
      snapshot: taken,
      act: async () => {
        const snapshotId = taken.id ?? "";
        await this.#world.driver.client.controller.deleteSnapshot({ snapshotId });
        this.#snapshots.splice(this.#snapshots.indexOf(taken), 1);
        this.#gone.push(snapshotId);
      },
    };
  }

  #grow(held: Held): Call {
    return {
      kind: "grow",
      volume: held,
      act: async () => {
        const capacityRange = { requiredBytes: BigInt(grownBytes) };
        await this.#world.driver.client.controller.controllerExpandVolume({ volumeId: held.id ?? "", capacityRange });
        held.bytes = grownBytes;
        if (held.used === this.#steps().length) await held.seat?.expand(grownBytes);
      },
    };
  }

  #write(held: Held): Call {
    const seed = `${held.name}-${held.seeds.length}`;
    return {
      kind: "write",
      volume: held,
      seed,
      act: async () => {
        await put(this.#world.kind.use, held.seat?.target ?? "", seed, held.seeds.length);
        held.seeds.push(seed);
      },
    };
  }

  /** The next step towards its use. */
  #on(held: Held): Call {
    const step = this.#steps()[held.used] ?? "publish";
    return {
      kind: step === "stage" && !held.stagedBefore ? "stage-first" : step,
      volume: held,
      act: async () => {
        if (!held.volume) throw new Error(`${held.name} was never answered`);
        held.seat ??= this.#world.seat(held.volume);
        await held.seat[step]();
        held.used += 1;
        if (step === "attach") held.attached = true;
        if (step === "stage") held.stagedBefore = true;
      },
    };
  }

  /** The next step away from it. */
  #back(held: Held): Call {
    const step = this.#steps()[held.used - 1] ?? "publish";
    const undo = { attach: "detach", stage: "unstage", publish: "unpublish" } as const;
    return {
      kind: undo[step],
      volume: held,
      act: async () => {
        const { seat } = held;
        await seat?.[undo[step]]();
        held.used -= 1;
        if (step === "attach") held.attached = false;
        if (held.used > 0) return;
        delete held.seat;
        // Where nothing is attached this only takes the folders away.
        if (step !== "attach") await seat?.detach();
      },
    };
  }
}

function known<T extends KnownVolume | KnownSnapshot>(one: T): T {
  return { ...one, seeds: [...one.seeds] };
}

function copyOf(call: UnderWay): UnderWay {
  const { kind, volume, snapshot, seed } = call;
  return {
    kind,
    ...(volume ? { volume: known(volume) } : {}),
    ...(snapshot ? { snapshot: known(snapshot) } : {}),
    ...(seed === undefined ? {} : { seed }),
  };
}
