/** Our messages against the published ones of CSI 1.12: test/wire/main.go is the other side. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import { file_csi } from "../../src/csi/gen/csi_pb.ts";

const root = join(import.meta.dirname, "../..");
const samplesOfEachType = 20;
let scratch = "";
let wirecheck = "";

before(() => {
  scratch = mkdtempSync(join(tmpdir(), "holdfast-wire-"));
  wirecheck = execFileSync("sh", [join(root, "scripts/wire-check.sh")], { encoding: "utf8" }).trim();
});
after(() => rmSync(scratch, { recursive: true, force: true }));

/** Compares a protocol file's declarations with the published ones. */
function compare(proto: string): { status: number | null; stdout: string } {
  const folder = mkdtempSync(join(scratch, "proto-"));
  writeFileSync(join(folder, "csi.proto"), proto);
  const set = join(folder, "csi.binpb");
  execFileSync(join(root, "node_modules/.bin/buf"), ["build", folder, "-o", set], {
    env: { ...process.env, PATH: `${join(process.execPath, "..")}:${process.env["PATH"] ?? ""}` },
  });
  return spawnSync(wirecheck, ["compare", set], { encoding: "utf8" });
}

const ours = readFileSync(join(root, "proto/csi.proto"), "utf8");

test("every service, message, field, number, enum, oneof and option is the published one", () => {
  const { status, stdout } = compare(ours);
  assert.equal(stdout, "");
  assert.equal(status, 0);
});

test("the comparison sees a wrong number, a wrong type, a lost secret mark and a lost message", () => {
  const wrong = ours
    .replace("string volume_id = 2;", "string volume_id = 22;")
    .replace("int64 required_bytes", "int32 required_bytes")
    .replace("secrets = 5 [(csi_secret) = true]", "secrets = 5")
    .replace("message ProbeRequest {}", "message ProbeQuestion {}")
    .replace("Probe(ProbeRequest)", "Probe(ProbeQuestion)");
  const { status, stdout } = compare(wrong);
  assert.equal(status, 1);
  for (const name of [
    "Volume.volume_id",
    "CapacityRange.required_bytes",
    "CreateVolumeRequest.secrets",
    "ProbeRequest",
  ]) {
    assert.match(stdout, new RegExp(`^csi\\.v1\\.${name.replace(".", "\\.")}: `, "m"));
  }
});

interface Sample {
  readonly type: string;
  readonly sent: string | null;
}

/** Each sample decoded and encoded again by us, as wirecheck wants to read it. */
function returned(lines: readonly string[]): string {
  const registry = createRegistry(file_csi);
  return lines
    .map((line) => {
      const { type, sent } = JSON.parse(line) as Sample;
      const schema = registry.getMessage(type);
      assert.ok(schema, `we have no ${type}`);
      // Fields that we do not know must be missed, not carried along unseen.
      const message = fromBinary(schema, Buffer.from(sent ?? "", "base64"), { readUnknownFields: false });
      return JSON.stringify({ type, sent, back: Buffer.from(toBinary(schema, message)).toString("base64") });
    })
    .join("\n");
}

test("random messages of every type, encoded by the published package, come back equal", () => {
  const filled = execFileSync(wirecheck, ["fill", String(samplesOfEachType)], { encoding: "utf8", maxBuffer: 2 ** 28 });
  const lines = filled.trim().split("\n");
  assert.ok(lines.length >= 90 * samplesOfEachType, `${lines.length} samples`);
  const { status, stdout, stderr } = spawnSync(wirecheck, ["same"], {
    input: returned(lines),
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  assert.equal(stdout.slice(0, 2000), "");
  assert.equal(status, 0);
  assert.equal(stderr, `${lines.length} messages compared\n`);
});

test("the generated code is the one that proto/ makes", () => {
  const template = join(scratch, "buf.gen.yaml");
  const out = join(scratch, "gen");
  writeFileSync(template, readFileSync(join(root, "buf.gen.yaml"), "utf8").replace(/out: .*/, `out: ${out}`));
  execFileSync(join(root, "node_modules/.bin/buf"), ["generate", "--template", template], {
    cwd: root,
    env: {
      ...process.env,
      PATH: `${join(process.execPath, "..")}:${join(root, "node_modules/.bin")}:${process.env["PATH"] ?? ""}`,
    },
  });
  assert.equal(readFileSync(join(out, "csi_pb.ts"), "utf8"), readFileSync(join(root, "src/csi/gen/csi_pb.ts"), "utf8"));
});
