/**
 * The marker makes a folder a pool: its UUID and the nodes whose names its IDs may carry. Only `holdfast pool init`
 * writes it, so that an unmounted disk's empty mount point never becomes a new pool.
 */
import { join } from "node:path";
import { createExclusively, writeDurably } from "../host/files.ts";
import { chmod, readdir, stat } from "../host/fs.ts";
import { newPoolUuid } from "./ids.ts";
import { Problem } from "./problem.ts";
import { encodeRecord, hasCode, RecordReader, readIfThere } from "./record.ts";
import { layOut, poolFolders } from "./shelf.ts";

export interface Marker {
  /** 32 hexadecimal digits. */
  readonly uuid: string;
  /** Empty for a shared pool. */
  readonly nodes: readonly string[];
  readonly shared: boolean;
  readonly backend: string;
  /** Milliseconds since the epoch. */
  readonly created: number;
}

const fileName = "holdfast.json";

/** Throws POOL_UNAVAILABLE for a folder or marker that is not there, POOL_NEWER, RECORD_DAMAGED. */
export async function readMarker(folder: string): Promise<Marker> {
  const path = join(folder, fileName);
  const text = await readIfThere(path);
  if (text === undefined) {
    const there = await stat(folder).then(
      (stats) => stats.isDirectory(),
      () => false,
    );
    throw new Problem(
      "POOL_UNAVAILABLE",
      there ? `${folder} has no pool marker (${fileName})` : `${folder} is not there`,
    );
  }
  const record = RecordReader.parse(text, path);
  return {
    uuid: record.text("uuid", /^[0-9a-f]{32}$/),
    nodes: record.texts("nodes"),
    shared: record.flag("shared"),
    backend: record.text("backend"),
    created: record.count("created"),
  };
}

/**
 * Makes an existing, empty folder a pool, durably. Called again it gives the marker that is there, if that is for the same
 * backend, sharing and node; else FIELD_INVALID, as for a folder that holds anything of somebody else's, or is not there.
 * The folder becomes readable by root only.
 */
export async function initPool(asked: {
  readonly folder: string;
  readonly backend: string;
  readonly shared: boolean;
  /** The node of a local pool; not used for a shared one. */
  readonly node: string;
}): Promise<Marker> {
  const { folder, backend, shared } = asked;
  const marker: Marker = {
    uuid: newPoolUuid(),
    nodes: shared ? [] : [asked.node],
    shared,
    backend,
    created: Date.now(),
  };
  await refuseForeign(folder);
  try {
    await layOut(folder);
    await chmod(folder, 0o700);
    await createExclusively(join(folder, fileName), encodeRecord(marker));
    return marker;
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
  const there = await readMarker(folder);
  if (there.backend !== backend || there.shared !== shared || (!shared && !there.nodes.includes(asked.node))) {
    throw new Problem(
      "FIELD_INVALID",
      `${folder} is a pool already: backend ${there.backend}, shared ${there.shared}, nodes ${there.nodes.join(", ") || "any"}`,
      { advice: "serve it as what it is, or choose another folder" },
    );
  }
  return there;
}

/**
 * Lets a local pool be served by one more node name, durably: for a node that was renamed or installed anew with its disks. IDs that carry the
 * old names stay good. Called again it changes nothing. A driver that serves the pool sees it at its next start.
 * FIELD_INVALID for a shared pool, which every node serves.
 */
export async function adoptNode(folder: string, node: string): Promise<Marker> {
  const there = await readMarker(folder);
  if (there.shared) {
    throw new Problem("FIELD_INVALID", `${folder} is a shared pool: it belongs to no node`, {
      advice: "serve it on the new node as it is",
    });
  }
  if (there.nodes.includes(node)) return there;
  const marker: Marker = { ...there, nodes: [...there.nodes, node] };
  await writeDurably(join(folder, fileName), encodeRecord(marker));
  return marker;
}

/** What may lie in a folder that is to become a pool: what an init that a crash cut short left, and what file systems make. */
const harmless = new Set([
  ...poolFolders,
  "members",
  "attachments",
  "requests",
  "lost+found",
  ".snapshot",
  ".snapshots",
]);

/** A folder with other things in it, as /etc, would lose its mode; one that lost its marker would get another identity. */
async function refuseForeign(folder: string): Promise<void> {
  // Read before the marker is looked for: another init may be under way.
  const volumes = await readdir(join(folder, "volumes")).catch(() => []);
  const names = await readdir(folder).catch((error: unknown) => {
    if (!hasCode(error, "ENOENT", "ENOTDIR")) throw error;
    const advice = "make the folder, or mount its disk";
    throw new Problem("FIELD_INVALID", `${folder} is not there, or is no folder`, { cause: error, advice });
  });
  if (names.includes(fileName)) return;
  if (volumes.length > 0)
    throw new Problem("FIELD_INVALID", `${folder} has volumes, and its marker ${fileName} is missing`, {
      advice: "restore the marker from a backup of the pool; a new one would hide the volumes",
    });
  const foreign = names.filter((name) => !harmless.has(name) && !/^\..*\.tmp$/.test(name));
  if (foreign.length === 0) return;
  const some = foreign.slice(0, 3).join(", ");
  throw new Problem("FIELD_INVALID", `${folder} is not empty: it holds ${some}${foreign.length > 3 ? ", ..." : ""}`, {
    advice: "give the pool a folder of its own",
  });
}
