/**
 * Runs csi-sanity over the table of configurations and prints what came out:
 *   run.ts CSI-SANITY COUNTS-FILE [FILTER]
 * COUNTS-FILE gets the sums as "passed failed skipped"; only configurations whose name contains FILTER are run.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { attempt } from "../support/run.ts";
import { makeScratch, type Scratch } from "../support/scratch.ts";
import { type Configuration, configurations, nameOf } from "./configurations.ts";
import { parseReport, type Spec } from "./junit.ts";
import { declaredCapabilities, skippedFor, undeclared, wrongSkip } from "./skips.ts";
import { formatSkips, formatTable } from "./table.ts";

export interface Result {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
  /** The capabilities that are not declared, for each of which specs were skipped. */
  readonly skippedFor: readonly string[];
  /** One a failure: which spec and why. */
  readonly failures: readonly string[];
}

const gib = 1024 ** 3;
/** What csi-sanity 5.5.0 has; one of them is pending upstream. */
const allSpecs = 96;

async function runOne(sanity: string, one: Configuration): Promise<Result> {
  const name = nameOf(one);
  const begun = performance.now();
  const seconds = () => (performance.now() - begun) / 1000;
  const scratch = makeScratch();
  let specs: Spec[] = [];
  const failures: string[] = [];
  try {
    const { report, declared, log } = await playSuite(sanity, one, scratch);
    specs = report;
    if (specs.length !== allSpecs) failures.push(`${specs.length} specs were run and ${allSpecs} were expected`);
    for (const capability of undeclared(one, declared)) failures.push(`the driver does not declare ${capability}`);
    for (const spec of specs) {
      const wrong = spec.outcome === "skipped" ? wrongSkip(spec, declared) : undefined;
      if (wrong) failures.push(`${spec.name}: ${wrong}`);
      if (spec.outcome === "failed") failures.push(`${spec.name}: ${spec.message}`);
    }
    if (failures.length > 0)
      failures.push(`the driver's last words:\n${log.trimEnd().split("\n").slice(-15).join("\n")}`);
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error));
  }
  await scratch.end().catch((error: unknown) => failures.push(String(error)));
  const count = (outcome: Spec["outcome"]) => specs.filter((spec) => spec.outcome === outcome).length;
  const skipped = count("skipped") - failures.filter((failure) => failure.includes(": skipped ")).length;
  const failed = specs.length - count("passed") - skipped - count("pending");
  return {
    name,
    passed: count("passed"),
    failed: failures.length > 0 ? Math.max(1, failed) : 0,
    skipped,
    seconds: seconds(),
    skippedFor: specs.filter(({ outcome }) => outcome === "skipped").map(skippedFor),
    failures,
  };
}

async function playSuite(sanity: string, one: Configuration, scratch: Scratch) {
  const disk = await makePoolDisk(scratch, one.disk, { bytes: 64 * gib });
  const folder = join(disk.path, "pool");
  mkdirSync(folder);
  const pools = [`p=${one.backend}:${folder}${one.shared ? ",shared=true" : ""}`];
  const limit = one.shared ? ["--max-volumes", "4"] : [];
  const serve = (...services: string[]) =>
    startDriver(scratch, { pools, args: [...limit, ...services.flatMap((each) => ["--services", each])] });
  const node = one.split ? await serve("identity,node") : await serve();
  const driver = one.split ? await serve("identity,controller") : node;
  const parameters = join(scratch.path, "parameters.yaml");
  writeFileSync(parameters, `pool: p\n${one.fsType ? `fsType: ${one.fsType}\n` : ""}`);
  const declared = await declaredCapabilities(driver.client, node.client);
  const report = join(scratch.path, "report.xml");
  const outcome = await attempt(
    sanity,
    [
      `-csi.endpoint=unix://${node.socket}`,
      ...(one.split ? [`-csi.controllerendpoint=unix://${driver.socket}`] : []),
      `-csi.mountdir=${join(scratch.path, "mount")}`,
      `-csi.stagingdir=${join(scratch.path, "staging")}`,
      `-csi.testvolumesize=${gib}`,
      `-csi.testvolumeexpandsize=${2 * gib}`,
      `-csi.testvolumeaccesstype=${one.access}`,
      `-csi.testvolumeparameters=${parameters}`,
      ...(one.shared ? ["-csi.testnodevolumeattachlimit"] : []),
      `-csi.junitfile=${report}`,
      "-ginkgo.no-color",
    ],
    { timeoutMs: 180_000 },
  );
  const specs = readReport(report, outcome.stdout + outcome.stderr);
  const left = await driver.client.controller.listVolumes({});
  if (left.entries.length > 0) throw new Error(`${left.entries.length} volumes are left in the pool after the suite`);
  return { report: specs, declared, log: one.split ? `${node.log()}\n${driver.log()}` : driver.log() };
}

function readReport(file: string, said: string): Spec[] {
  try {
    return parseReport(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(`csi-sanity left no report: ${said.slice(-2000)}`, { cause: error });
  }
}

const [sanity = "", countsFile = "", filter = ""] = process.argv.slice(2);
const wanted = configurations.filter((one) => nameOf(one).includes(filter));
const results = new Map<string, Result>();
const queue = [...wanted];
// Two at a time: one waits for mkfs and mount while the other computes.
await Promise.all(
  [1, 2].map(async () => {
    for (let one = queue.shift(); one; one = queue.shift()) {
      const result = await runOne(sanity, one);
      results.set(result.name, result);
      const verdict = result.failures.length > 0 ? "FAILED" : "ok";
      console.log(`${verdict.padEnd(6)} ${result.name} (${result.seconds.toFixed(1)} s)`);
      for (const failure of result.failures) console.log(failure.replace(/^/gm, "       "));
    }
  }),
);
const ordered = wanted.map((one) => results.get(nameOf(one))).filter((result) => result !== undefined);
console.log(`\n${formatTable(ordered)}\n${formatSkips(ordered)}`);
const sum = (of: (result: Result) => number) => ordered.reduce((total, result) => total + of(result), 0);
writeFileSync(countsFile, `${sum((r) => r.passed)} ${sum((r) => r.failed)} ${sum((r) => r.skipped)}\n`);
process.exitCode = ordered.some((result) => result.failures.length > 0) ? 1 : 0;
