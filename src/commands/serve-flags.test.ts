import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../config/config-error.ts";
import { parseServeFlags } from "./serve-flags.ts";

test("flags are read, with --pool repeated", () => {
  const flags = parseServeFlags(["--pool", "a=image:/a", "--pool=b=image:/b", "--init-pools", "--log-level", "debug"]);
  assert.deepEqual({ ...flags }, { pool: ["a=image:/a", "b=image:/b"], "init-pools": true, "log-level": "debug" });
});

test("mistakes are named by the flag", () => {
  const refused = (args: string[], pattern: RegExp) =>
    assert.throws(
      () => parseServeFlags(args),
      (error: unknown) => error instanceof ConfigError && pattern.test(error.message),
      args.join(" "),
    );
  refused(["--pol", "a"], /^--pol: unknown option; did you mean "pool"\?/);
  refused(["-x"], /^-x: unknown option/);
  refused(["/srv"], /no argument '\/srv'/);
  refused(["--config"], /^--config: needs a value: --config <file>/);
  refused(["--init-pools=yes"], /^--init-pools: takes no value/);
  refused(["--endpoint", "/a", "--endpoint", "/b"], /^--endpoint: given twice/);
});

test("a value that may be left out is joined by an equals sign", () => {
  assert.deepEqual({ ...parseServeFlags(["--kubernetes", "--init-pools"]) }, { kubernetes: true, "init-pools": true });
  assert.deepEqual({ ...parseServeFlags(["--kubernetes=controller"]) }, { kubernetes: "controller" });
  assert.throws(() => parseServeFlags(["--kubernetes", "controller"]), /serve takes no argument 'controller'/);
});
