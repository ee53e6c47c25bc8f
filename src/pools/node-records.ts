/**
 * What one node has open of a pool: `nodes/<node>/<key>.json`, written before a volume is opened and removed when the
 * kernel has proved that it is closed. Mounts do not outlive a boot, so records of an earlier boot count as none; on a
 * shared pool a controller elsewhere reads them to learn whether a node has let go.
 */
import { readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { Replacement, settleDirectories, syncDirectory } from "../host/files.ts";
import { readdir, unlink } from "../host/fs.ts";
import { createNote, isJson, newestNote, rewriteNote, slotted } from "./note-file.ts";
import { encodeRecord, hasCode, isRecent, noteRecent, RecordReader, readIfThere, readLocal } from "./record.ts";
import { makeFolder } from "./shelf.ts";

export interface Target {
  readonly path: string;
  readonly readonly: boolean;
  readonly mode: string;
}

export interface StageRecord {
  readonly key: string;
  readonly nonce: string;
  readonly stagingPath: string;
  readonly access: "block" | "mount";
  readonly mode: string;
  readonly fsType: string;
  readonly mountFlags: readonly string[];
  /** `opening`: it may or may not be open. `staged`: it was, when this was written. */
  readonly state: "opening" | "staged";
  /** The file system's device number, "major:minor", once it is mounted; empty: none. */
  readonly fileSystem: string;
  readonly targets: readonly Target[];
  /** How often its file was written in place: given on to the next write. Absent: that makes or replaces the file. */
  readonly turn?: number;
}

/** A record on its way, with the steps of a `Replacement`. */
export interface Note {
  /** Once, as soon as it is known what it says. */
  fill(record: StageRecord): void;
  /** After `fill`: as `write` returns. */
  place(): Promise<StageRecord>;
  /** Instead of `place`. */
  drop(): Promise<void>;
}

/** A mount that was frozen, or was about to be. */
export interface FreezeRecord {
  readonly mountPath: string;
}

const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

export class NodeRecords {
  readonly #pool: string;
  readonly #own: string;
  readonly #durable: boolean;

  constructor(pool: { readonly folder: string; readonly shared: boolean }, node: string) {
    this.#pool = pool.folder;
    this.#own = join(pool.folder, "nodes", encodeNode(node));
    this.#durable = pool.shared;
  }

  async read(key: string): Promise<StageRecord | undefined> {
    const path = join(this.#own, `${key}.json`);
    if (this.#durable) await settleDirectories(this.#own);
    const text = await (this.#durable ? readIfThere(path) : readLocal(path));
    return text === undefined ? undefined : this.#decode(text, path);
  }

  /**
   * Survives the death of this process; on a shared pool also a power cut, for other nodes wait for its removal. Answers the
   * record for the next write to start from.
   */
  write(record: StageRecord): Promise<StageRecord> {
    const note = this.begin(record.key);
    note.fill(record);
    return note.place();
  }

  /** The same in steps, so that what must be done before its moment is done beside other work. */
  begin(key: string): Note {
    const writing = this.#durable ? this.#begin(`${key}.json`) : undefined;
    let filled: StageRecord | undefined;
    return {
      fill: (record) => {
        filled = record;
        writing?.fill(encodeRecord({ boot, ...record }));
      },
      place: async () => {
        if (!filled) throw new Error(`the note of ${key} is to say nothing`);
        if (!writing) return this.#note(filled);
        await writing.place();
        return filled;
      },
      drop: async () => writing?.drop(),
    };
  }

  /** As `write`, where nobody else waits for it. */
  async #note({ turn, ...record }: StageRecord): Promise<StageRecord> {
    const name = `${record.key}.json`;
    const path = join(this.#own, name);
    const note = slotted({ boot, ...record }, turn);
    if (!note) {
      await this.#put(name, encodeRecord({ boot, ...record }));
      return record;
    }
    if (turn === undefined) {
      try {
        await createNote(path, note);
      } catch (error) {
        if (!hasCode(error, "EEXIST", "ENOENT")) throw error;
        await this.#put(name, note.bytes);
      }
    } else if (!(await rewriteNote(path, note))) {
      return this.#note(record);
    }
    noteRecent(path);
    return { ...record, turn: note.turn };
  }

  async remove(key: string): Promise<void> {
    await this.#drop(`${key}.json`);
  }

  /** Takes another node's record away: only where an operator said that the node is gone for ever. */
  async forget(key: string, node: string): Promise<void> {
    const folder = join(this.#pool, "nodes", encodeNode(node));
    try {
      await unlink(join(folder, `${key}.json`));
    } catch (error) {
      if (hasCode(error, "ENOENT")) return;
      throw error;
    }
    await syncDirectory(folder);
  }

  /** Nodes that may have the volume open: those of this boot for this node, any for another. */
  async nodesWith(volume: { readonly key: string; readonly nonce: string }): Promise<string[]> {
    const found: string[] = [];
    for (const folder of await readdir(join(this.#pool, "nodes"))) {
      const path = join(this.#pool, "nodes", folder, `${volume.key}.json`);
      const text = await (this.#durable ? readIfThere(path) : readLocal(path));
      if (text === undefined) continue;
      const own = join(this.#pool, "nodes", folder) === this.#own;
      const nonce = own ? this.#decode(text, path)?.nonce : RecordReader.parse(newestNote(text), path).text("nonce");
      if (nonce === volume.nonce) found.push(decodeNode(folder));
    }
    return found;
  }

  /** Those of `nodesWith` that are not this one. */
  async othersWith(volume: { readonly key: string; readonly nonce: string }): Promise<string[]> {
    const own = decodeNode(basename(this.#own));
    return (await this.nodesWith(volume)).filter((node) => node !== own);
  }

  /** Keys that this node has records for, of whatever boot. */
  async keys(): Promise<string[]> {
    const names = await readdir(this.#own).catch((error: unknown) => {
      if (hasCode(error, "ENOENT")) return [];
      throw error;
    });
    return names.flatMap((name) => (/^[0-9a-f]{32}\.json$/.test(name) ? [name.slice(0, 32)] : []));
  }

  async recordFreeze(key: string, freeze: FreezeRecord): Promise<void> {
    await this.#put(`freeze-${key}`, encodeRecord({ boot, ...freeze }));
  }

  async endFreeze(key: string): Promise<void> {
    await this.#drop(`freeze-${key}`);
  }

  /**
   * The keys of volumes that this boot may have left frozen, each with the path of its record. One that can't be read may be
   * of this boot: its name says which volume.
   */
  async freezes(): Promise<{ readonly key: string; readonly path: string }[]> {
    const names = await readdir(this.#own).catch(() => []);
    const found: { key: string; path: string }[] = [];
    for (const name of names) {
      const key = /^freeze-([0-9a-f]{32})$/.exec(name)?.[1];
      if (key === undefined) continue;
      const path = join(this.#own, name);
      if (await isOfEarlierBoot(path)) await this.endFreeze(key);
      else found.push({ key, path });
    }
    return found;
  }

  #decode(text: string, path: string): StageRecord | undefined {
    if (this.#durable) return decodeStage(text, path);
    const newest = newestNote(text);
    // Whole while its boot lasts; else a power cut ended that.
    return isJson(newest) ? decodeStage(newest, path) : undefined;
  }

  async #put(name: string, text: string | Uint8Array): Promise<void> {
    const writing = this.#begin(name);
    writing.fill(text);
    await writing.place();
  }

  #begin(name: string): Pick<Replacement, "fill" | "place" | "drop"> {
    const path = join(this.#own, name);
    const first = new Replacement(path, this.#durable);
    let text: string | Uint8Array = "";
    return {
      fill: (content) => {
        text = content;
        first.fill(content);
      },
      place: async () => {
        try {
          await first.place();
        } catch (error) {
          if (!hasCode(error, "ENOENT")) throw error;
          await makeFolder(this.#own);
          const again = new Replacement(path, this.#durable);
          again.fill(text);
          await again.place();
        }
        noteRecent(path);
      },
      drop: () => first.drop(),
    };
  }

  async #drop(name: string): Promise<void> {
    const path = join(this.#own, name);
    // Mostly the unstage before has removed it, and the kernel remembers that it is not there.
    if (!this.#durable && isRecent(path) && statSync(path, { throwIfNoEntry: false }) === undefined) return;
    try {
      await unlink(path);
    } catch (error) {
      if (hasCode(error, "ENOENT")) return;
      throw error;
    }
    noteRecent(path);
    if (this.#durable) await syncDirectory(this.#own);
  }
}

async function isOfEarlierBoot(path: string): Promise<boolean> {
  try {
    const text = await readIfThere(path);
    return text !== undefined && RecordReader.parse(text, path).text("boot") !== boot;
  } catch {
    return false;
  }
}

/** Undefined: of an earlier boot, or empty after the power cut that ended one. */
function decodeStage(text: string, path: string): StageRecord | undefined {
  if (text.trim() === "") return undefined;
  const record = RecordReader.parse(text, path);
  if (record.text("boot") !== boot) return undefined;
  return {
    key: record.text("key"),
    nonce: record.text("nonce"),
    stagingPath: record.text("stagingPath"),
    access: record.oneOf("access", ["block", "mount"]),
    mode: record.text("mode"),
    fsType: record.text("fsType"),
    mountFlags: record.texts("mountFlags"),
    state: record.oneOf("state", ["opening", "staged"]),
    fileSystem: record.text("fileSystem"),
    targets: record.children("targets").map((each) => ({
      path: each.text("path"),
      readonly: each.flag("readonly"),
      mode: each.text("mode"),
    })),
    ...(record.has("turn") ? { turn: record.count("turn") } : {}),
  };
}

/** The name of a node's folder. */
export function encodeNode(node: string): string {
  return Buffer.from(node).toString("hex");
}

function decodeNode(folder: string): string {
  return Buffer.from(folder, "hex").toString();
}
