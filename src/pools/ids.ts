/**
 * Names decide identity: what a volume or snapshot is called on disk and over the wire follows from the pool and the
 * requested name, so that a repeated create finds the first one, and two controllers at once can't make two.
 */
import { hash, randomBytes } from "node:crypto";
import type { Key, Nonce } from "./pool.ts";

/** An ephemeral volume lies among the volumes; its key is of another kind, so that no name can be the ID of one. */
export type Kind = "volume" | "snapshot" | "ephemeral";

const poolBytes = 16;
const keyBytes = 16;
const nonceBytes = 8;
const encodedLength = Math.ceil(((poolBytes + keyBytes + nonceBytes) * 4) / 3);

/** The first 16 bytes of SHA-256 over the kind, the pool's UUID and the name, in hexadecimal. */
export function keyOf(kind: Kind, poolUuid: string, name: string): Key {
  return hash("sha256", `${kind}\0${poolUuid}\0${name}`).slice(0, keyBytes * 2);
}

export function newNonce(): Nonce {
  return randomBytes(nonceBytes).toString("hex");
}

/** For a new pool. An ID begins with it, and one that begins with a dash is an option to most programs. */
export function newPoolUuid(bytes: (size: number) => Buffer = randomBytes): string {
  for (;;) {
    const uuid = bytes(poolBytes);
    if (!uuid.toString("base64url").startsWith("-")) return uuid.toString("hex");
  }
}

export interface Identity {
  /** 32 hexadecimal digits. */
  readonly pool: string;
  readonly key: Key;
  readonly nonce: Nonce;
  /** The node of a local pool; absent for a shared one. */
  readonly node?: string;
}

/**
 * base64url of pool, key and nonce (54 characters), and for a local pool "." and the node's name: at most 118
 * characters, where the CSI specification allows 128 (section "Size Limits").
 */
export function formatId(identity: Identity): string {
  const bytes = Buffer.from(identity.pool + identity.key + identity.nonce, "hex");
  return bytes.toString("base64url") + (identity.node === undefined ? "" : `.${identity.node}`);
}

/** Whether the ID begins as all of this pool do: in what the pool's own bytes alone decide. Says nothing of the rest. */
export function isIdOf(pool: string, id: string): boolean {
  const known = prefixes.get(pool) ?? Buffer.from(pool, "hex").toString("base64url").slice(0, wholeDigits);
  prefixes.set(pool, known);
  return id.startsWith(known);
}

const prefixes = new Map<string, string>();
/** Of base64url, 6 bits each. */
const wholeDigits = Math.floor((poolBytes * 8) / 6);

/** Undefined: this can't be an ID of ours, so what it names is simply absent. */
export function parseId(id: string): Identity | undefined {
  const encoded = id.slice(0, encodedLength);
  const rest = id.slice(encodedLength);
  if (!/^[A-Za-z0-9_-]+$/.test(encoded)) return undefined;
  const bytes = Buffer.from(encoded, "base64url");
  if (bytes.length !== poolBytes + keyBytes + nonceBytes || bytes.toString("base64url") !== encoded) return undefined;
  if (rest !== "" && !/^\.[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(rest)) return undefined;
  const hex = bytes.toString("hex");
  return {
    pool: hex.slice(0, poolBytes * 2),
    key: hex.slice(poolBytes * 2, (poolBytes + keyBytes) * 2),
    nonce: hex.slice((poolBytes + keyBytes) * 2),
    ...(rest === "" ? {} : { node: rest.slice(1) }),
  };
}
