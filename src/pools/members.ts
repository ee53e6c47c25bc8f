/**
 * The nodes that serve a shared pool: `members/<node>.json`, which only that node writes. A controller, perhaps elsewhere, reads
 * there that the node serves the pool and how many volumes it takes; nothing else hangs on it. So the process that runs as
 * the node knows what is right there, and needs no record to know it of itself.
 */
import { join } from "node:path";
import { writeDurably } from "../host/files.ts";
import { encodeNode } from "./node-records.ts";
import { Problem } from "./problem.ts";
import { damaged, encodeRecord, hasCode, RecordReader, readIfThere } from "./record.ts";

interface Member {
  readonly node: string;
  readonly maxVolumes: number;
}

export class MemberRecords {
  readonly #folder: string;
  #own: Member | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * This process serves the pool as that node from now on. Written only where it is news, and durable then; what a newer version
   * wrote stays, and so does a folder in its place, which is somebody's.
   */
  async join(own: Member): Promise<void> {
    this.#own = own;
    const there = await this.#look(own.node);
    if (there === own.maxVolumes || isNewer(there)) return;
    await this.#write(own).catch((error: unknown) => {
      if (!hasCode(error, "EISDIR")) throw error;
    });
  }

  /** What is wrong with the record of this process's node: it is missing, or can't be read. Undefined: nothing, or it is a newer version's. */
  async wrong(): Promise<string | undefined> {
    if (!this.#own) return undefined;
    const there = await this.#look(this.#own.node);
    if (typeof there === "number" || isNewer(there)) return undefined;
    return there?.what ?? `the record ${this.#path(this.#own.node)} is missing`;
  }

  /** Writes it anew. Durable when it returns. EISDIR: a folder has its place. */
  async mend(): Promise<void> {
    if (this.#own) await this.#write(this.#own);
  }

  /** See `Attachments`. Of a node elsewhere throws RECORD_DAMAGED and POOL_NEWER. */
  async limitOf(node: string): Promise<number | undefined> {
    const there = await this.#look(node);
    if (typeof there === "number") return there;
    // It is this very process that serves the pool there.
    if (node === this.#own?.node) return this.#own.maxVolumes;
    if (there === undefined) return undefined;
    throw new Problem(there.code, there.what, {
      cause: there,
      advice: isNewer(there)
        ? `run that version or a newer one; if an older one runs on '${node}' again, remove the file, and it writes its own`
        : `call again in some seconds: the driver writes it anew while it runs on '${node}'`,
    });
  }

  /** The limit; undefined: there is no record; or why it can't be read. */
  async #look(node: string): Promise<number | Problem | undefined> {
    try {
      const path = this.#path(node);
      const text = await readIfThere(path);
      if (text === undefined) return undefined;
      const record = RecordReader.parse(text, path);
      if (record.text("node") !== node) throw damaged(path, "it is another node's");
      return record.count("maxVolumes");
    } catch (error) {
      if (error instanceof Problem) return error;
      throw error;
    }
  }

  async #write(own: Member): Promise<void> {
    await writeDurably(this.#path(own.node), encodeRecord(own));
  }

  /** Node names are checked at start; the encoding keeps any other out of the path. */
  #path(node: string): string {
    return join(this.#folder, `${encodeNode(node)}.json`);
  }
}

function isNewer(there: number | Problem | undefined): boolean {
  return there instanceof Problem && there.code === "POOL_NEWER";
}
