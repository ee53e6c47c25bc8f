/** Requests made up from their descriptors: each field with a value that fits it, and now and then with one that does not. */
import { create, type DescField, type DescMessage, type Message, type MessageInitShape } from "@bufbuild/protobuf";

/** What a field may hold, by its name in lowerCamelCase; absent: a word of its own. */
export type Words = Readonly<Record<string, readonly string[]>>;

/** Texts that somebody could hope to get somewhere with. */
export const strange: readonly string[] = [
  "",
  "..",
  "../../..",
  "a\0b",
  "%2e%2e",
  "$(reboot)",
  "-rf",
  "--help",
  "\u{feff}\u202e",
  "__proto__",
  "constructor",
  "x".repeat(129),
  "x".repeat(5000),
  "\u0007",
  "..".repeat(60),
];

const evilInts = [0n, 1n, -1n, 2n ** 31n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)];

export interface Making {
  readonly words: Words;
  readonly random: () => number;
  /** How often a field holds something strange: 0 never, 1 always. */
  readonly strangeness: number;
}

export function makeUp<D extends DescMessage>(type: D, making: Making): Message {
  return create(type, fieldsOf(type, making, 0) as MessageInitShape<D>);
}

function fieldsOf(type: DescMessage, making: Making, depth: number): Record<string, unknown> {
  const init: Record<string, unknown> = {};
  for (const field of type.fields) {
    if (depth > 4 || making.random() < making.strangeness / 2) continue;
    const value = contentOf(field, making, depth);
    if (value === undefined) continue;
    // Of a choice the last one made wins.
    if (field.oneof) init[field.oneof.localName] = { case: field.localName, value };
    else init[field.localName] = value;
  }
  return init;
}

function contentOf(field: DescField, making: Making, depth: number): unknown {
  const { random } = making;
  const many = random() < making.strangeness ? Math.floor(random() * 30) : 1;
  if (field.fieldKind === "map") {
    const entries = field.localName === "parameters" && many === 1 ? 0 : many;
    return Object.fromEntries(Array.from({ length: entries }, (_, index) => [`key-${index}`, text(field, making)]));
  }
  if (field.fieldKind === "list") return Array.from({ length: many }, () => single(field, making, depth));
  return single(field, making, depth);
}

function single(field: DescField, making: Making, depth: number): unknown {
  const { random } = making;
  if (field.message) return fieldsOf(field.message, making, depth + 1);
  if (field.enum) {
    const numbers = field.enum.values.map(({ number }) => number);
    return random() < making.strangeness ? 9_999 : (numbers[Math.min(1, numbers.length - 1)] ?? 0);
  }
  return scalar(field, making);
}

/** By what JavaScript has for it: the default value of the field. */
function scalar(field: DescField, making: Making): unknown {
  const odd = making.random() < making.strangeness;
  const type = field.scalar === undefined ? "" : scalarKinds[field.scalar];
  const evil = pick(evilInts, making);
  if (type === "text") return text(field, making);
  if (type === "truth") return odd;
  if (type === "long") return odd ? evil : 320n * 1024n ** 2n;
  if (type === "whole") return odd ? Number(BigInt.asIntN(32, evil)) : 0;
  return undefined;
}

/** Of descriptor.proto's numbers those that CSI uses: int64, int32, bool, string. */
const scalarKinds: Readonly<Record<number, "text" | "truth" | "long" | "whole">> = {
  3: "long",
  5: "whole",
  8: "truth",
  9: "text",
};

function text(field: DescField, making: Making): string {
  if (making.random() < making.strangeness) return pick(strange, making);
  return pick(making.words[field.localName] ?? [""], making);
}

function pick<T>(all: readonly [T, ...T[]] | readonly T[], { random }: Pick<Making, "random">): T {
  const one = all[Math.floor(random() * all.length)];
  if (one === undefined) throw new Error("nothing to choose from");
  return one;
}
