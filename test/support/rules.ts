/** The rules over real pools in this process: for tests that look between the steps, or play a second process. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createLog } from "../../src/observe/log.ts";
import type { Options } from "../../src/pools/backend.ts";
import type { Call, Capability } from "../../src/volumes/api.ts";
import { type Driver, openDriver } from "../../src/volumes/driver.ts";
import type { Scratch } from "./scratch.ts";

export const mebibyte = 1024 ** 2;
export const mounted: Capability = { access: "mount", mode: "SINGLE_NODE_WRITER", fsType: "", mountFlags: [] };
export const raw: Capability = { access: "block", mode: "SINGLE_NODE_WRITER" };

let calls = 0;

export function call(rpc: string, signal = new AbortController().signal): Call {
  calls += 1;
  return { rpc, signal, requestId: `test-${calls}` };
}

export class Rules {
  readonly driver: Driver;
  readonly pool: string;
  readonly #scratch: Scratch;

  constructor(driver: Driver, pool: string, scratch: Scratch) {
    this.driver = driver;
    this.pool = pool;
    this.#scratch = scratch;
  }

  create(name: string, capability = mounted, more: { size?: number; from?: string; snapshot?: string } = {}) {
    const source = more.from ? { volumeId: more.from } : more.snapshot ? { snapshotId: more.snapshot } : undefined;
    const asked = {
      name,
      capacity: { required: more.size ?? 64 * mebibyte },
      capabilities: [capability],
      parameters: {},
      ...(source ? { source } : {}),
    };
    return this.driver.controller.create(asked, call("CreateVolume"));
  }

  snapshot(name: string, sourceVolumeId: string) {
    return this.driver.controller.createSnapshot({ name, sourceVolumeId, parameters: {} }, call("CreateSnapshot"));
  }

  expand(id: string, required: number) {
    return this.driver.controller.expand({ id, capacity: { required } }, call("ControllerExpandVolume"));
  }

  remove(id: string): Promise<void> {
    return this.driver.controller.remove(id, call("DeleteVolume"));
  }

  /** A folder of its own, made. */
  folder(name: string): string {
    const path = join(this.#scratch.path, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  stage(id: string, stagingPath: string, capability = mounted): Promise<void> {
    const request = { id, stagingPath, capability, context: {}, publishContext: {} };
    return this.driver.node.stage(request, call("NodeStageVolume"));
  }

  unstage(id: string, stagingPath: string): Promise<void> {
    return this.driver.node.unstage({ id, stagingPath }, call("NodeUnstageVolume"));
  }

  publish(id: string, stagingPath: string, targetPath: string, capability = mounted, readonly = false): Promise<void> {
    const request = { id, stagingPath, targetPath, capability, readonly, context: {}, publishContext: {} };
    return this.driver.node.publish(request, call("NodePublishVolume"));
  }

  unpublish(id: string, targetPath: string): Promise<void> {
    return this.driver.node.unpublish({ id, targetPath }, call("NodeUnpublishVolume"));
  }

  /** The folder of the pool's only volume, or of the one with this name. */
  folderOf(name: string): string {
    for (const key of readdirSync(join(this.pool, "volumes"))) {
      const folder = join(this.pool, "volumes", key);
      const record = JSON.parse(readFileSync(join(folder, "record.json"), "utf8")) as { name: string };
      if (record.name === name) return folder;
    }
    throw new Error(`no volume ${name} in ${this.pool}`);
  }

  /** The file whose flock decides who works on the volume. */
  lockOf(name: string): string {
    return join(this.pool, "locks", `volume-${basename(this.folderOf(name))}`);
  }

  latch(name: string): { state: string } {
    return JSON.parse(readFileSync(join(this.folderOf(name), "latch.json"), "utf8")) as { state: string };
  }

  setLatch(name: string, latch: object): void {
    writeFileSync(join(this.folderOf(name), "latch.json"), JSON.stringify({ version: 1, ...latch }));
  }

  recordsOf(node = "n1"): string[] {
    const folder = join(this.pool, "nodes", Buffer.from(node).toString("hex"));
    return readdirSync(folder)
      .filter((name) => name.endsWith(".json"))
      .map((name) => join(folder, name));
  }
}

export async function openRules(
  scratch: Scratch,
  pool: string,
  more: { backend?: string; node?: string; shared?: boolean; initPools?: boolean; options?: Partial<Options> } = {},
): Promise<Rules> {
  const driver = await openDriver({
    driverName: "test.csi.holdfast",
    nodeId: more.node ?? "n1",
    pools: [
      {
        name: "p",
        backend: more.backend ?? "image",
        path: pool,
        shared: more.shared ?? false,
        options: { extra: {}, ...more.options },
      },
    ],
    initPools: more.initPools ?? true,
    maxVolumes: 0,
    log: createLog({ level: "silent", format: "json" }),
  });
  scratch.later(() => driver.stop(1_000));
  return new Rules(driver, pool, scratch);
}

/** For `assert.rejects`. */
export function problem(code: string): (error: unknown) => boolean {
  return (error) => {
    if (error instanceof Error && "code" in error && error.code === code) return true;
    throw new Error(`${code} was expected, and this came: ${String(error)}`, { cause: error });
  };
}
