/** The bytes of a volume, or its whole folder, replaced by something else; and then the right ones back. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { loopDevicesOf } from "../../support/leftovers.ts";
import { type Part, spread, type Tries } from "../frame/part.ts";
import { type PoolKind, pools } from "../pools.ts";
import { Stage } from "../stage.ts";
import type { World } from "../world.ts";
import { answered } from "./answers.ts";
import { makeBystanders } from "./bystanders.ts";
import { clear, things } from "./damage.ts";
import { folderOf, Subject } from "./subject.ts";

interface Lie {
  readonly name: string;
  /** Nothing tells these bytes from the right ones: then the volume shows them, and nobody else is harmed. */
  readonly passes?: boolean;
  /** Puts it at `path`; `right` is where the right one lies meanwhile, `other` the same thing of a volume in use. */
  put(path: string, right: string, other: string, sentinel: string): void;
}

const copied = (from: string, to: string) => execFileSync("cp", ["-a", "--reflink=auto", from, to]);

const ofFiles: readonly Lie[] = [
  {
    name: "shorter",
    put(path, right) {
      copied(right, path);
      truncateSync(path, statSync(right).size / 2);
    },
  },
  {
    name: "blank",
    put(path, right) {
      closeSync(openSync(path, "wx", 0o600));
      truncateSync(path, statSync(right).size);
    },
  },
  {
    name: "scribbled-over",
    put(path, right) {
      copied(right, path);
      const file = openSync(path, "r+");
      writeSync(file, Buffer.alloc(1024 ** 2, "not a file system"), 0, 1024 ** 2, 0);
      closeSync(file);
    },
  },
  { name: "copy-of-another", passes: true, put: (path, _, other) => void copied(other, path) },
  { name: "another-itself", passes: true, put: (path, _, other) => linkSync(other, path) },
  {
    name: "device-of-another",
    put(path, _, other) {
      const [loop] = loopDevicesOf(other);
      if (loop === undefined) throw new Error(`${other} is not on a device`);
      execFileSync("mknod", [path, "b", "7", loop.device.replace("/dev/loop", "")]);
    },
  },
];

const ofFolders: readonly Lie[] = [
  { name: "file", put: (path) => closeSync(openSync(path, "wx", 0o600)) },
  { name: "link-to-another", put: (path, _, other) => symlinkSync(other, path) },
  { name: "link-to-its-copy", passes: true, put: (path, right) => symlinkSync(copyOf(right), path) },
];

/** A copy that lies outside of the pool. */
function copyOf(right: string): string {
  const to = outsideOf(right);
  copied(right, to);
  return to;
}

function outsideOf(right: string): string {
  return join(right, "../..", `copy-of-${basename(right)}`);
}

const anyThing: readonly Lie[] = things.map(({ name, put }) => ({
  name,
  // An empty folder is what a volume of the directory backend begins with.
  passes: name === "folder",
  put: (path, right, _, sentinel) =>
    put(path, { right: Buffer.alloc(0), foreign: undefined, sentinel, copy: right, random: () => 0 }),
}));

interface Target {
  readonly name: "bytes" | "folder";
  readonly at: (folder: string, pool: PoolKind) => string;
  readonly lies: (pool: PoolKind) => readonly Lie[];
}

const targets: readonly Target[] = [
  {
    name: "bytes",
    at: (folder, pool) => join(folder, pool.backend === "image" ? "data.img" : "data"),
    lies: (pool) => (pool.backend === "image" ? [...ofFiles, ...anyThing] : [...ofFolders, ...anyThing]),
  },
  { name: "folder", at: (folder) => folder, lies: () => [...ofFolders, ...anyThing] },
];

const concerned = ["image", "image-xfs", "image-block", "image-shared", "directory", "directory-btrfs"];

export const contents: readonly Part[] = pools
  .filter(({ name }) => concerned.includes(name))
  .flatMap((pool) =>
    targets.map((target) => ({
      fault: "lies",
      pool: pool.name,
      operation: `content-${target.name}`,
      sample: pool.name === "directory" && target.name === "folder",
      seconds: 40,
      run: (tries: Tries) => sweep(pool, target, tries),
    })),
  );

async function sweep(pool: PoolKind, target: Target, tries: Tries): Promise<void> {
  const stage = new Stage(pool, tries);
  const all = target.lies(pool);
  for (const lie of tries.sample ? spread(all, 2, tries.seed) : all) {
    await tries.try(lie.name, () => stage.with((world, name) => lieAbout(world, name, target, lie)));
  }
  await stage.end();
}

async function lieAbout(world: World, name: string, target: Target, lie: Lie): Promise<void> {
  const { driver, disk, kind } = world;
  const bystanders = await makeBystanders(world, name);
  const subject = await Subject.make(world, `${name}-subject`);
  const { volumeId } = subject.volume;
  const path = target.at(subject.folder, kind);
  const other = target.at(folderOf(world, "volumes", `${name}-bystander`), kind);
  const right = join(disk.path, `right-${name}`);
  const lied = async (work: () => Promise<void>) => {
    renameSync(path, right);
    lie.put(path, right, other, bystanders.sentinel);
    const outside = namesAndSizes(outsideOf(right));
    await work();
    bystanders.expectUnharmed();
    await driver.crash();
    await bystanders.expectOthersGoOn();
    bystanders.expectUnharmed();
    assert.deepEqual(namesAndSizes(outsideOf(right)), outside, "what lies outside of the pool has changed");
    clear(outsideOf(right));
  };
  const putBack = () => {
    clear(path);
    renameSync(right, path);
  };
  // Of a raw volume any bytes are its user's.
  const passes = lie.passes || (kind.use === "block" && ["blank", "scribbled-over"].includes(lie.name));
  const asks = () => subject.ask(passes ? "anything" : "its own");

  await lied(async () => {
    await asks();
    await driver.crash();
    await asks();
  });
  putBack();
  await subject.expectBack();

  // Deleted as it is: what goes is the volume, never what a link leads to.
  let gone = false;
  await lied(async () => {
    const deleted = await answered("DeleteVolume", () => driver.client.controller.deleteVolume({ volumeId }));
    gone = deleted.done;
    await world.expectReclaimed();
  });
  if (gone) clear(right);
  else putBack();
  if (!gone) await subject.expectBack();
  await subject.remove();
  await bystanders.leave();
  await world.expectEmpty();
}

function namesAndSizes(folder: string): string[] {
  if (!existsSync(folder)) return [];
  if (!lstatSync(folder).isDirectory()) return [`${lstatSync(folder).size}`];
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).map(
    (entry) => `${entry} ${lstatSync(join(folder, entry)).size}`,
  );
}
