/** The controller's half of the rules: volumes. Snapshots, attaching and listing stand beside it. */
import { keyOf, newNonce } from "../pools/ids.ts";
import type { NewVolume, Origin, Pool, Progress, Snapshot, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type {
  Call,
  Capability,
  CapacityRange,
  ContentSource,
  CreateVolumeRequest,
  Segments,
  VolumeView,
} from "./api.ts";
import { unsupported } from "./capabilities.ts";
import { filesystemFor, finishCopy } from "./content.ts";
import type { Context } from "./context.ts";
import { mountedBeside } from "./mounted.ts";
import { parseParameters } from "./parameters.ts";
import { shown } from "./pool-set.ts";
import { chooseSize, defaultSize, fits } from "./sizes.ts";

/** What a create asks for once its parameters and its source are understood. */
interface Wish {
  readonly pool: Pool;
  readonly access: "block" | "mount";
  readonly fsType: string;
  readonly mkfsOptions: readonly string[];
  readonly parameters: Readonly<Record<string, string>>;
}

export class VolumeRules {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  async create(request: CreateVolumeRequest, call: Call): Promise<VolumeView> {
    this.#checkTopology(request.topology);
    const wish = await this.#wish(request);
    const { name } = request;
    const key = keyOf("volume", wish.pool.uuid, name);
    const asked = JSON.stringify([request, wish.pool.uuid]);
    // The name is locked in every pool: the same name in two pools at once must not make two volumes.
    const pools = await this.#context.pools.usable();
    const lockPaths = pools.map((pool) => pool.lockPath("volume", keyOf("volume", pool.uuid, name))).sort();
    return this.#context.ledger.run(
      { key: `name/${name}`, label: `name ${shown(name)}`, lockPaths },
      call,
      asked,
      (progress) => this.#createOrFind(request, wish, key, call, progress),
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
    for (const pool of await this.#context.pools.usable()) {
      const there = await pool.find(keyOf("volume", pool.uuid, request.name));
      if (!there) continue;
      if (there.name !== request.name) throw new Problem("INTERNAL", `two names have the key ${there.key}`);
      const difference =
        pool === wish.pool ? this.#difference(pool, there, request, wish) : `it is in the pool '${pool.name}'`;
      if (difference === undefined) return this.view(pool, there);
      throw new Problem(
        "NAME_TAKEN",
        `there is a volume '${request.name}' that was made by a different request: ${difference}`,
      );
    }
    const source = request.source && (await this.#source(request.source, wish.pool));
    const made: NewVolume = {
      key,
      nonce: newNonce(),
      name: request.name,
      size: this.#size(request.capacity, wish, source),
      access: wish.access,
      fsType: wish.fsType,
      mkfsOptions: wish.mkfsOptions,
      parameters: wish.parameters,
      ...(source ? { origin: source.origin } : {}),
    };
    progress.step("making the volume");
    const volume = await this.#make(wish.pool, made, source, call, progress);
    return this.view(wish.pool, volume);
  }

  #make(pool: Pool, made: NewVolume, source: Source | undefined, call: Call, progress: Progress): Promise<Volume> {
    const finish = (device: string, latch: Parameters<typeof finishCopy>[1]) =>
      finishCopy(device, latch, made, progress);
    const original = source?.volume;
    if (!original) {
      return pool.create(made, { ...progress, finish, hold: (_maxMs, cut) => cut("idle") });
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

  /** Deleted means: of sight at once, its space back soon. A volume that is open or attached anywhere stays. */
  async remove(id: string, call: Call): Promise<void> {
    const found = await this.#context.pools.volume(id);
    if (!found) return;
    const { pool, volume } = found;
    await this.#context.ledger.run(
      this.#context.volumeSubject(pool, volume),
      call,
      id,
      async (progress) => {
        const current = await pool.find(volume.key);
        if (current?.nonce !== volume.nonce) return;
        await this.#refuseInUse(pool, current);
        progress.step("deleting");
        await pool.remove(current);
        await this.#context.records(pool).remove(volume.key);
      },
      { goesOn: true },
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
        const current = await pool.find(volume.key);
        if (current?.nonce !== volume.nonce) throw new Problem("VOLUME_NOT_FOUND", "the volume was deleted meanwhile");
        return pool.grow(current, wanted);
      },
      { goesOn: true },
    );
    return { capacity: grown.size, nodeExpansionRequired };
  }

  async get(id: string): Promise<VolumeView> {
    const { pool, volume } = await this.#context.pools.theVolume(id);
    return this.view(pool, volume);
  }

  async view(pool: Pool, volume: Volume): Promise<VolumeView> {
    const segments = this.#context.pools.segments();
    const holders = (await pool.attachments?.holders(volume)) ?? [];
    return {
      id: this.#context.pools.idOf(pool, volume),
      capacity: volume.size,
      context: {},
      topology: segments ? [segments] : [],
      publishedNodes: holders.map((holder) => holder.node),
      ...(volume.origin ? { source: sourceOf(volume.origin) } : {}),
    };
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

  async capacity(asked: {
    readonly capabilities: readonly Capability[];
    readonly parameters: Readonly<Record<string, string>>;
    readonly topology?: Segments;
  }): Promise<{ available: number; maximum: number; minimum: number }> {
    const { pool: name } = parseParameters(asked.parameters);
    const here = this.#context.pools.segments();
    const elsewhere = here && asked.topology && !within(here, asked.topology);
    const pools = elsewhere
      ? []
      : name === undefined
        ? await this.#context.pools.all()
        : [await this.#context.pools.named(name)];
    const able = pools.filter((pool) => asked.capabilities.every((each) => unsupported(pool, each) === undefined));
    const figures = await Promise.all(able.map((pool) => pool.capacity()));
    const available = figures.reduce((sum, each) => sum + each.available, 0);
    const maximum = Math.max(0, ...figures.map((each) => each.available));
    const minimum = able.length === 0 ? 0 : Math.min(...able.map((pool) => pool.features.minimumSize));
    return { available, maximum, minimum };
  }

  async #wish(request: CreateVolumeRequest): Promise<Wish> {
    const [first] = request.capabilities;
    if (!first) throw new Problem("FIELD_INVALID", "volume_capabilities is empty");
    const mount = request.capabilities.find((each) => each.access === "mount");
    if (mount && request.capabilities.some((each) => each.access === "block")) {
      throw new Problem("CAPABILITY_UNSUPPORTED", "a volume is raw or mounted, not both");
    }
    const parsed = parseParameters(request.parameters, mount?.fsType ?? "");
    const pool = await this.#poolFor(parsed.pool, request.source);
    const fsType = mount?.fsType || parsed.fsType || "ext4";
    for (const each of request.capabilities) {
      const reason = unsupported(pool, each);
      if (reason !== undefined) throw new Problem("CAPABILITY_UNSUPPORTED", reason);
      if (each.access === "mount" && each.fsType !== "" && each.fsType !== fsType) {
        throw new Problem("CAPABILITY_UNSUPPORTED", `the capabilities ask for ${fsType} and for ${each.fsType}`);
      }
    }
    const formats = mount !== undefined && pool.features.gives === "device";
    if (!formats && parsed.fsType !== undefined && pool.features.gives === "directory") {
      throw new Problem(
        "PARAMETER_UNKNOWN",
        `the pool '${pool.name}' gives directories, so the parameter fsType means nothing`,
      );
    }
    if (formats) this.#checkFilesystem(fsType);
    return {
      pool,
      access: mount ? "mount" : "block",
      fsType: formats ? fsType : "",
      mkfsOptions: formats ? parsed.mkfsOptions : [],
      parameters: parsed.identity,
    };
  }

  #checkFilesystem(fsType: string): void {
    try {
      filesystemFor(fsType);
    } catch (error) {
      throw new Problem("CAPABILITY_UNSUPPORTED", `the file system '${fsType}' is none of ext4, xfs and btrfs`, {
        cause: error,
      });
    }
  }

  /** Without a pool named, a copy goes where its source is. */
  async #poolFor(name: string | undefined, source: ContentSource | undefined): Promise<Pool> {
    if (name === undefined && source) {
      const id = "snapshotId" in source ? source.snapshotId : source.volumeId;
      const place = await this.#context.pools.locate(id);
      if (place) return place.pool;
    }
    return this.#context.pools.named(name);
  }

  async #source(source: ContentSource, pool: Pool): Promise<Source> {
    const { pools } = this.#context;
    if ("snapshotId" in source) {
      const found = await pools.snapshot(source.snapshotId);
      if (!found) throw new Problem("SNAPSHOT_NOT_FOUND", "there is no such snapshot to restore");
      refuseOtherPool(found.pool, pool);
      const { key, nonce, size } = found.snapshot;
      return { origin: { kind: "snapshot", id: source.snapshotId, key, nonce }, size, snapshot: found.snapshot };
    }
    const found = await pools.volume(source.volumeId);
    if (!found) throw new Problem("VOLUME_NOT_FOUND", "there is no such volume to clone");
    refuseOtherPool(found.pool, pool);
    if (!pool.features.clones) throw new Problem("SOURCE_UNSUPPORTED", `the pool '${pool.name}' makes no clones`);
    const { key, nonce, size } = found.volume;
    return { origin: { kind: "volume", id: source.volumeId, key, nonce }, size, volume: found.volume };
  }

  #size(range: CapacityRange, wish: Wish, source: Source | undefined): number {
    const formats = wish.fsType === "" ? 0 : filesystemFor(wish.fsType).minimumBytes;
    const minimum = Math.max(wish.pool.features.minimumSize, formats);
    if (!source) return chooseSize(range, minimum, defaultSize);
    if (range.required && range.required < source.size) {
      throw new Problem("SIZE_OUT_OF_RANGE", `${range.required} bytes are less than the ${source.size} of the source`);
    }
    return chooseSize(range, Math.max(minimum, source.size), source.size);
  }

  /** Undefined: the volume answers the request. */
  #difference(pool: Pool, volume: Volume, request: CreateVolumeRequest, wish: Wish): string | undefined {
    if (!fits(volume.size, request.capacity)) return `it has ${volume.size} bytes`;
    if (volume.access !== wish.access) return `it is a ${volume.access} volume`;
    if (volume.fsType !== wish.fsType) return `it is made for the file system '${volume.fsType}'`;
    if (!sameMap(volume.parameters, wish.parameters)) return "it has other parameters";
    const id = request.source && ("snapshotId" in request.source ? request.source.snapshotId : request.source.volumeId);
    if (volume.origin?.id !== id) return volume.origin ? `it is a copy of ${volume.origin.id}` : "it is no copy";
    const unable = request.capabilities.map((each) => unsupported(pool, each)).find((reason) => reason !== undefined);
    return unable;
  }

  async #refuseInUse(pool: Pool, volume: Volume): Promise<void> {
    const holders = (await pool.attachments?.holders(volume)) ?? [];
    if (holders.length > 0) {
      const nodes = holders.map((holder) => holder.node).join(", ");
      throw new Problem("VOLUME_IN_USE", `the volume '${volume.name}' is attached to ${nodes}`);
    }
    const nodes = await this.#context.records(pool).nodesWith(volume);
    if (nodes.length > 0)
      throw new Problem("VOLUME_IN_USE", `the volume '${volume.name}' is staged on ${nodes.join(", ")}`);
    // A directory is never "open": where it is mounted says whether somebody has it.
    const place = pool.features.gives === "directory" ? await pool.opened(volume) : undefined;
    const mounts = place ? await mountedBeside(place, "") : [];
    if (mounts.length > 0)
      throw new Problem("VOLUME_IN_USE", `the volume '${volume.name}' is mounted at ${mounts.join(", ")}`);
    const holder = await pool.inUse(volume);
    if (holder !== undefined) throw new Problem("VOLUME_IN_USE", `the volume '${volume.name}' is open: ${holder}`);
  }

  #refuseUnsupported(pool: Pool, capabilities: readonly Capability[], volume: Volume): void {
    for (const each of capabilities) {
      const reason = unsupported(pool, each) ?? mismatch(volume, each);
      if (reason !== undefined) throw new Problem("CAPABILITY_UNSUPPORTED", reason);
    }
  }

  #checkTopology(topology: CreateVolumeRequest["topology"]): void {
    const here = this.#context.pools.segments();
    if (!here || !topology) return;
    const { requisite, preferred } = topology;
    const wanted = requisite.length > 0 ? requisite : preferred;
    if (wanted.length === 0 || wanted.some((each) => within(here, each))) return;
    if (requisite.length === 0) return;
    throw new Problem(
      "TOPOLOGY_UNSATISFIED",
      `this node (${this.#context.pools.node}) is in none of the requisite topologies`,
    );
  }
}

interface Source {
  readonly origin: Origin;
  readonly size: number;
  readonly snapshot?: Snapshot;
  readonly volume?: Volume;
}

/** Undefined: the volume is of that kind. */
export function mismatch(volume: Volume, capability: Capability): string | undefined {
  if (volume.access !== capability.access)
    return `the volume is a ${volume.access} one, not a ${capability.access} one`;
  if (
    capability.access === "mount" &&
    capability.fsType !== "" &&
    volume.fsType !== "" &&
    capability.fsType !== volume.fsType
  ) {
    return `the volume is made for ${volume.fsType}, not for ${capability.fsType}`;
  }
  return undefined;
}

function refuseOtherPool(source: Pool, wanted: Pool): void {
  if (source !== wanted) {
    throw new Problem(
      "SOURCE_UNSUPPORTED",
      `the source is in the pool '${source.name}' and the volume is to be in '${wanted.name}'`,
    );
  }
}

export function sourceOf(origin: Origin): ContentSource {
  return origin.kind === "snapshot" ? { snapshotId: origin.id } : { volumeId: origin.id };
}

/** Every key of ours that the asked topology names has our value, and it names no other. */
function within(here: Segments, asked: Segments): boolean {
  return Object.entries(asked).every(([key, value]) => here[key] === value);
}

function sameMap(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
