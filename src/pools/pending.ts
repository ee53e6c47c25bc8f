/** A request to a node, seen by who asked: waited for, answered or taken back. See requests.ts. */
import { dirname, join } from "node:path";
import { syncDirectory } from "../host/files.ts";
import { readdir, unlink } from "../host/fs.ts";
import { lockData } from "../host/locks.ts";
import { hasCode, RecordReader, readIfThere } from "./record.ts";

export type Answer =
  | { readonly done: true }
  | { readonly done: false; readonly problem: string; readonly what: string; readonly advice: string };

/** A request of this process that has no answer yet. */
export class Pending {
  readonly #folder: string;
  readonly #id: string;

  constructor(folder: string, id: string) {
    this.#folder = folder;
    this.#id = id;
  }

  /** The answer, once; `waiting`: there is none; `gone`: nobody acts on it, nor will. */
  async look(): Promise<Answer | "waiting" | "gone"> {
    for (let looks = 0; looks < 2; looks += 1) {
      const names = await namesIn(this.#folder);
      if (names.includes(`${this.#id}.answer`)) return this.#fetch();
      if (names.includes(`${this.#id}.json`)) return "waiting";
      // A list is not of one moment: the answer may have come while it was read.
    }
    return "gone";
  }

  /** Takes it back. False: the node acts on it at this moment, or has answered. Durable when it returns. */
  async withdraw(): Promise<boolean> {
    const path = this.#path("json");
    const lock = await locked(path);
    if (!lock) return false;
    try {
      const answered = (await readIfThere(this.#path("answer"))) !== undefined;
      await drop(path);
      return !answered;
    } finally {
      lock.release();
    }
  }

  async #fetch(): Promise<Answer | "gone"> {
    const path = this.#path("answer");
    const text = await readIfThere(path);
    if (text === undefined) return "gone";
    await drop(path);
    const record = RecordReader.parse(text, path);
    if (record.flag("done")) return { done: true };
    return { done: false, problem: record.text("problem"), what: record.text("what"), advice: record.text("advice") };
  }

  #path(ending: string): string {
    return join(this.#folder, `${this.#id}.${ending}`);
  }
}

/** The lock of a request's file; undefined: somebody has it, or the file is gone. */
export async function locked(path: string): Promise<{ release(): void } | undefined> {
  try {
    return await lockData(path);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ESTALE")) return undefined;
    throw error;
  }
}

/** Gone, durably. May be called twice. */
export async function drop(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return;
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** None where the folder is not there. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}
