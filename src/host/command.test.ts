import assert from "node:assert/strict";
import { openSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { hasCapability } from "./capabilities.ts";
import { CommandError, run } from "./command.ts";
import { closeFile } from "./files.ts";

const fails = (reason: string, pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof CommandError);
  assert.equal(error.reason, reason);
  assert.match(error.message, pattern);
  return true;
};
const sh = (script: string) => ["-c", script];

test("output, input, locale and no shell", async () => {
  let pid = 0;
  const output = await run("cat", [], { input: "hello", onStart: (started) => (pid = started) });
  assert.equal(output.stdout, "hello");
  assert.ok(pid > 1);
  assert.equal((await run("sh", sh('echo "$LC_ALL"'))).stdout, "C\n");
  assert.equal((await run("echo", ["$HOME; true"])).stdout, "$HOME; true\n");
});

test("a failure carries the last words, the exit code and what was run", async () => {
  await assert.rejects(run("sh", sh("echo out; echo bad superblock >&2; exit 4")), (error: unknown) => {
    assert.ok(error instanceof CommandError);
    assert.equal(error.exitCode, 4);
    assert.equal(error.stdout, "out\n");
    return fails("exit", /^sh -c .*: exit code 4: bad superblock$/s)(error);
  });
  await assert.rejects(run("no-such-program", []), fails("missing", /no such program/));
  await assert.rejects(run("no-such-program", [], { memoryBytes: 1 << 28 }), fails("missing", /no such program/));
});

test("the whole group ends when its time is over or nobody waits for it", async () => {
  const started = performance.now();
  await assert.rejects(run("sh", sh("sleep 60 & sleep 60"), { timeoutMs: 50 }), fails("timeout", /after 50 ms/));
  const signal = AbortSignal.timeout(50);
  await assert.rejects(
    run("sh", sh("trap '' TERM; sleep 60 & wait; sleep 60"), { signal }),
    fails("aborted", /cancel/),
  );
  await assert.rejects(run("true", [], { signal }), fails("aborted", /not started/));
  assert.ok(performance.now() - started < 4000);
});

test("a program has a session of its own, no signal ignored or blocked, and only the descriptors it was given", async () => {
  const kept = openSync("/dev/zero", "r");
  try {
    let pid = 0;
    const { stdout } = await run("cat", ["/proc/self/stat"], { onStart: (started) => (pid = started) });
    const [, , , group, session] = stdout.slice(stdout.lastIndexOf(")")).split(" ");
    assert.deepEqual([group, session].map(Number), [pid, pid]);
    const status = (await run("cat", ["/proc/self/status"])).stdout;
    assert.match(status, /^SigBlk:\t0+$/m);
    assert.match(status, /^SigIgn:\t0+$/m);
    const list = await run("sh", sh("ls -l /proc/$$/fd"), { keeps: kept });
    // Whoever started the tests may have left others open, with high numbers.
    const open = [...list.stdout.matchAll(/ (\d{1,2}) -> (\S+)/g)].map(([, fd, to]) => [fd, to?.replace(/:.*/, "")]);
    assert.deepEqual(open, [
      ["0", "/dev/null"],
      ["1", "pipe"],
      ["2", "pipe"],
      ["3", "/dev/zero"],
    ]);
  } finally {
    await closeFile(kept);
  }
});

test("one that is cancelled while it is being started does not run on", async () => {
  const cancel = new AbortController();
  let pid = 0;
  const over = run("sleep", ["60"], { signal: cancel.signal, onStart: (started) => (pid = started) });
  cancel.abort();
  await assert.rejects(over, fails("aborted", /cancel/));
  assert.ok(pid > 1);
  assert.throws(() => process.kill(pid, 0), /ESRCH/);
});

test("many at once, each with its own words and end", async () => {
  const before = readdirSync("/proc/self/fd").length;
  const ends = await Promise.allSettled(
    Array.from({ length: 40 }, (_, n) => run("sh", sh(`echo ${n}; exit ${n}`), { input: "unread" })),
  );
  const codes = ends.map((end) => (end.status === "rejected" ? (end.reason as CommandError).exitCode : 0));
  assert.deepEqual(codes, [...ends.keys()]);
  assert.ok(ends.every((end, n) => (end.status === "rejected" ? end.reason : end.value).stdout === `${n}\n`));
  assert.equal(readdirSync("/proc/self/fd").length, before);
});

test("memory and output are limited", async () => {
  await assert.rejects(
    // The limit comes from outside, an instant after the start.
    run("sh", sh("sleep 0.3; exec dd if=/dev/zero of=/dev/null bs=512M count=1"), { memoryBytes: 256 << 20 }),
    fails("exit", /memory exhausted|Cannot allocate/),
  );
  const { stdout } = await run("head", ["-c", "3000000", "/dev/zero"]);
  assert.equal(stdout.length, 1 << 20);
});

test("capabilities are read from the mask", () => {
  assert.equal(hasCapability("CAP_SYS_RESOURCE", "CapEff:\t000001fffeffffff\n"), false);
  assert.equal(hasCapability("CAP_SYS_ADMIN", "CapEff:\t000001fffeffffff\n"), true);
  assert.equal(hasCapability("CAP_SYS_ADMIN", "nothing"), false);
});
