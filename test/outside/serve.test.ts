import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { connect } from "../../src/csi/client.ts";

const bin = join(import.meta.dirname, "../../bin/holdfast");
let folder = "";
let running: Daemon[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-serve-"));
  mkdirSync(join(folder, "pool"));
});
afterEach(async () => {
  for (const daemon of running) {
    daemon.child.kill("SIGKILL");
    await daemon.ended;
  }
  running = [];
  rmSync(folder, { recursive: true });
});

interface Daemon {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
  log(): string;
  line(message: string): Promise<Record<string, unknown>>;
}

function serve(args: string[], env: NodeJS.ProcessEnv = {}): Daemon {
  const child = spawn(bin, ["serve", "--log-format", "json", "--node-id", "a", ...args], {
    env: { ...process.env, CSI_ENDPOINT: undefined, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let text = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  const find = (message: string) => text.split("\n").find((line) => line.includes(`"msg":${JSON.stringify(message)}`));
  const line = async (message: string) => {
    const until = Date.now() + 20_000;
    while (find(message) === undefined) {
      assert(Date.now() < until && child.exitCode === null, `no '${message}' in the log: ${text}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return JSON.parse(find(message) ?? "") as Record<string, unknown>;
  };
  const daemon = { child, ended, log: () => text, line };
  running.push(daemon);
  return daemon;
}

function holdfast(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(bin, args, { timeout: 30_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
    });
  });
}

const pool = (options = "") => ["--pool", `fast=image:${join(folder, "pool")}${options}`];
const socket = (name = "csi.sock") => join(folder, name);

test("serve says when it is ready, answers, and on SIGTERM removes its socket and exits with 0", async () => {
  const daemon = serve([...pool(), "--init-pools"], { CSI_ENDPOINT: `unix://${socket()}` });
  const ready = await daemon.line("ready");
  assert.deepEqual(
    [ready["driver"], ready["node"], ready["endpoint"]],
    ["local.csi.holdfast", "a", `unix://${socket()}`],
  );
  assert.equal(typeof ready["ms"], "number");
  assert.equal(statSync(socket()).mode & 0o777, 0o600);
  const client = connect(socket());
  try {
    assert.equal((await client.identity.probe({})).ready, true);
  } finally {
    client.close();
  }
  daemon.child.kill("SIGTERM");
  assert.deepEqual(await daemon.ended, { code: 0, signal: null });
  assert.equal(existsSync(socket()), false);
});

test("a signal that comes twice at once, as from a process group, is one wish to stop", async () => {
  const daemon = serve([
    "--init-pools",
    "--pool",
    `p=image:${join(folder, "twice")}`,
    "--endpoint",
    `unix://${join(folder, "t.sock")}`,
  ]);
  await daemon.line("ready");
  daemon.child.kill("SIGTERM");
  daemon.child.kill("SIGINT");
  assert.deepEqual(await daemon.ended, { code: 0, signal: null });
});

test("a second server on the same socket is refused, and the first goes on", async () => {
  const first = serve([...pool(), "--init-pools", "--endpoint", socket()]);
  await first.line("ready");
  const second = serve([...pool(), "--endpoint", socket()]);
  assert.deepEqual(await second.ended, { code: 2, signal: null });
  assert.match(second.log(), /answers on .* already/);
  assert.equal((await holdfast("probe", "--csi-address", socket())).code, 0);
});

test("what is wrong with the configuration or the folder is one message, and exit code 2", async () => {
  const cases: [string[], RegExp][] = [
    [["--pool", `fast=image:${folder}/none`], /pool 'fast': path: the folder .*none is not there; make it/],
    [["--pool", `fast=image:${folder}/pool,colour=red`], /unknown option 'colour'/],
    [["--pool", `fast=directory:${folder}/pool,thick`], /pool 'fast': thick: /],
    [["--pool", `a=image:${folder}`, "--pool", `b=image:${folder}/pool`], /size: needed/],
    [["--pool", `fast=${folder}/none.ts:${folder}/pool`], /pool 'fast': backend: .*none\.ts can't be loaded/],
    [[...pool(), "--endpoint", join(folder, "none/csi.sock")], /directory of the socket is missing/],
  ];
  for (const [args, pattern] of cases) {
    const daemon = serve(["--endpoint", socket(), ...args].slice(args.includes("--endpoint") ? 2 : 0));
    assert.deepEqual(await daemon.ended, { code: 2, signal: null }, daemon.log());
    assert.match(daemon.log(), pattern);
    assert.equal(
      daemon
        .log()
        .trim()
        .split("\n")
        .filter((line) => line.startsWith("holdfast: ")).length,
      1,
      daemon.log(),
    );
  }
});

test("a folder without a marker does not stop the start; the driver is ready once it is a pool", async () => {
  const daemon = serve([...pool(), "--endpoint", socket()]);
  const waiting = await daemon.line("listening, but not ready");
  assert.match(String(waiting["missing"]), /pool init/);
  assert.equal((await holdfast("probe", "--csi-address", socket())).code, 1);
  const init = await holdfast("pool", "init", join(folder, "pool"), "--node-id", "a");
  assert.equal(init.code, 0, init.err);
  await daemon.line("ready");
  assert.equal((await holdfast("probe", "--csi-address", socket())).code, 0);
});

test("controller and node in two processes, each with Identity", async () => {
  const controller = serve([
    ...pool(),
    "--init-pools",
    "--services",
    "controller",
    "--endpoint",
    socket("controller.sock"),
  ]);
  await controller.line("ready");
  const node = serve([...pool(), "--services", "node", "--endpoint", socket("node.sock")]);
  await node.line("ready");
  const created = await holdfast(
    "volume",
    "create",
    "one",
    "--size",
    "64Mi",
    "--output",
    "id",
    "--csi-address",
    socket("controller.sock"),
  );
  assert.equal(created.code, 0, created.err);
  const refused = await holdfast("volume", "list", "--csi-address", socket("node.sock"));
  assert.match(refused.err, /UNIMPLEMENTED/);
  const info = await holdfast("info", "--output", "json", "--csi-address", socket("node.sock"));
  const { nodeId, plugin } = JSON.parse(info.out) as { nodeId: string; plugin: string[] };
  assert.deepEqual([nodeId, plugin.includes("CONTROLLER_SERVICE")], ["a", true]);
});

test("detach --force takes a volume from a node that is gone", async () => {
  const shared = pool(",shared,size=10Gi");
  const daemon = serve([...shared, "--init-pools", "--endpoint", socket()]);
  await daemon.line("ready");
  const address = ["--csi-address", socket()];
  const id = (await holdfast("volume", "create", "one", "--size", "64Mi", "--output", "id", ...address)).out.trim();
  const attached = await holdfast("volume", "attach", id, "--node", "a", ...address);
  assert.equal(attached.code, 0, attached.err);
  daemon.child.kill("SIGKILL");
  await daemon.ended;

  const needs = await holdfast("volume", "detach", id, "--force");
  assert.deepEqual([needs.code, /--force: works on the pool itself/.test(needs.err)], [2, true], needs.err);
  const forced = await holdfast("volume", "detach", id, "--force", "--node-id", "b", "--output", "json", ...shared);
  assert.equal(forced.code, 0, forced.err);
  assert.deepEqual((JSON.parse(forced.out) as { detachedFrom: string[] }).detachedFrom, ["a"]);
  const again = await holdfast("volume", "detach", id, "--force", "--node-id", "b", ...shared);
  assert.match(again.out, /attached to no node/);
});
