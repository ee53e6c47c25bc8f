/** What a create asks for, understood: its pool, its parameters, its size, and whether a volume answers it. */
import type { Pool, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type { CapacityRange, ContentSource, CreateVolumeRequest } from "./api.ts";
import { unsupported } from "./capabilities.ts";
import { filesystemFor } from "./content.ts";
import { sameMap, within } from "./matching.ts";
import { parseParameters } from "./parameters.ts";
import type { PoolSet } from "./pool-set.ts";
import { chooseSize, defaultSize, fits } from "./sizes.ts";
import { idOfSource, type Source } from "./sources.ts";

/** What a create asks for once its parameters and its source are understood. */
export interface Wish {
  readonly pool: Pool;
  readonly access: "block" | "mount";
  readonly fsType: string;
  readonly mkfsOptions: readonly string[];
  readonly parameters: Readonly<Record<string, string>>;
}

/** Throws what makes the request impossible, whatever there is already. */
export async function understand(pools: PoolSet, request: CreateVolumeRequest): Promise<Wish> {
  const [first] = request.capabilities;
  if (!first) throw new Problem("FIELD_INVALID", "volume_capabilities is empty");
  const mount = request.capabilities.find((each) => each.access === "mount");
  if (mount && request.capabilities.some((each) => each.access === "block")) {
    throw new Problem("CAPABILITY_UNSUPPORTED", "a volume is raw or mounted, not both");
  }
  const parsed = parseParameters(request.parameters, mount?.fsType ?? "");
  const pool = await poolFor(pools, parsed.pool, request.source);
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
  if (formats) checkFilesystem(fsType);
  return {
    pool,
    access: mount ? "mount" : "block",
    fsType: formats ? fsType : "",
    mkfsOptions: formats ? parsed.mkfsOptions : [],
    parameters: parsed.identity,
  };
}

function checkFilesystem(fsType: string): void {
  try {
    filesystemFor(fsType);
  } catch (error) {
    throw new Problem("CAPABILITY_UNSUPPORTED", `the file system '${fsType}' is none of ext4, xfs and btrfs`, {
      cause: error,
    });
  }
}

/** Without a pool named, a copy goes where its source is. */
async function poolFor(pools: PoolSet, name: string | undefined, source: ContentSource | undefined): Promise<Pool> {
  if (name === undefined && source) {
    const place = await pools.locate(idOfSource(source));
    if (place) return place.pool;
  }
  return pools.named(name);
}

/** Bytes. Throws SIZE_OUT_OF_RANGE. */
export function sizeFor(range: CapacityRange, wish: Wish, source: Source | undefined): number {
  const formats = wish.fsType === "" ? 0 : filesystemFor(wish.fsType).minimumBytes;
  const minimum = Math.max(wish.pool.features.minimumSize, formats);
  if (!source) return chooseSize(range, minimum, defaultSize);
  if (range.required && range.required < source.size) {
    throw new Problem("SIZE_OUT_OF_RANGE", `${range.required} bytes are less than the ${source.size} of the source`);
  }
  return chooseSize(range, Math.max(minimum, source.size), source.size);
}

/** Undefined: the volume answers the request. */
export function difference(pool: Pool, volume: Volume, request: CreateVolumeRequest, wish: Wish): string | undefined {
  if (!fits(volume.size, request.capacity)) return `it has ${volume.size} bytes`;
  if (volume.access !== wish.access) return `it is a ${volume.access} volume`;
  if (volume.fsType !== wish.fsType) return `it is made for the file system '${volume.fsType}'`;
  if (!sameMap(volume.parameters, wish.parameters)) return "it has other parameters";
  const id = request.source && idOfSource(request.source);
  if (volume.origin?.id !== id) return volume.origin ? `it is a copy of ${volume.origin.id}` : "it is no copy";
  const unable = request.capabilities.map((each) => unsupported(pool, each)).find((reason) => reason !== undefined);
  return unable;
}

/** Throws TOPOLOGY_UNSATISFIED. */
export function checkTopology(pools: PoolSet, topology: CreateVolumeRequest["topology"]): void {
  const here = pools.segments();
  if (!here || !topology) return;
  const { requisite, preferred } = topology;
  const wanted = requisite.length > 0 ? requisite : preferred;
  if (wanted.length === 0 || wanted.some((each) => within(here, each))) return;
  if (requisite.length === 0) return;
  throw new Problem("TOPOLOGY_UNSATISFIED", `this node (${pools.node}) is in none of the requisite topologies`);
}
