/**
 * Who may open a volume of a shared pool: `attachments/<key>.json`, written by controllers under the volume's lock and
 * checked by nodes before they open. Each node that serves the pool keeps a record of its own in `members/`.
 */
import { join } from "node:path";
import { settleDirectories, syncDirectory, writeDurably } from "../host/files.ts";
import { readdir, unlink } from "../host/fs.ts";
import type { Holder, Volume } from "./pool.ts";
import { encodeRecord, hasCode, RecordReader, readIfThere } from "./record.ts";
import { makeFolder } from "./shelf.ts";

const modes = /^[A-Z_]+$/;

export class AttachmentRecords {
  readonly #folder: string;
  readonly #members: string;

  constructor(pool: string) {
    this.#folder = join(pool, "attachments");
    this.#members = join(pool, "members");
  }

  async layOut(): Promise<void> {
    for (const folder of [this.#folder, this.#members]) await makeFolder(folder);
  }

  /** Says that this node serves the pool, and how many volumes it takes. Written only when it is news. */
  async join(node: string, maxVolumes: number): Promise<void> {
    const text = encodeRecord({ node, maxVolumes });
    if ((await readIfThere(this.#member(node))) !== text) await writeDurably(this.#member(node), text);
  }

  async limitOf(node: string): Promise<number | undefined> {
    const path = this.#member(node);
    const text = await readIfThere(path);
    return text === undefined ? undefined : RecordReader.parse(text, path).count("maxVolumes");
  }

  /** Records of an earlier creation of the same name count as none. */
  async holders(volume: { readonly key: string; readonly nonce: string }): Promise<Holder[]> {
    await settleDirectories(this.#folder);
    const path = this.#path(volume.key);
    const text = await readIfThere(path);
    if (text === undefined) return [];
    const record = RecordReader.parse(text, path);
    if (record.text("nonce") !== volume.nonce) return [];
    return record.children("holders").map((each) => ({
      node: each.text("node"),
      mode: each.text("mode", modes),
      access: each.oneOf("access", ["block", "mount"]),
      readonly: each.flag("readonly"),
      since: each.count("since"),
    }));
  }

  async setHolders(volume: Volume, holders: readonly Holder[]): Promise<void> {
    const path = this.#path(volume.key);
    if (holders.length > 0) {
      await writeDurably(path, encodeRecord({ nonce: volume.nonce, holders }));
      return;
    }
    try {
      await unlink(path);
    } catch (error) {
      if (hasCode(error, "ENOENT")) return;
      throw error;
    }
    await syncDirectory(this.#folder);
  }

  async count(node: string): Promise<number> {
    let count = 0;
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name);
      const text = await readIfThere(path);
      if (text === undefined || !name.endsWith(".json")) continue;
      if (
        RecordReader.parse(text, path)
          .children("holders")
          .some((each) => each.text("node") === node)
      )
        count += 1;
    }
    return count;
  }

  #path(key: string): string {
    return join(this.#folder, `${key}.json`);
  }

  /** Node names are checked at start; the encoding keeps any other out of the path. */
  #member(node: string): string {
    return join(this.#members, `${Buffer.from(node).toString("hex")}.json`);
  }
}
