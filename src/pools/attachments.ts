/**
 * Who may open a volume of a shared pool: `attachments/<key>.json`, written by controllers under the volume's lock and
 * checked by nodes before they open.
 */
import { join } from "node:path";
import { settleDirectories, syncDirectory, writeDurably } from "../host/files.ts";
import { readdir, unlink } from "../host/fs.ts";
import { MemberRecords } from "./members.ts";
import type { Holder, Volume } from "./pool.ts";
import { encodeRecord, hasCode, RecordReader, readIfThere, unlessUnreadable } from "./record.ts";
import { makeFolder } from "./shelf.ts";

const modes = /^[A-Z_]+$/;

export class AttachmentRecords {
  readonly #folder: string;
  readonly #members: string;
  readonly members: MemberRecords;

  constructor(pool: string) {
    this.#folder = join(pool, "attachments");
    this.#members = join(pool, "members");
    this.members = new MemberRecords(this.#members);
  }

  async layOut(): Promise<void> {
    for (const folder of [this.#folder, this.#members]) await makeFolder(folder);
  }

  limitOf(node: string): Promise<number | undefined> {
    return this.members.limitOf(node);
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

  /** How many the node holds. One that can't be read is not counted: it is for its own volume's calls to name it. */
  async count(node: string): Promise<number> {
    let count = 0;
    for (const name of await readdir(this.#folder)) {
      if (!name.endsWith(".json")) continue;
      const holders = await this.#nodesIn(join(this.#folder, name)).catch(unlessUnreadable);
      if (holders?.includes(node)) count += 1;
    }
    return count;
  }

  async #nodesIn(path: string): Promise<string[] | undefined> {
    const text = await readIfThere(path);
    if (text === undefined) return undefined;
    const holders = RecordReader.parse(text, path).children("holders");
    return holders.map((each) => each.text("node"));
  }

  #path(key: string): string {
    return join(this.#folder, `${key}.json`);
  }
}
