/** The table of mutations: what becomes of the bytes of a message on their way. */

export type Mutation = (bytes: Buffer, random: () => number) => Buffer;

const at = (bytes: Buffer, random: () => number) => Math.floor(random() * (bytes.length + 1));

const insert = (bytes: Buffer, place: number, more: Buffer) =>
  Buffer.concat([bytes.subarray(0, place), more, bytes.subarray(place)]);

/** A number as protobuf writes it, in seven bits a byte. */
function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  for (let left = value; ; left >>= 7n) {
    if (left < 128n) return Buffer.from([...bytes, Number(left)]);
    bytes.push(Number(left & 127n) | 128);
  }
}

/** A field's tag: its number and how it is written (0 number, 1 eight bytes, 2 length, 3 and 4 group, 5 four bytes). */
const tag = (number: number, wire: number) => varint(BigInt(number * 8 + wire));

export const mutations: Readonly<Record<string, Mutation>> = {
  "as-it-is": (bytes) => bytes,
  "one-bit"(bytes, random) {
    const changed = Buffer.from(bytes);
    const place = Math.floor(random() * bytes.length);
    if (changed.length > 0) changed[place] = (changed[place] ?? 0) ^ (1 << Math.floor(random() * 8));
    return changed;
  },
  "many-bits"(bytes, random) {
    return Buffer.from(bytes.map((byte) => (random() < 0.1 ? byte ^ (1 << Math.floor(random() * 8)) : byte)));
  },
  "cut-off": (bytes, random) => bytes.subarray(0, at(bytes, random)),
  "cut-out"(bytes, random) {
    const place = at(bytes, random);
    return Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + 1 + Math.floor(random() * 8))]);
  },
  random: (_, random) => Buffer.from(Array.from({ length: Math.floor(random() * 300) }, () => random() * 256)),
  "huge-length": (bytes, random) =>
    insert(bytes, at(bytes, random), Buffer.concat([tag(1 + Math.floor(random() * 12), 2), varint(2n ** 31n - 1n)])),
  "longest-length": (bytes, random) =>
    Buffer.concat([bytes, tag(1 + Math.floor(random() * 12), 2), varint(2n ** 64n - 1n)]),
  "endless-number": (bytes, random) => insert(bytes, at(bytes, random), Buffer.alloc(30, 0xff)),
  "wrong-wire": (bytes, random) =>
    Buffer.concat([bytes, tag(1 + Math.floor(random() * 12), Math.floor(random() * 8)), Buffer.alloc(8, 1)]),
  "field-0": (bytes) => Buffer.concat([bytes, tag(0, 2), varint(1n), Buffer.from("x")]),
  "highest-field": (bytes) => Buffer.concat([bytes, tag(2 ** 29 - 1, 2), varint(1n), Buffer.from("x")]),
  "open-groups": (bytes) => Buffer.concat([bytes, ...Array.from({ length: 20_000 }, () => tag(77, 3))]),
  "nested-deep"(bytes, random) {
    let inner = Buffer.alloc(0);
    const number = 1 + Math.floor(random() * 6);
    for (let depth = 0; depth < 5000; depth += 1)
      inner = Buffer.concat([tag(number, 2), varint(BigInt(inner.length)), inner]);
    return Buffer.concat([bytes, inner]);
  },
  "no-utf-8": (bytes, random) =>
    Buffer.concat([bytes, tag(1 + Math.floor(random() * 8), 2), varint(4n), Buffer.from([0xff, 0xfe, 0xc3, 0x28])]),
  "half-a-pair": (bytes, random) =>
    Buffer.concat([bytes, tag(1 + Math.floor(random() * 8), 2), varint(3n), Buffer.from([0xed, 0xa0, 0x80])]),
  twice: (bytes) => Buffer.concat([bytes, bytes]),
  "many-unknown": (bytes) =>
    Buffer.concat([
      bytes,
      ...Array.from({ length: 50_000 }, (_, index) => Buffer.concat([tag(900 + index, 0), varint(1n)])),
    ]),
  "many-entries": (bytes, random) =>
    Buffer.concat([
      bytes,
      ...Array.from({ length: 20_000 }, () => Buffer.concat([tag(1 + Math.floor(random() * 8), 2), varint(0n)])),
    ]),
};
