/** Volumes, snapshots and latches as records. */
import type { Latch, Origin, Snapshot, Volume } from "./pool.ts";
import { damaged, encodeRecord, RecordReader } from "./record.ts";

const key = /^[0-9a-f]{32}$/;
const nonce = /^[0-9a-f]{16}$/;

export function encodeVolume(volume: Volume): string {
  return encodeRecord(volume);
}

export function decodeVolume(text: string, path: string): Volume {
  const record = RecordReader.parse(text, path);
  const origin = decodeOrigin(record.child("origin"));
  const ephemeral = record.child("ephemeral");
  return {
    key: record.text("key", key),
    nonce: record.text("nonce", nonce),
    ...nodeOf(record),
    name: record.text("name"),
    size: record.count("size"),
    access: record.oneOf("access", ["block", "mount"]),
    fsType: record.text("fsType"),
    mkfsOptions: record.texts("mkfsOptions"),
    parameters: record.textMap("parameters"),
    created: record.count("created"),
    ...(origin ? { origin } : {}),
    ...(ephemeral ? { ephemeral: { targetPath: ephemeral.text("targetPath"), pod: ephemeral.text("pod") } } : {}),
  };
}

export function encodeSnapshot(snapshot: Snapshot): string {
  return encodeRecord(snapshot);
}

export function decodeSnapshot(text: string, path: string): Snapshot {
  const record = RecordReader.parse(text, path);
  const origin = decodeOrigin(record.child("origin"));
  const latch = record.child("latch");
  if (!origin || !latch) throw damaged(path, "it has no origin or no latch");
  return {
    key: record.text("key", key),
    nonce: record.text("nonce", nonce),
    ...nodeOf(record),
    name: record.text("name"),
    parameters: record.textMap("parameters"),
    origin,
    size: record.count("size"),
    created: record.count("created"),
    access: record.oneOf("access", ["block", "mount"]),
    fsType: record.text("fsType"),
    latch: latchOf(latch),
  };
}

/** Absent in shared pools, and in records of the first version. */
function nodeOf(record: RecordReader): { readonly node?: string } {
  return record.has("node") ? { node: record.text("node") } : {};
}

function decodeOrigin(record: RecordReader | undefined): Origin | undefined {
  if (!record) return undefined;
  return {
    kind: record.oneOf("kind", ["snapshot", "volume"]),
    id: record.text("id"),
    key: record.text("key", key),
    nonce: record.text("nonce", nonce),
  };
}

export function encodeLatch(latch: Latch): string {
  return encodeRecord(latch);
}

export function decodeLatch(text: string, path: string): Latch {
  return latchOf(RecordReader.parse(text, path));
}

function latchOf(record: RecordReader): Latch {
  const state = record.oneOf("state", ["blank", "formatting", "formatted", "resizing", "used"]);
  switch (state) {
    case "blank":
    case "used":
      return { state };
    case "formatting":
      return { state, fsType: record.text("fsType") };
    case "formatted":
    case "resizing":
      return { state, fsType: record.text("fsType"), size: record.count("size") };
  }
}
