/** A secret in every field that may hold one, of every RPC, answered or refused, and also killed: it appears nowhere. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type DescMethod, getOption, type Message, toBinary } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { Controller, csi_secret, GroupController, Node, SnapshotMetadata } from "../../../src/csi/gen/csi_pb.ts";
import { capability, createSnapshot } from "../../support/orchestrator.ts";
import { settled } from "../again.ts";
import type { Part, Tries } from "../frame/part.ts";
import { type PoolKind, pools } from "../pools.ts";
import { Stage } from "../stage.ts";
import { volumeBytes, type World } from "../world.ts";
import { randomOf } from "./random.ts";
import { connectRaw, framed } from "./raw.ts";
import { makeUp } from "./requests.ts";

/** Not a word that anything else could hold, and of this process: another one may look for its own at the same time. */
const secret = `s3cr3t-${randomBytes(8).toString("hex")}`;

const concerned = ["image", "image-shared", "directory-btrfs"];
/** When the driver is killed in the midst of a life: milliseconds after it began. */
const instants = [20, 60, 120, 250];

export const secrets: readonly Part[] = pools
  .filter(({ name }) => concerned.includes(name))
  .map((pool) => ({
    fault: "lies",
    pool: pool.name,
    operation: "secrets",
    sample: pool.name === "image-shared",
    seconds: 30,
    run: (tries: Tries) => sweep(pool, tries),
  }));

async function sweep(pool: PoolKind, tries: Tries): Promise<void> {
  const stage = new Stage(pool, tries, { args: ["--log-level", "debug"] });
  for (const ms of tries.sample ? instants.slice(1, 2) : instants) {
    await tries.try(`killed-after-${ms}-ms`, () =>
      stage.with((world, name) => useSecretly(world, name, ms, tries.seed)),
    );
  }
  await stage.end();
}

const withSecrets: readonly DescMethod[] = [Controller, Node, GroupController, SnapshotMetadata]
  .flatMap((service) => service.methods)
  .filter(({ input }) => input.fields.some((field) => getOption(field, csi_secret)));

interface Places {
  readonly staging: string;
  readonly target: string;
}

async function useSecretly(world: World, name: string, killAfterMs: number, seed: number): Promise<void> {
  const { driver, scratch } = world;
  assert.ok(withSecrets.length >= 15, "the secret fields are not found");
  const folder = mkdtempSync(join(tmpdir(), "secrets-"));
  const traced = join(folder, "calls");
  const tracer = await trace(driver.pid, traced);
  const seen: string[] = [];
  const looking = new AbortController();
  const looks = lookAtProcesses(looking.signal, seen);
  try {
    const said: string[] = [];
    const volume = await world.create(name);
    const snapshotId = world.kind.copies ? await createSnapshot(driver, `${name}-s`, volume.volumeId) : "";
    const places = { staging: join(scratch.path, `staging-${name}`), target: join(scratch.path, `target-${name}`) };
    mkdirSync(places.staging);
    const words = {
      volumeId: [volume.volumeId],
      sourceVolumeId: [volume.volumeId],
      snapshotId: [snapshotId],
      nodeId: ["n1"],
      name: [`${name}-made`],
      stagingTargetPath: [places.staging],
      targetPath: [places.target],
      volumePath: [places.target],
    };
    const random = randomOf(seed, "secrets");
    const connection = await connectRaw(driver.socket);
    for (const method of withSecrets) {
      // One that fits, one that is strange, and one that is cut off after the secret.
      for (const kind of ["fits", "strange", "cut-off"]) {
        const request = makeUp(method.input, { words, random, strangeness: kind === "strange" ? 0.5 : 0 });
        plant(method, request);
        const bytes = Buffer.from(toBinary(method.input, request));
        const path = `/${method.parent.typeName}/${method.name}`;
        const body = kind === "cut-off" ? Buffer.concat([bytes, Buffer.from([0x0a, 0x7f])]) : bytes;
        const answer = await connection.call(path, framed(body));
        said.push(`${method.name}: ${answer.message}`);
      }
    }
    connection.close();

    // The same in a whole life, and once more with the driver killed in the midst of it.
    await tidy(world, places);
    await aLife(world, `${name}-life`, places, said);
    const work = Promise.allSettled([aLife(world, `${name}-killed`, places, said)]);
    await sleep(killAfterMs);
    await driver.kill();
    await work;
    await driver.start();
    await tidy(world, places);

    looking.abort();
    await looks;
    await tracer.end();
    assert.deepEqual(
      said.filter((text) => text.includes(secret)),
      [],
      "it is in an answer",
    );
    assert.ok(/"rpc":"NodeStageVolume"/.test(driver.log()), "the log tells nothing of the calls");
    assert.ok(!driver.log().includes(secret), "it is in the log");
    assert.deepEqual(seen, [], "it was in a process's command line or environment");
    const calls = readFileSync(traced, "utf8");
    if (world.kind.backend === "image") assert.match(calls, /execve\("/, "no program was seen to start");
    assert.ok(!calls.includes(secret), "a program was started, or a file written, with it");
    // What is looked through holds what it must: else it would be found nowhere for another reason.
    assert.ok(calls.includes(`${name}-life`), "the trace shows no record that was written");
    const known = join(world.disk.path, ".known.tmp");
    writeFileSync(known, `known-${name}`, { flush: true });
    assert.ok(filesWith(world, `known-${name}`, folder).includes(world.disk.image), "nothing is found on the disk");
    rmSync(known);
    assert.deepEqual(filesWith(world, secret, folder), [], "it is in a file");
    await world.expectEmpty();
  } finally {
    looking.abort();
    await tracer.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Puts it into each field for secrets, as value and as key. */
function plant({ input }: DescMethod, request: Message): void {
  const view = reflect(input, request);
  for (const field of input.fields.filter((each) => getOption(each, csi_secret))) {
    assert.equal(field.fieldKind, "map");
    if (field.fieldKind !== "map") continue;
    for (const [key, value] of [
      ["password", secret],
      [secret, "value"],
    ] as const)
      view.get(field).set(key, value);
  }
}

/** Made, used, grown, copied and removed, each call with the secret; what was said in refusal is kept. */
async function aLife(world: World, name: string, places: Places, said: string[]): Promise<void> {
  const { controller, node } = world.driver.client;
  const held = { secrets: { password: secret, [secret]: "value" } };
  const call = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      said.push(String(error));
      throw error;
    }
  };
  const { volume } = await call(
    controller.createVolume({
      name,
      capacityRange: { requiredBytes: BigInt(volumeBytes) },
      volumeCapabilities: [capability(world.kind.use)],
      ...held,
    }),
  );
  if (volume === undefined) throw new Error("CreateVolume answered no volume");
  const { volumeId, volumeContext } = volume;
  await call(
    controller.validateVolumeCapabilities({
      volumeId,
      volumeContext,
      volumeCapabilities: [capability(world.kind.use)],
      ...held,
    }),
  );
  const { staging, target } = places;
  const { publishContext } = world.kind.shared
    ? await call(
        controller.controllerPublishVolume({
          volumeId,
          volumeContext,
          nodeId: "n1",
          volumeCapability: capability(world.kind.use),
          ...held,
        }),
      )
    : { publishContext: {} };
  const at = {
    volumeId,
    volumeContext,
    publishContext,
    stagingTargetPath: staging,
    volumeCapability: capability(world.kind.use),
  };
  await call(node.nodeStageVolume({ ...at, ...held }));
  await call(node.nodePublishVolume({ ...at, targetPath: target, ...held }));
  if (world.kind.copies) {
    const { snapshot } = await call(
      controller.createSnapshot({ name: `${name}-s`, sourceVolumeId: volumeId, ...held }),
    );
    await call(controller.deleteSnapshot({ snapshotId: snapshot?.snapshotId ?? "", ...held }));
  }
  await call(node.nodeUnpublishVolume({ volumeId, targetPath: target }));
  await call(node.nodeUnstageVolume({ volumeId, stagingTargetPath: staging }));
  if (world.kind.shared) await call(controller.controllerUnpublishVolume({ volumeId, nodeId: "n1", ...held }));
  await call(controller.deleteVolume({ volumeId, ...held }));
}

/** Starts of programs and what is written, of the driver and its children. */
async function trace(pid: number, file: string): Promise<{ end(): Promise<void> }> {
  const names =
    "execve,openat,openat2,write,pwrite64,writev,sendto,sendmsg,mount,fsconfig,rename,renameat2,mkdirat,symlinkat";
  const args = ["-f", "-v", "-s", "100000", "-o", file, "-e", `trace=${names}`, "-e", "signal=none", "-p", String(pid)];
  const tracer = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
  const exit = once(tracer, "exit");
  await once(tracer.stderr, "data");
  return {
    async end() {
      if (tracer.exitCode === null && tracer.signalCode === null) tracer.kill("SIGINT");
      await exit;
    },
  };
}

/** Over and over, every process of the machine but this one. */
async function lookAtProcesses(until: AbortSignal, seen: string[]): Promise<void> {
  const own = String(process.pid);
  while (!until.aborted) {
    for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry) && entry !== own)) {
      for (const part of ["cmdline", "environ", "comm"]) {
        const text = readOrEmpty(`/proc/${pid}/${part}`);
        if (text.includes(secret)) seen.push(`${pid} ${part}: ${readOrEmpty(`/proc/${pid}/cmdline`).slice(0, 100)}`);
      }
    }
    await sleep(15);
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // gone meanwhile
  }
}

/** The small files below the folder, and the bytes of the pool's disk with all that was deleted on it, that have the word. */
function filesWith(world: World, word: string, folder: string): string[] {
  const { path } = world.scratch;
  const names = readdirSync(path, { recursive: true, encoding: "utf8" }).filter((entry) => entry.includes(word));
  // The word is not in the command line: others look for theirs there meanwhile.
  const small = `find "$1" -type f -size -8192k -exec grep -laF -f "$0" {} +`;
  const disk = `sync -f "$3"; tar --sparse -cf - "$2" 2>/dev/null | grep -qaF -f "$0" && echo "$2"`;
  const pattern = join(folder, "pattern");
  writeFileSync(pattern, word);
  const found = execFileSync("sh", [
    "-c",
    `${small}; ${disk}; true`,
    pattern,
    path,
    world.disk.image,
    world.disk.path,
  ]).toString();
  return [...names, ...found.split("\n").filter((line) => line !== "")];
}

/** Whatever was made and is held, gone. */
async function tidy(world: World, { staging, target }: Places): Promise<void> {
  const { node, controller } = world.driver.client;
  for (const snapshotId of await settled(() => world.snapshotIds())) await controller.deleteSnapshot({ snapshotId });
  for (const volumeId of await world.volumeIds()) {
    await settled(() => node.nodeUnpublishVolume({ volumeId, targetPath: target }));
    await settled(() => node.nodeUnstageVolume({ volumeId, stagingTargetPath: staging }));
    if (world.kind.shared) await settled(() => controller.controllerUnpublishVolume({ volumeId, nodeId: "n1" }));
    await settled(() => world.remove({ volumeId }));
  }
}
