import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { connect as connectSocket, createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../src/csi/client.ts";
import { writeFiles } from "../support/content.ts";
import { serveOnce, startDriver } from "../support/driver.ts";
import { createVolume, placeFor, refused, takeVolume } from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { attempt } from "../support/run.ts";
import { scratchFor } from "../support/scratch.ts";

/** The program as a user without any right. */
const asNobody = (program: string, ...args: string[]) =>
  attempt("setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", program, ...args]);

describe("who may use the driver", () => {
  test("an unprivileged user can neither use the socket nor read the pool", async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, "xfs");
    const pool = join(disk.path, "pool");
    mkdirSync(pool);
    chmodSync(scratch.path, 0o755);
    const folder = join(scratch.path, "run");
    mkdirSync(folder, { mode: 0o755 });
    const driver = await startDriver(scratch, { pools: [`p=image:${pool}`], folder });
    assert.equal(lstatSync(driver.socket).mode & 0o777, 0o600);
    const volume = await createVolume(driver, "secret");
    const place = await takeVolume(scratch, driver, volume);
    writeFiles(place.target, "s", 1);

    assert.equal((await asNobody("ls", folder)).code, 0, "the user can go as far as the socket's folder");
    const knock =
      'socket(S, AF_UNIX, SOCK_STREAM, 0); print connect(S, sockaddr_un($ARGV[0])) ? "connected" : "$!{EACCES}"';
    const answer = await asNobody("perl", "-MSocket", "-MErrno", "-e", knock, driver.socket);
    assert.match(
      answer.stdout,
      /^[1-9][0-9]*$/,
      `not refused for want of permission: ${answer.stdout}${answer.stderr}`,
    );
    assert.notEqual((await asNobody("ls", pool)).code, 0, "the pool's folder can be listed");
    for (const entry of readdirSync(pool, { recursive: true, encoding: "utf8" })) {
      const path = join(pool, entry);
      if (lstatSync(path).isFile()) assert.notEqual((await asNobody("cat", path)).code, 0, `${path} can be read`);
    }
    assert.notEqual((await asNobody("touch", join(pool, "x"))).code, 0);
    await place.release();
    await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
  });

  test("a second server on the same socket is refused, and the first goes on", async (t) => {
    const scratch = scratchFor(t);
    const driver = await startDriver(scratch, { pools: [`p=directory:${makeFolder(scratch.path, "pool")}`] });
    const other = makeFolder(scratch.path, "other");
    const second = await serveOnce(driver.socket, [`q=directory:${other}`]);
    assert.notEqual(second.code, 0);
    assert.ok(second.stderr.includes(driver.socket) || second.stdout.includes(driver.socket), second.stderr);
    assert.equal((await driver.client.identity.probe({})).ready ?? true, true);
    const fresh = connect(driver.socket);
    assert.equal((await fresh.identity.probe({})).ready ?? true, true);
    fresh.close();
  });

  test("a stale socket is replaced; a file that is none is not touched", async (t) => {
    const scratch = scratchFor(t);
    const driver = await startDriver(scratch, { pools: [`p=directory:${makeFolder(scratch.path, "pool")}`] });
    await driver.kill();
    assert.ok(existsSync(driver.socket), "a killed server leaves its socket");
    await driver.start();
    await driver.stop();
    assert.equal(existsSync(driver.socket), false, "a stopped one does not");
    writeFileSync(driver.socket, "mine");
    const refusedStart = await serveOnce(driver.socket, [`p=directory:${join(scratch.path, "pool")}`]);
    assert.notEqual(refusedStart.code, 0);
    assert.equal(lstatSync(driver.socket).isFile(), true);
  });

  test("another program's socket that answers nothing is not taken over", async (t) => {
    const scratch = scratchFor(t);
    const path = join(makeFolder(scratch.path, "run"), "csi.sock");
    const foreign = createServer(() => {}).listen(path);
    await once(foreign, "listening");
    const outcome = await serveOnce(path, [`p=directory:${makeFolder(scratch.path, "pool")}`]);
    foreign.close();
    assert.notEqual(outcome.code, 0);
    assert.ok(`${outcome.stderr}${outcome.stdout}`.includes(path));
  });

  test("garbage on the socket ends that connection and nothing else", async (t) => {
    const scratch = scratchFor(t);
    const driver = await startDriver(scratch, { pools: [`p=directory:${makeFolder(scratch.path, "pool")}`] });
    for (const garbage of [
      "GET / HTTP/1.1\r\n\r\n",
      Buffer.alloc(65536, 0xff),
      Buffer.alloc(100),
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxx",
    ]) {
      const socket = connectSocket(driver.socket);
      socket.on("error", () => {}); // the driver may reset it
      socket.write(garbage);
      await Promise.race([once(socket, "close").catch(() => {}), sleep(300)]);
      socket.destroy();
    }
    assert.equal((await driver.client.identity.probe({})).ready ?? true, true);
  });

  test("a message over the size limit is refused and the next one is served", async (t) => {
    const scratch = scratchFor(t);
    const driver = await startDriver(scratch, { pools: [`p=directory:${makeFolder(scratch.path, "pool")}`] });
    const parameters = { large: "x".repeat(16 * 1024 * 1024) };
    await refused(createVolume(driver, "large", { use: "directory", parameters }), [
      "RESOURCE_EXHAUSTED",
      "INVALID_ARGUMENT",
    ]);
    assert.deepEqual((await driver.client.controller.listVolumes({})).entries, []);
  });
});

describe("stopping", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`${signal}: what runs finishes, the socket goes, the exit code is 0`, async (t) => {
      const scratch = scratchFor(t);
      const disk = await makePoolDisk(scratch, "xfs");
      const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`] });
      const volume = await createVolume(driver, "v");
      const place = placeFor(scratch, driver, volume);
      const work = Promise.allSettled([place.take()]);
      await sleep(5);
      assert.equal(await driver.stop(signal), 0);
      assert.equal(existsSync(driver.socket), false);
      await refused(driver.client.identity.probe({}, { timeoutMs: 2000 }), ["UNAVAILABLE", "DEADLINE_EXCEEDED"]);
      await work;
      await driver.start();
      await place.take();
      await place.release();
      await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
    });
  }
});

function makeFolder(parent: string, name: string): string {
  const folder = join(parent, name);
  mkdirSync(folder);
  return folder;
}
