import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, stat, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { TestKubelet } from "../../../test/support/kubelet-plugins.ts";
import type { RunningServer } from "../../csi/grpc-server.ts";
import { startServer } from "../../csi/server.ts";
import { createLog } from "../../observe/log.ts";
import { type Registrar, startRegistrar } from "./registrar.ts";

const driverName = "local.csi.holdfast";
const socketName = `${driverName}-reg.sock`;
let scratch = "";
let registry = "";
let lines: string[] = [];
let stop = new AbortController();
let cleanUp: (() => unknown)[] = [];

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "holdfast-registrar-"));
  registry = join(scratch, "plugins_registry");
  await mkdir(registry);
  lines = [];
  stop = new AbortController();
  cleanUp = [];
});
afterEach(async () => {
  for (const end of cleanUp.reverse()) await end();
  await rm(scratch, { recursive: true, force: true });
});

const log = createLog({ level: "debug", format: "json", destination: { write: (line) => lines.push(line) } });
const csiSocket = () => join(scratch, "csi.sock");

async function startDriver(): Promise<RunningServer> {
  const server = await startServer({
    endpoint: csiSocket(),
    services: new Set(["identity"]),
    rules: { readiness: { ready: async () => undefined } },
    info: { driverName, vendorVersion: "1.2.3" },
    log: createLog({ level: "silent", format: "json" }),
  });
  cleanUp.push(() => server.stop({ graceMs: 0 }));
  return server;
}

function register(more: { readonly kubeletRegistrationPath?: string } = {}): Registrar {
  const registrar = startRegistrar({
    csiAddress: `unix://${csiSocket()}`,
    registryFolder: registry,
    log,
    signal: stop.signal,
    timing: { firstWait: 20, longestWait: 100, check: 50, patience: 200 },
    ...more,
  });
  cleanUp.push(async () => {
    stop.abort();
    await registrar.ended;
  });
  return registrar;
}

function kubelet(refuse?: () => string | undefined): TestKubelet {
  const one = new TestKubelet(registry, refuse);
  cleanUp.push(() => one.stop());
  return one;
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await holds())) {
    assert(Date.now() < end, `never: ${what}\n${lines.join("")}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const inode = async () => (await stat(join(registry, socketName))).ino;
const logged = (text: string) => lines.filter((line) => line.includes(text)).length;

test("the kubelet gets the driver's name, the path of its socket and the version, over a private socket", async () => {
  await startDriver();
  const node = kubelet();
  const registrar = register({ kubeletRegistrationPath: "/var/lib/kubelet/plugins/x/csi.sock" });
  await until("registered", () => registrar.waitsFor() === undefined);
  assert.deepEqual(node.plugins, [
    { name: driverName, endpoint: "/var/lib/kubelet/plugins/x/csi.sock", versions: ["1.0.0"] },
  ]);
  assert.deepEqual(await readdir(registry), [socketName]);
  assert.equal((await stat(join(registry, socketName))).mode & 0o777, 0o600);
  assert.equal(logged("the kubelet has registered the driver"), 1);
});

test("at the signal the socket goes, and the kubelet takes the driver away", async () => {
  await startDriver();
  const node = kubelet();
  const registrar = register();
  await until("registered", () => registrar.waitsFor() === undefined);
  stop.abort();
  await registrar.ended;
  assert.deepEqual(await readdir(registry), []);
  await until("unregistered", () => node.events.at(-1) === `unregistered ${driverName}`);
});

test("a refused registration is told and tried again with a new socket, which the kubelet alone would not do", async () => {
  await startDriver();
  const answers = ["rpc error: NodeGetInfo failed", 'node "a" not found', undefined];
  const node = kubelet(() => answers.shift());
  const registrar = register();
  await until("registered", () => registrar.waitsFor() === undefined);
  assert.deepEqual(
    node.events.filter((event) => !event.startsWith("unregistered")),
    [`refused ${driverName}`, `refused ${driverName}`, `registered ${driverName}`],
  );
  assert.equal(logged("rpc error: NodeGetInfo failed"), 1);
  assert.equal(logged('node \\"a\\" not found'), 1);
});

test("a kubelet that starts again registers the driver at the same socket", async () => {
  await startDriver();
  const first = kubelet();
  const registrar = register();
  await until("registered", () => registrar.waitsFor() === undefined);
  const before = await inode();
  first.stop();
  const second = kubelet();
  await until("registered again", () => second.events.length > 0);
  assert.deepEqual(second.events, [`registered ${driverName}`]);
  assert.equal(await inode(), before);
});

test("a driver that is not there yet is waited for, and one that starts again stays registered", async () => {
  const node = kubelet();
  const registrar = register();
  await until("a word about the driver", () => logged("no driver answers") > 0);
  assert.match(registrar.waitsFor() ?? "", /no driver answers/);
  const driver = await startDriver();
  await until("registered", () => registrar.waitsFor() === undefined);
  const before = await inode();
  await driver.stop({ graceMs: 0 });
  await startDriver();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual([await inode(), node.events], [before, [`registered ${driverName}`]]);
});

test("the socket of a killed process is replaced; that of a living one is left alone until it is gone", async () => {
  await startDriver();
  const path = join(registry, socketName);
  const listening = `require("net").createServer().listen(${JSON.stringify(path)},()=>console.log())`;
  const other = spawn(process.execPath, ["-e", listening]);
  await once(other.stdout, "data");
  const foreign = await inode();
  const registrar = register();
  await until("a word about the other", () => logged("a server answers") > 0);
  assert.equal(await inode(), foreign);
  other.kill("SIGKILL");
  await once(other, "exit");
  kubelet();
  await until("registered", () => registrar.waitsFor() === undefined);
  assert.notEqual(await inode(), foreign);
});

test("a socket that somebody removed is made anew; a folder that is missing is waited for", async () => {
  await startDriver();
  await rm(registry, { recursive: true });
  const registrar = register();
  await until("a word about the folder", () => logged("the directory of the socket is missing") > 0);
  await mkdir(registry);
  const node = kubelet();
  await until("registered", () => registrar.waitsFor() === undefined);
  await unlink(join(registry, socketName));
  await until("registered again", () => node.events.filter((event) => event.startsWith("registered")).length === 2);
  assert.equal(logged("somebody removed"), 1);
});

test("a kubelet that never asks is told of, once", async () => {
  await startDriver();
  const registrar = register();
  await until("the word", () => logged("the kubelet has not asked for the driver") === 1);
  assert.match(registrar.waitsFor() ?? "", /has not asked/);
});

test("what fails again and again does not fill the log", async () => {
  register();
  await new Promise((resolve) => setTimeout(resolve, 900));
  const times = logged("it is tried again");
  assert.ok(times >= 3 && times <= 4, `${times} lines`);
});
