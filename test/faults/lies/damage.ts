/** The table of damages: what may stand where a file of the pool stood. A new one is one entry. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newestNote } from "../../../src/pools/note-file.ts";

export interface Damage {
  readonly name: string;
  /** What it says can be true: that the volume is as large as all of the pool. Then nothing new fits beside it. */
  readonly fills?: boolean;
  /** Puts it at `path`, where nothing is. */
  readonly put: (path: string, about: About) => void;
}

export interface About {
  /** What stood there. */
  readonly right: Buffer;
  /** The same kind of file, of another volume; absent: there is none. */
  readonly foreign: Buffer | undefined;
  /** A folder outside of the pool, with a `record.json` and a `data.img`. */
  readonly sentinel: string;
  /** A copy of what stood there, outside of the pool. */
  readonly copy: string;
  /** 0 to 1, by the seed. */
  readonly random: () => number;
}

const content = (name: string, make: (about: About) => Buffer | string): Damage => ({
  name,
  put: (path, about) => writeFileSync(path, make(about), { mode: 0o600 }),
});

/** Other kinds of things than files. */
export const things: readonly Damage[] = [
  { name: "missing", put: () => {} },
  {
    name: "folder",
    put: (path) => {
      mkdirSync(join(path, "within"), { recursive: true });
    },
  },
  { name: "fifo", put: (path) => void execFileSync("mkfifo", [path]) },
  { name: "endless-device", put: (path) => void execFileSync("mknod", [path, "c", "1", "5"]) },
  { name: "link-to-itself", put: (path) => symlinkSync(path, path) },
  { name: "link-to-nothing", put: (path, { sentinel }) => symlinkSync(join(sentinel, "none"), path) },
  { name: "link-outside", put: (path, { copy }) => symlinkSync(copy, path) },
  { name: "link-to-a-folder", put: (path, { sentinel }) => symlinkSync(sentinel, path) },
];

/** Also of a note that is written in slots. */
const json = (text: string): Record<string, unknown> => JSON.parse(newestNote(text)) as Record<string, unknown>;

/** Of one field: what is no value of its kind. */
function wrong(value: unknown): unknown {
  if (typeof value === "string") return 7;
  if (typeof value === "number") return -1.5;
  if (typeof value === "boolean") return "yes";
  return Array.isArray(value) ? [null] : "none";
}

const changed = (name: string, change: (fields: Record<string, unknown>) => void): Damage =>
  content(name, ({ right }) => {
    const fields = json(right.toString());
    change(fields);
    return `${JSON.stringify(fields)}\n`;
  });

/** Texts that are no record, or another's. */
export const texts: readonly Damage[] = [
  content("empty", () => ""),
  content("half", ({ right }) => right.subarray(0, right.length / 2)),
  content("one-byte-less", ({ right }) => right.subarray(0, right.length - 2)),
  content("zeros", ({ right }) => Buffer.alloc(right.length)),
  content("garbage", () => randomBytes(4096)),
  content("list", () => "[]\n"),
  content("null", () => "null\n"),
  content("deep", () => "[".repeat(200_000)),
  content("twice", ({ right }) => Buffer.concat([right, right])),
  content("foreign", ({ right, foreign }) => foreign ?? right.subarray(0, 10)),
  changed("newer", (fields) => {
    fields["version"] = 999;
  }),
  changed("no-version", (fields) => {
    delete fields["version"];
  }),
  changed("without-fields", (fields) => {
    for (const name of Object.keys(fields)) if (name !== "version") delete fields[name];
  }),
  changed("prototype", (fields) => {
    for (const name of Object.keys(fields)) if (name !== "version") delete fields[name];
    Object.defineProperty(fields, "__proto__", { value: { key: "x" }, enumerable: true });
  }),
  {
    name: "huge",
    put: (path) => {
      closeSync(openSync(path, "wx", 0o600));
      truncateSync(path, 1024 ** 3);
    },
  },
];

/** Of a file whose content nobody needs. */
export const wordless: readonly Damage[] = texts.filter(({ name }) => ["empty", "garbage", "huge"].includes(name));

/** One for each field of this record: of a wrong kind; and each number too large, each text one that climbs. */
export function fieldsOf(right: Buffer): Damage[] {
  return Object.entries(json(right.toString())).flatMap(([field, value]) => {
    const set = (name: string, to: unknown) =>
      changed(`${name}-${field}`, (fields) => {
        fields[field] = to;
      });
    return [
      set("kind-of", wrong(value)),
      ...(typeof value === "number"
        ? [{ ...set("large", Number.MAX_SAFE_INTEGER), ...(field === "size" ? { fills: true } : {}) }]
        : []),
      ...(typeof value === "string" ? [set("climbing", "../../../../../../etc")] : []),
    ];
  });
}

/** `count` single bits. Some leave a record that can be read: then it is one that says something else. */
export function flips(count: number): Damage[] {
  return Array.from({ length: count }, (_, index) =>
    content(`bit-${index}`, ({ right, random }) => {
      const bytes = Buffer.from(right);
      const at = Math.floor(random() * bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
      return bytes;
    }),
  );
}

/** Whatever stands there, gone: never what a link leads to. */
export function clear(path: string): void {
  rmSync(path, { recursive: true, force: true });
}
