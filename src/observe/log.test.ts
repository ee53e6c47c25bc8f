import assert from "node:assert/strict";
import { test } from "node:test";
import { createLog } from "./log.ts";

function capture() {
  const lines: string[] = [];
  return { lines, write: (line: string) => lines.push(line) };
}

test("json: level by name, ISO time, the fields and the text, nothing of the host", () => {
  const out = capture();
  createLog({ level: "info", format: "json", destination: out }).info({ rpc: "Probe", ms: 3 }, "called");
  const line = JSON.parse(out.lines.join("")) as Record<string, unknown>;
  assert.match(String(line["time"]), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual({ ...line, time: "" }, { level: "info", time: "", rpc: "Probe", ms: 3, msg: "called" });
});

test("pretty: one readable line, odd values quoted, control characters harmless", () => {
  const out = capture();
  const log = createLog({ level: "info", format: "pretty", destination: out });
  log.warn({ volume: "a b", code: "OK", nasty: "x\n\x1b[2J" }, "two\nlines");
  assert.match(
    out.lines.join(""),
    /^[\d:.]{12} warn {2}two\\u000alines volume="a b" code=OK nasty="x\\n\\u001b\[2J"\n$/,
  );
});

test("an error brings its stack, in both formats", () => {
  const pretty = capture();
  createLog({ level: "info", format: "pretty", destination: pretty }).error({ error: new Error("boom") }, "failed");
  assert.match(pretty.lines.join(""), /failed\n {4}Error: boom\n {4} {4}at /);
  const json = capture();
  createLog({ level: "info", format: "json", destination: json }).error({ error: new Error("boom") }, "failed");
  assert.equal((JSON.parse(json.lines.join("")) as { error: { message: string } }).error.message, "boom");
});

test("a Problem has said all in its message, so its line has no stack", () => {
  const problem = Object.assign(new Error("the pool is full [POOL_FULL]"), { name: "Problem" });
  const pretty = capture();
  createLog({ level: "info", format: "pretty", destination: pretty }).error({ error: problem }, "failed");
  assert.match(pretty.lines.join(""), /failed\n {4}the pool is full \[POOL_FULL\]\n$/);
  const json = capture();
  createLog({ level: "info", format: "json", destination: json }).error({ error: problem }, "failed");
  const { error } = JSON.parse(json.lines.join("")) as { error: object };
  assert.deepEqual(error, { type: "Error", message: "the pool is full [POOL_FULL]" });
});

test("below the level nothing is written", () => {
  const out = capture();
  const log = createLog({ level: "warn", format: "json", destination: out });
  log.info({}, "no");
  log.debug({}, "no");
  assert.deepEqual(out.lines, []);
});
