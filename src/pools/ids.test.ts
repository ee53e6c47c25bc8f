import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { formatId, keyOf, newNonce, newPoolUuid, parseId } from "./ids.ts";

const pool = "00112233445566778899aabbccddeeff";

test("an ID comes back as what it was made of, within 128 bytes", () => {
  const identity = { pool, key: keyOf("volume", pool, "pvc-1"), nonce: newNonce(), node: "n".repeat(63) };
  const id = formatId(identity);
  assert.deepEqual(parseId(id), identity);
  assert.ok(Buffer.byteLength(id) <= 128, `${Buffer.byteLength(id)} bytes`);
  const { node: _, ...shared } = identity;
  assert.deepEqual(parseId(formatId(shared)), shared);
});

test("names with slashes, dots and any Unicode give folders of 32 hexadecimal digits, each its own", () => {
  const names = ["a/b", "..", "../../etc", "ä", "a", "A", "a ", "x".repeat(128)];
  const keys = names.map((name) => keyOf("volume", pool, name));
  assert.equal(new Set(keys).size, names.length);
  for (const key of keys) assert.match(key, /^[0-9a-f]{32}$/);
  assert.notEqual(keyOf("volume", pool, "a"), keyOf("snapshot", pool, "a"));
});

test("what we never issued is no ID", () => {
  const good = formatId({ pool, key: keyOf("volume", pool, "a"), nonce: newNonce(), node: "n1" });
  const bad = [
    "",
    "x",
    "../../etc/passwd",
    "/abs",
    good.slice(1),
    `${good}/..`,
    `${good}\n`,
    good.replace(".", "/"),
    `${good.slice(0, 54)}.`,
  ];
  for (const id of bad) assert.equal(parseId(id), undefined, id);
});

test("whatever comes in as an ID is refused or is exactly what we would have issued", () => {
  const hex = (bytes: number) =>
    fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => Buffer.from(value).toString("hex"));
  const node = fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/);
  fc.assert(
    fc.property(hex(16), hex(16), hex(8), fc.option(node, { nil: undefined }), (poolUuid, key, nonce, name) => {
      const identity = { pool: poolUuid, key, nonce, ...(name === undefined ? {} : { node: name }) };
      assert.deepEqual(parseId(formatId(identity)), identity);
    }),
  );
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.base64String({ minLength: 50, maxLength: 140 })), (text) => {
      const identity = parseId(text);
      assert.ok(identity === undefined || formatId(identity) === text);
    }),
  );
});

test("no pool is made whose IDs a program would take for options", () => {
  const drawn = [Buffer.alloc(16, 0xf8), Buffer.alloc(16, 0xfb), Buffer.alloc(16, 0xfc)];
  const uuid = newPoolUuid(() => drawn.shift() ?? assert.fail());
  assert.equal(uuid, "fc".repeat(16));
  assert.doesNotMatch(formatId({ pool: uuid, key: keyOf("volume", uuid, "a"), nonce: newNonce() }), /^-/);
  for (let tries = 0; tries < 2000; tries++) assert.doesNotMatch(newPoolUuid(), /^f[89ab]/);
});
