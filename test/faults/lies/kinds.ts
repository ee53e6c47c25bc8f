/** The table of the pool's records (docs/reference/pool-layout.md) that are lied about. A new kind is one entry. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeRecord } from "../../../src/pools/record.ts";
import { settled } from "../again.ts";
import type { PoolKind } from "../pools.ts";
import type { World } from "../world.ts";
import { folderOf, type Subject } from "./subject.ts";

export interface RecordKind {
  readonly name: string;
  readonly on?: (pool: PoolKind) => boolean;
  /** Where it lies. What stands there before the lie comes back after it, or nothing. */
  readonly at: (world: World, subject: Subject) => string;
  /** What would be right there; absent: what stands there. */
  readonly right?: (world: World, subject: Subject) => string;
  /** The same file of the bystander. */
  readonly foreign?: (world: World, bystander: string) => string;
  readonly sampled?: true;
  /** It is there only while the volume is in use. */
  readonly inUse?: true;
  /** It has no fields: only its being another kind of thing is a lie. */
  readonly words?: true;
  /** Without it there is no pool: nobody else goes on either, and is as it was when it is back. */
  readonly whole?: true;
  /** A start looks at it, and the right one needs another. */
  readonly atStart?: true;
  /** What the right one asks for, or what it may have led to, goes. */
  readonly leave?: (world: World, subject: Subject, path: string) => Promise<void>;
}

export const ownNode = Buffer.from("n1").toString("hex");
const keyOf = (world: World, name: string) => basename(folderOf(world, "volumes", name));
const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
const mounted = (pool: PoolKind) => pool.backend === "image" && pool.use !== "block";

export const kinds: readonly RecordKind[] = [
  {
    name: "volume",
    sampled: true,
    at: (_, subject) => join(subject.folder, "record.json"),
    foreign: (world, name) => join(folderOf(world, "volumes", name), "record.json"),
  },
  {
    name: "latch",
    on: (pool) => pool.backend === "image",
    at: (_, subject) => join(subject.folder, "latch.json"),
    foreign: (world, name) => join(folderOf(world, "volumes", name), "latch.json"),
  },
  {
    name: "snapshot",
    on: (pool) => pool.copies,
    at: (_, subject) => join(subject.snapshotFolder, "record.json"),
    foreign: (world, name) => join(folderOf(world, "volumes", name), "record.json"),
  },
  {
    name: "stage",
    inUse: true,
    at: (world, subject) => noteOf(world, subject.name),
    foreign: noteOf,
  },
  {
    name: "attachment",
    inUse: true,
    on: (pool) => pool.shared,
    at: (world, subject) => join(world.disk.path, "attachments", `${keyOf(world, subject.name)}.json`),
    foreign: (world, name) => join(world.disk.path, "attachments", `${keyOf(world, name)}.json`),
  },
  {
    name: "member",
    on: (pool) => pool.shared,
    at: (world) => join(world.disk.path, "members", `${ownNode}.json`),
  },
  {
    name: "marker",
    whole: true,
    at: (world) => join(world.disk.path, "holdfast.json"),
  },
  {
    // Of a file system that a driver froze which then died with its helper.
    name: "freeze",
    inUse: true,
    atStart: true,
    on: mounted,
    at: (world, subject) => join(world.disk.path, "nodes", ownNode, `freeze-${keyOf(world, subject.name)}`),
    right(world, subject) {
      const { target } = subject.seat;
      // A try that fails must not leave it: what is frozen and unmounted stays in the kernel for ever, and nobody sees it.
      world.scratch.later(() => void spawnSync("fsfreeze", ["--unfreeze", target], { stdio: "ignore" }));
      execFileSync("fsfreeze", ["--freeze", target]);
      return encodeRecord({ boot, mountPath: target });
    },
    leave: (_, { seat }, path) => expectThawed(seat.target, path),
  },
  {
    name: "request",
    inUse: true,
    on: (pool) => pool.shared && pool.backend === "image",
    at: (world) => join(world.disk.path, "requests", ownNode, "00c0ffee00c0ffee.json"),
    right: (_, { name, volume: { volumeId: sourceVolumeId } }) =>
      encodeRecord({
        by: "n2",
        requestId: "1",
        asked: Date.now(),
        expires: Date.now() + 60_000,
        cut: { kind: "snapshot", name: `${name}-asked`, sourceVolumeId },
      }),
    async leave(world, { snapshotId: own }, path) {
      await settled(async () => {
        for (const snapshotId of await world.snapshotIds())
          if (snapshotId !== own) await world.driver.client.controller.deleteSnapshot({ snapshotId });
      });
      for (const file of readdirSync(dirname(path))) rmSync(join(dirname(path), file), { recursive: true });
    },
  },
  {
    name: "lock",
    words: true,
    at: (world, subject) => join(world.disk.path, "locks", `volume-${keyOf(world, subject.name)}`),
  },
  {
    // Of what is none of the driver's volumes: a start sweeps such files.
    name: "stray-lock",
    words: true,
    at: (world) => join(world.disk.path, "locks", `volume-${"0".repeat(32)}`),
  },
  {
    name: "spare-lock",
    words: true,
    at: (world) => join(world.disk.path, "locks", "spare-0"),
  },
  {
    name: "controller",
    words: true,
    at: (world) => join(world.disk.path, "controllers", "00c0ffee00c0ffee"),
  },
];

/** The record of what the node has open of the volume with this name. */
export function noteOf(world: World, name: string): string {
  return join(world.disk.path, "nodes", ownNode, `${keyOf(world, name)}.json`);
}

async function expectThawed(target: string, record: string): Promise<void> {
  // The start thaws first, and then takes the record away.
  for (let tries = 0; existsSync(record); tries += 1) {
    assert.ok(tries < 250, "the start did not take the record of a freeze away");
    await sleep(20);
  }
  // A file system that is frozen would hold this for ever; so it is not asked to write, but to freeze once more.
  execFileSync("fsfreeze", ["--freeze", target], { stdio: "pipe" });
  execFileSync("fsfreeze", ["--unfreeze", target]);
}
