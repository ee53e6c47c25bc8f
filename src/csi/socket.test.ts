import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { EndpointError, socketPathOf } from "./endpoint.ts";
import { listenOn } from "./socket.ts";

let directory = "";
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "holdfast-socket-"));
});
after(() => rm(directory, { recursive: true, force: true }));

const nobody = () => {};

async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  }).finally(() => socket.destroy()) as Promise<boolean>;
}

/** The socket of a process that was killed. */
async function staleSocket(path: string): Promise<void> {
  const child = spawn(process.execPath, [
    "-e",
    `require("net").createServer().listen(${JSON.stringify(path)},()=>console.log())`,
  ]);
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal((await stat(path)).isSocket(), true);
}

test("the socket is private from the start, whatever the umask, and goes with close", async () => {
  const path = join(directory, "a.sock");
  const umask = process.umask(0);
  try {
    const listener = await listenOn(path, nobody);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal(process.umask(), 0);
    assert.deepEqual(await readdir(directory), ["a.sock"]);
    await listener.close();
    await listener.close();
    assert.deepEqual(await readdir(directory), []);
  } finally {
    process.umask(umask);
  }
});

test("a second server is refused and the first one goes on", async () => {
  const path = join(directory, "b.sock");
  const first = await listenOn(path, (socket) => socket.destroy());
  await assert.rejects(
    listenOn(path, nobody),
    (error) => error instanceof EndpointError && /answers on .*b\.sock already/.test(error.message),
  );
  assert.equal(await answers(path), true);
  assert.deepEqual(await readdir(directory), ["b.sock"]);
  await first.close();
});

test("a stale socket is replaced", async () => {
  const path = join(directory, "c.sock");
  await staleSocket(path);
  const listener = await listenOn(path, (socket) => socket.destroy());
  assert.equal(await answers(path), true);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await listener.close();
  assert.deepEqual(await readdir(directory), []);
});

test("of many that start at once over a stale socket exactly one wins, and it answers", async () => {
  const path = join(directory, "d.sock");
  for (let round = 0; round < 20; round++) {
    await staleSocketQuickly(path);
    const results = await Promise.allSettled([1, 2, 3].map(() => listenOn(path, (socket) => socket.destroy())));
    const won = results.filter((result) => result.status === "fulfilled");
    assert.equal(won.length, 1, JSON.stringify(results.map((result) => result.status)));
    assert.equal(await answers(path), true);
    for (const { value } of won) await value.close();
    assert.deepEqual(await readdir(directory), []);
  }
});

/** A socket's file outlives its server when the name that the server knew is gone. */
async function staleSocketQuickly(path: string): Promise<void> {
  const server = createServer().listen(`${path}.old`);
  await once(server, "listening");
  await rename(`${path}.old`, path);
  server.close();
  await once(server, "close");
}

test("close leaves a socket that another server made there meanwhile", async () => {
  const path = join(directory, "e.sock");
  const first = await listenOn(path, nobody);
  await rm(path);
  const second = await listenOn(path, (socket) => socket.destroy());
  await first.close();
  assert.equal(await answers(path), true);
  await second.close();
});

test("no directory, a file or a link in the way: a clear error, and nothing is touched", async () => {
  await assert.rejects(
    listenOn(join(directory, "none", "x.sock"), nobody),
    /directory of the socket is missing: mkdir -p .*none$/,
  );
  const file = join(directory, "file");
  await writeFile(file, "data");
  await assert.rejects(listenOn(file, nobody), /is not a socket/);
  const link = join(directory, "link");
  await symlink("nowhere", link);
  await assert.rejects(listenOn(link, nobody), /is not a socket/);
  await mkdir(join(directory, "dir"));
  await assert.rejects(listenOn(join(directory, "dir"), nobody), /is not a socket/);
  assert.deepEqual((await readdir(directory)).sort(), ["dir", "file", "link"]);
});

test("addresses", () => {
  for (const address of ["unix:///run/x.sock", "unix:/run/x.sock", "/run/x.sock", "/run/../run/x.sock"]) {
    assert.equal(socketPathOf(address), "/run/x.sock");
  }
  for (const address of ["tcp://0.0.0.0:1", "http://x", "", "unix://", "/run/", "/a\0b", `/${"x".repeat(107)}`]) {
    assert.throws(() => socketPathOf(address), EndpointError, address);
  }
});
