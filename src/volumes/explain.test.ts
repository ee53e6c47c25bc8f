import assert from "node:assert/strict";
import { constants } from "node:os";
import { test } from "node:test";
import { CommandError } from "../host/command.ts";
import { SystemError } from "../host/system-error.ts";
import { explain } from "./explain.ts";

const { EAGAIN, EIO, EMFILE, ENOLCK, ENOMEM } = constants.errno;

test("what the host lacks for a while is HOST_EXHAUSTED, which may be called again", () => {
  for (const errno of [EMFILE, ENOMEM, EAGAIN, ENOLCK]) {
    const problem = explain(new SystemError(errno, "open", { path: "/pool/x" }));
    assert.equal(problem.code, "HOST_EXHAUSTED", problem.message);
    assert.equal(problem.kind, "unavailable");
  }
});

test("a program that could not be started is the host's lack, one that ran and failed its own", () => {
  const cause = new SystemError(EAGAIN, "spawn", { path: "mkfs.ext4" });
  const options = { cause };
  assert.equal(explain(new CommandError("mkfs.ext4", [], "exit", "no", options)).code, "HOST_EXHAUSTED");
  assert.equal(explain(new CommandError("mkfs.ext4", [], "exit", "exit code 1")).code, "COMMAND_FAILED");
});

test("an error without a path names what the call is about", () => {
  const pathless = explain(new SystemError(EIO, "statx"), undefined, "volume 'pvc-1'");
  assert.match(pathless.message, /^volume 'pvc-1': statx: EIO \(i\/o error\); /);
  const named = explain(new SystemError(EIO, "statx", { path: "/pool/x" }), undefined, "volume 'pvc-1'");
  assert.match(named.message, /^statx \/pool\/x: EIO/);
});
