/**
 * The file of a note that is written often and means nothing after the boot: two slots that are written in turns, so that
 * a write needs one call and no room, and whatever becomes of it the note before stands in the other slot. Each slot is a
 * line of JSON, filled up with spaces; the whole one with the highest turn counts.
 */
import { createVolatile, rewrite } from "../host/files.ts";
import { encodeRecord, hasCode, isRecent } from "./record.ts";

/** Bytes of a slot: a page, which a write fills at once or not at all when its process is killed. */
const slotBytes = 4096;

/** With the same turn at both ends: the beginning of a note over the rest of an older one is none. */
const wholeNote = /^\{"version":\d+,"turn":(\d+),.*,"end":\1\}$/;
const inSlots = /^\{"version":\d+,"turn":/;

/** A note and how often its file was written in place. */
export interface Slotted {
  readonly bytes: Uint8Array;
  readonly turn: number;
}

/** The note as the one after `turn`; absent: the first. Undefined: it is too long for a slot. */
export function slotted(fields: object, turn: number | undefined): Slotted | undefined {
  const next = (turn ?? 0) + 1;
  const text = Buffer.from(encodeRecord({ turn: next, ...fields, end: next }));
  if (text.length > slotBytes) return undefined;
  // The first takes the room of both.
  const bytes = Buffer.alloc(turn === undefined ? 2 * slotBytes : slotBytes, " ");
  text.copy(bytes);
  bytes.write("\n", slotBytes - 1);
  return { bytes, turn: next };
}

/** Makes the file with its first note. EEXIST when there is one. A kill may leave it empty. */
export function createNote(path: string, { bytes }: Slotted): Promise<void> {
  return createVolatile(path, bytes);
}

/** Writes the note after another into its slot. False: the file is not there, or can't be written to as it is. */
export async function rewriteNote(path: string, { bytes, turn }: Slotted): Promise<boolean> {
  try {
    await rewrite(path, bytes, ((turn - 1) % 2) * slotBytes, isRecent(path));
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT", "ELOOP", "ENXIO")) return false;
    throw error;
  }
}

/** The line that counts; the whole text where it was not written in slots; empty: none is whole. */
export function newestNote(text: string): string {
  if (!inSlots.test(text)) return text.trim();
  const found: { readonly line: string; readonly turn: number }[] = [];
  for (const part of text.split("\n")) {
    // NULs: a hole before the second slot.
    const line = part.startsWith("\0") ? part.replace(/^\0+/, "").trim() : part.trim();
    const turn = wholeNote.exec(line)?.[1];
    if (turn !== undefined) found.push({ line, turn: Number(turn) });
  }
  found.sort((a, b) => b.turn - a.turn);
  return found.find(({ line }) => isJson(line))?.line ?? "";
}

/** Whether it is whole. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
