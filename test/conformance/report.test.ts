import assert from "node:assert/strict";
import { test } from "node:test";
import { configurations, nameOf } from "./configurations.ts";
import { parseReport } from "./junit.ts";
import { undeclared, wrongSkip } from "./skips.ts";

const report = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4"><testsuite name="s"><properties><property name="a" value="b"></property></properties>
<testcase name="[It] one &#34;quoted&#34;" classname="s" status="passed" time="0.25"></testcase>
<testcase name="[It] two" classname="s" status="skipped" time="0"><skipped message="skipped - ListVolumes not supported"></skipped></testcase>
<testcase name="[It] three" classname="s" status="failed" time="1"><failure message="expected &lt;1&gt;" type="failed">[FAILED] where</failure><system-err>noise</system-err></testcase>
<testcase name="[It] four" classname="s" status="pending" time="0"><skipped message="pending"></skipped></testcase>
<testcase name="[It] five" classname="s" status="interrupted" time="0"><error message="interrupted" type="interrupted"></error></testcase>
</testsuite></testsuites>`;

test("a report is read spec by spec", () => {
  const specs = parseReport(report);
  assert.deepEqual(
    specs.map(({ name, outcome }) => [name, outcome]),
    [
      ['one "quoted"', "passed"],
      ["two", "skipped"],
      ["three", "failed"],
      ["four", "pending"],
      ["five", "failed"],
    ],
  );
  assert.equal(specs[0]?.seconds, 0.25);
  assert.equal(specs[2]?.message, "expected <1>\n[FAILED] where");
});

test("a report that was cut off or is empty is refused", () => {
  assert.throws(() => parseReport(report.slice(0, -20)), /not whole/);
  assert.throws(() => parseReport('<testsuites tests="0"></testsuites>'), /not whole/);
});

test("a skip is right only for a capability that is not declared", () => {
  const skip = { name: "two", outcome: "skipped", message: "skipped - ListVolumes not supported", seconds: 0 } as const;
  assert.equal(wrongSkip(skip, new Set(["controller GET_CAPACITY"])), undefined);
  assert.match(wrongSkip(skip, new Set(["controller LIST_VOLUMES"])) ?? "", /declares controller LIST_VOLUMES/);
  assert.match(
    wrongSkip({ ...skip, message: "skipped - No MaxVolumesPerNode" }, new Set()) ?? "",
    /no missing capability/,
  );
});

test("the table has every pool, disk and use once", () => {
  assert.equal(configurations.length, 23);
  assert.equal(new Set(configurations.map(nameOf)).size, 23);
});

test("a driver that declares too little is found out", () => {
  const nothing = new Set<string>();
  assert.ok(undeclared({ backend: "image", shared: true }, nothing).includes("controller CLONE_VOLUME"));
  assert.ok(undeclared({ backend: "image", shared: true }, nothing).includes("controller PUBLISH_READONLY"));
  const directory = undeclared({ backend: "directory", shared: false }, nothing);
  assert.ok(!directory.includes("controller CLONE_VOLUME") && directory.includes("node STAGE_UNSTAGE_VOLUME"));
  assert.deepEqual(undeclared({ backend: "directory", shared: false }, new Set(directory)), []);
});
