import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { lockFile } from "../host/locks.ts";
import { Problem } from "../pools/problem.ts";
import type { Call } from "./api.ts";
import { Ledger } from "./ledger.ts";

const subject = { key: "p/volume/1", label: "volume 'a'", lockPaths: [] };

function call(rpc: string, signal: AbortSignal = new AbortController().signal): Call {
  return { rpc, signal, requestId: "r1", deadline: Date.now() + 5000 };
}

function gate(): { open: () => void; passed: Promise<void> } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
}

test("a repeat joins, another request is told who holds the volume, at which step, with which child", async () => {
  const ledger = new Ledger();
  const door = gate();
  let runs = 0;
  const work = (progress: { step(what: string): void; child(pid: number, program: string): void }) => {
    runs += 1;
    progress.step("making the file system");
    progress.child(42, "mkfs.ext4");
    return door.passed.then(() => "done");
  };
  const first = ledger.run(subject, call("NodeStageVolume"), "same", work);
  const second = ledger.run(subject, call("NodeStageVolume"), "same", work);
  await new Promise(setImmediate);
  await assert.rejects(ledger.run(subject, call("NodeUnstageVolume"), "x", work), (error) => {
    assert.ok(error instanceof Problem);
    assert.equal(error.code, "OPERATION_RUNNING");
    assert.match(
      error.message,
      /NodeStageVolume.*making the file system.*mkfs\.ext4 \(process 42\).*gives up at.*s ago/s,
    );
    return true;
  });
  door.open();
  assert.deepEqual(await Promise.all([first, second]), ["done", "done"]);
  assert.equal(runs, 1);
  assert.equal(await ledger.run(subject, call("NodeUnstageVolume"), "x", async () => "next"), "next");
});

test("work that can be redone stops with its last caller; a long copy goes on and the repeat finds it", async () => {
  const ledger = new Ledger();
  const left = new AbortController();
  let stopped = false;
  const stoppable = ledger.run(subject, call("NodeStageVolume", left.signal), "a", (progress) => {
    return new Promise<void>((_resolve, reject) => {
      progress.signal.addEventListener("abort", () => {
        stopped = true;
        reject(progress.signal.reason);
      });
    });
  });
  left.abort(new DOMException("gone", "AbortError"));
  await assert.rejects(stoppable, (error) => error instanceof Problem && error.code === "CALL_CANCELLED");
  assert.ok(stopped);
  await new Promise(setImmediate);

  const door = gate();
  const impatient = new AbortController();
  const copy = () => door.passed.then(() => "copied");
  const first = ledger.run(subject, call("CreateVolume", impatient.signal), "b", copy, { goesOn: true });
  impatient.abort(new DOMException("late", "TimeoutError"));
  await assert.rejects(first, (error) => error instanceof Problem && error.code === "CALL_TIMED_OUT");
  const again = ledger.run(subject, call("CreateVolume"), "b", () => Promise.reject(new Error("ran twice")), {
    goesOn: true,
  });
  door.open();
  assert.equal(await again, "copied");
});

test("a lasting part goes on without callers; what comes after it does not", async () => {
  const ledger = new Ledger();
  const [check, mount] = [gate(), gate()];
  const left = new AbortController();
  const reached: string[] = [];
  const first = ledger.run(subject, call("NodeStageVolume", left.signal), "a", async (operation) => {
    await operation.lasting(async () => {
      await check.passed;
      reached.push("checked");
    });
    reached.push(operation.signal.aborted ? "stopped" : "went on");
    mount.open();
  });
  left.abort(new DOMException("late", "TimeoutError"));
  await assert.rejects(first, /CALL_TIMED_OUT/);
  check.open();
  await mount.passed;
  assert.deepEqual(reached, ["checked", "stopped"]);
});

test("between processes a lock file decides, tells what its holder does, and is gone afterwards", async () => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-test-"));
  try {
    const lockPath = join(folder, "volume-1");
    const other = await lockFile(lockPath);
    assert.ok(!("heldBy" in other));
    other.write(
      `DeleteVolume (request r9), at the step 'deleting', since ${new Date(Date.now() - 2000).toISOString()}`,
    );
    const ledger = new Ledger();
    const blocked = ledger.run(
      { ...subject, lockPaths: [lockPath] },
      call("NodeStageVolume"),
      "a",
      async () => "never",
    );
    await assert.rejects(blocked, /DeleteVolume.*deleting.*2\.\d s ago/);
    await other.release();
    assert.equal(
      await ledger.run({ ...subject, lockPaths: [lockPath] }, call("NodeStageVolume"), "a", async () => "now"),
      "now",
    );
    assert.deepEqual(await readdir(folder), []);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("on a local pool the lock file stays for the next operation; the last one and the end take it away", async () => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-test-"));
  try {
    const ledger = new Ledger();
    const local = { ...subject, lockPaths: [join(folder, "volume-1")], local: true };
    const seen = () => readdir(folder);
    assert.deepEqual(await ledger.run(local, call("NodeStageVolume"), "a", seen), ["volume-1"]);
    assert.deepEqual(await seen(), ["volume-1"]);
    const other = await lockFile(join(folder, "volume-1"));
    assert.ok("write" in other, "it rests, so another process may take it");
    other.write("DeleteVolume of another process");
    const blocked = ledger.run(local, call("NodePublishVolume"), "a", async () => "never");
    await assert.rejects(blocked, /held by DeleteVolume of another process/);
    await other.release();
    await ledger.run(local, call("NodePublishVolume"), "a", async () => undefined);
    await ledger.run(local, call("DeleteVolume"), "a", async () => undefined, { last: true });
    assert.deepEqual(await seen(), []);
    await ledger.run(local, call("CreateVolume"), "a", async () => undefined);
    await ledger.stop(0);
    assert.deepEqual(await seen(), []);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("stopping refuses new operations and waits for running ones", async () => {
  const ledger = new Ledger();
  const door = gate();
  const running = ledger.run(subject, call("CreateVolume"), "a", () => door.passed);
  const stopping = ledger.stop(5000);
  await assert.rejects(
    ledger.run(subject, call("GetCapacity"), "b", async () => undefined),
    /STOPPING/,
  );
  door.open();
  await Promise.all([running, stopping]);
});

test("who asks again while the work of a caller that left is being undone is told to call again, not that he left", async () => {
  const ledger = new Ledger();
  const caller = new AbortController();
  const work = async () => {
    await delay(50);
    throw new Error("undone");
  };
  const first = ledger.run(subject, call("NodeStageVolume", caller.signal), "a", work);
  await delay(5);
  caller.abort();
  await assert.rejects(first, { code: "CALL_CANCELLED" });
  await assert.rejects(ledger.run(subject, call("NodeStageVolume"), "a", work), { code: "OPERATION_RUNNING" });
});

test("stopping gives up an operation that waits for ever", async () => {
  const ledger = new Ledger();
  const stuck = ledger.run(subject, call("NodeUnstageVolume"), "a", () => new Promise<never>(() => undefined));
  stuck.catch(() => undefined);
  const began = Date.now();
  await ledger.stop(0);
  assert.ok(Date.now() - began < 10_000);
});
