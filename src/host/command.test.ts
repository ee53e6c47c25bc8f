import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCapability } from "./capabilities.ts";
import { CommandError, run } from "./command.ts";

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
