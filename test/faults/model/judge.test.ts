/** The model itself: what it lets pass and what not, without a driver. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Call, Outcome, Sent } from "./calls.ts";
import { Judge, type Made } from "./judge.ts";

const traits = { attaches: false, mayRefuseGrowth: false, multiTarget: ["b"] };

function sent(call: Call, id = "1", fromId = ""): Sent {
  return { ...call, id, fromId };
}

/** One after another, unless `at` says when. */
let clock = 0;
function made(call: Sent, outcome: Outcome | undefined, at?: { readonly began: number; readonly ended: number }): Made {
  clock += 2;
  return { call, outcome, ...(at ?? { began: clock, ended: clock + 1 }) };
}
const ok = (value = ""): Outcome => ({ code: "OK", value });
const no = (code: string): Outcome => ({ code, value: "" });

const create: Call = { rpc: "create", volume: "a", size: 0 };
const stage: Call = { rpc: "stage", volume: "a", at: "0" };
const publish: Call = { rpc: "publish", volume: "a", at: "0", target: "0" };
const write = (seed: number): Call => ({ rpc: "write", volume: "a", target: "0", seed });
const snapshot: Call = { rpc: "snapshot", snapshot: "p", volume: "a" };
const remove: Call = { rpc: "delete", volume: "a" };
const restore: Call = { rpc: "create", volume: "c", from: "p" };
const readRestored: Call = { rpc: "read", volume: "c", target: "0" };

function judgeOf(...calls: readonly Made[]): Judge {
  const judge = new Judge(traits);
  for (const call of calls) judge.see([call]);
  return judge;
}

function refuses(judge: Judge, ...together: readonly Made[]): void {
  assert.throws(() => judge.see(together), /an answer that cannot be|no order of these calls/);
}

const there = () => made(sent(create), ok("1"));
const used = () => [there(), made(sent(stage), ok()), made(sent(publish), ok())];

test("a repeated create answers the same volume, and a new one never an ID that was told before", () => {
  judgeOf(there(), there());
  refuses(judgeOf(there()), made(sent(create), ok("2")));
  const gone = judgeOf(there(), made(sent(remove), ok()));
  refuses(gone, made(sent(create), ok("1")));
  judgeOf(there(), made(sent(remove), ok()), made(sent(create), ok("2")));
});

test("a volume in use is not deleted, and one that is not is", () => {
  refuses(judgeOf(...used()), made(sent(remove), ok()));
  judgeOf(...used(), made(sent(remove), no("FAILED_PRECONDITION")));
  refuses(judgeOf(there()), made(sent(remove), no("FAILED_PRECONDITION")));
});

test("a snapshot holds what was written before it, and nothing that was written after", () => {
  const judge = () =>
    judgeOf(
      ...used(),
      made(sent(write(1)), ok()),
      made(sent(snapshot), ok("s")),
      made(sent(write(2)), ok()),
      made(sent(restore, "1", "s"), ok("3")),
      made(sent({ rpc: "stage", volume: "c", at: "0" }, "3"), ok()),
      made(sent({ rpc: "publish", volume: "c", at: "0", target: "0" }, "3"), ok()),
    );
  judge().see([made(sent(readRestored, "3"), ok("1"))]);
  for (const wrong of ["", "1,2", "2"]) refuses(judge(), made(sent(readRestored, "3"), ok(wrong)));
});

test("calls at once have any order that their times allow, and no other", () => {
  const first = { began: 0, ended: 5 };
  const later = { began: 6, ended: 9 };
  const beside = { began: 4, ended: 9 };
  judgeOf(there()).see([made(sent(stage), ok(), beside), made(sent(remove), no("FAILED_PRECONDITION"), first)]);
  refuses(judgeOf(there()), made(sent(stage), ok(), later), made(sent(remove), no("FAILED_PRECONDITION"), first));
  refuses(judgeOf(there()), made(sent(stage), ok(), beside), made(sent(remove), ok(), first));
});

test("what nobody answered may be or not, until a repeat is answered", () => {
  const judge = () => judgeOf(made(sent(create), undefined));
  judge().see([made(sent({ rpc: "list" }), ok(""))]);
  judge().see([made(sent({ rpc: "list" }), ok("1 320 false"))]);
  const repeated = judge();
  repeated.see([made(sent(create), ok("1"))]);
  refuses(repeated, made(sent({ rpc: "list" }), ok("")));
  const seen = judge();
  seen.gone();
  seen.see([made(sent({ rpc: "list" }), ok("1 320 false"))]);
  refuses(seen, made(sent({ rpc: "list" }), ok("")));
});

test("a stage that was cut short counts as staged or not, until one is answered", () => {
  const cut = () => {
    const judge = judgeOf(there(), made(sent(stage), undefined));
    judge.gone();
    return judge;
  };
  for (const code of ["OK", "FAILED_PRECONDITION"]) cut().see([made(sent(publish), no(code))]);
  const tried = cut();
  tried.see([made(sent(remove), no("FAILED_PRECONDITION"))]);
  tried.see([made(sent(publish), no("FAILED_PRECONDITION"))]);
  tried.see([made(sent(stage), ok())]);
  refuses(tried, made(sent(publish), no("FAILED_PRECONDITION")));
});
