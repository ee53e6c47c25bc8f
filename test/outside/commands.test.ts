import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { aVolume, testServer } from "../../src/csi/test-server.ts";
import { Problem } from "../../src/pools/problem.ts";
import type { CreateVolumeRequest, PublishRequest, StageRequest } from "../../src/volumes/api.ts";

const bin = join(import.meta.dirname, "../../bin/holdfast");

/** Runs the command as a person does. */
function holdfast(args: string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const clean = { ...process.env, CSI_ENDPOINT: undefined, ...env };
    execFile(bin, args, { env: clean, timeout: 20_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
    });
  });
}

test("volume create sends what was typed and prints what came back", async () => {
  let asked: CreateVolumeRequest | undefined;
  await using server = await testServer({
    controller: {
      create: async (request) => {
        asked = request;
        return aVolume;
      },
    },
  });
  const secret = join(server.directory, "secret");
  writeFileSync(secret, "hush\n");
  const done = await holdfast(
    [
      ...[
        "volume",
        "create",
        "data",
        "--size",
        "1.5Gi",
        "--limit",
        "2Gi",
        "--fs-type",
        "xfs",
        "--mount-flag",
        "noatime",
      ],
      ...[
        "--mount-flag",
        "nodev",
        "--mode",
        "SINGLE_NODE_MULTI_WRITER",
        "--param",
        "pool=fast",
        "--param",
        "mkfsOptions=-m reflink=1",
      ],
      ...[
        "--from-snapshot",
        "s1",
        "--topology",
        "k/node=a",
        "--topology",
        "k/node=b",
        "--secret-file",
        `key=${secret}`,
      ],
    ],
    { CSI_ENDPOINT: `unix://${server.path}` },
  );
  assert.equal(done.code, 0, done.err);
  assert.deepEqual(asked, {
    name: "data",
    capacity: { required: 1.5 * 1024 ** 3, limit: 2 * 1024 ** 3 },
    capabilities: [
      { access: "mount", mode: "SINGLE_NODE_MULTI_WRITER", fsType: "xfs", mountFlags: ["noatime", "nodev"] },
    ],
    parameters: { pool: "fast", mkfsOptions: "-m reflink=1" },
    source: { snapshotId: "s1" },
    topology: { requisite: [{ "k/node": "a" }, { "k/node": "b" }], preferred: [{ "k/node": "a" }, { "k/node": "b" }] },
  });
  assert.match(done.out, /^id {8}v1\nsize {6}4\.54Ti\n/);
  assert.match(done.out, /topology {2}local\.csi\.holdfast\/node=a/);
});

test("lists page through, and --output json is JSON", async () => {
  const tokens: string[] = [];
  await using server = await testServer({
    controller: {
      list: async ({ token = "", max = 0 }) => {
        tokens.push(`${token}:${max}`);
        const first = { ...aVolume, id: "v1" };
        return token === ""
          ? { entries: [first, { ...aVolume, id: "v2" }], next: "t" }
          : { entries: [{ ...aVolume, id: "v3" }], next: "" };
      },
      listSnapshots: async () => ({
        entries: [{ id: "s1", sourceVolumeId: "v1", size: 1024 ** 3, created: 1_700_000_000_000, ready: true }],
        next: "",
      }),
    },
  });
  const all = await holdfast(["volume", "list", "--csi-address", server.path]);
  assert.deepEqual(tokens, [":500", "t:500"]);
  assert.match(all.out, /^ID {2}SIZE {4}NODES {2}SOURCE\nv1 {2}4\.54Ti {2}a {6}-\nv2 .*\nv3 .*\n$/);
  const json = await holdfast(["volume", "list", "--max", "2", "--output", "json", "--csi-address", server.path]);
  const volumes = JSON.parse(json.out) as { id: string; capacityBytes: number }[];
  assert.deepEqual([volumes.map(({ id }) => id), volumes[0]?.capacityBytes], [["v1", "v2"], aVolume.capacity]);
  const snapshots = await holdfast(["snapshot", "list", "--csi-address", server.path]);
  assert.match(snapshots.out, /s1 {2}1Gi {3}2023-11-14T22:13:20\.000Z {2}yes {4}v1/);
});

test("stage and publish make the folders, and ask the driver for the context", async () => {
  const seen: { stage?: StageRequest; publish?: PublishRequest } = {};
  await using server = await testServer({
    controller: { get: async () => aVolume },
    node: {
      stage: async (request) => {
        seen.stage = request;
      },
      publish: async (request) => {
        seen.publish = request;
      },
      stats: async () => [{ unit: "BYTES", total: 2048, used: 1024, available: 1024 }],
    },
  });
  const staging = join(server.directory, "staging/v1");
  const target = join(server.directory, "pods/a/data");
  const address = ["--csi-address", server.path];
  const staged = await holdfast(["volume", "stage", "v1", "--staging-path", staging, ...address]);
  assert.equal(staged.code, 0, staged.err);
  assert.deepEqual(seen.stage?.context, { kind: "test" });
  assert.equal(seen.stage?.stagingPath, staging);
  const published = await holdfast([
    "volume",
    "publish",
    "v1",
    "--block",
    "--readonly",
    "--staging-path",
    staging,
    "--target-path",
    target,
    ...address,
  ]);
  assert.equal(published.code, 0, published.err);
  assert.deepEqual(
    [seen.publish?.targetPath, seen.publish?.readonly, seen.publish?.capability.access],
    [target, true, "block"],
  );
  const stats = await holdfast(["volume", "stats", "v1", "--path", target, ...address]);
  assert.match(stats.out, /BYTES {2}2Ki {4}1Ki {3}1Ki/);
});

test("an error has its code, its message and what to do, and exit code 1", async () => {
  await using server = await testServer({
    controller: {
      remove: () => Promise.reject(new Problem("VOLUME_IN_USE", "the volume v1 is staged on a")),
      validate: async () => "it is too small",
    },
  });
  const address = ["--csi-address", server.path];
  const text = await holdfast(["volume", "delete", "v1", ...address]);
  assert.equal(text.code, 1);
  assert.match(
    text.err,
    /^holdfast: DeleteVolume: FAILED_PRECONDITION: the volume v1 is staged on a; unpublish.*\[VOLUME_IN_USE\]\n$/,
  );
  const json = await holdfast(["volume", "delete", "v1", "--output", "json", ...address]);
  assert.equal((JSON.parse(json.err) as { error: { code: string } }).error.code, "FAILED_PRECONDITION");
  const refused = await holdfast(["volume", "validate", "v1", "--context", "a=b", ...address]);
  assert.deepEqual([refused.code, refused.out], [1, "not supported: it is too small\n"]);
  const nobody = await holdfast(["probe", "--csi-address", `${server.path}.none`]);
  assert.equal(nobody.code, 1);
  assert.match(nobody.err, /Probe: UNAVAILABLE: no driver answers at .*\n {2}check that the driver runs/);
});

test("info and probe tell what the driver is", async () => {
  await using server = await testServer({});
  const info = await holdfast(["info", "--output", "json", "--csi-address", server.path]);
  const told = JSON.parse(info.out) as { name: string; nodeId: string; controller: string[]; plugin: string[] };
  assert.deepEqual([told.name, told.nodeId], ["local.csi.holdfast", "a"]);
  assert(told.controller.includes("CREATE_DELETE_VOLUME") && told.plugin.includes("CONTROLLER_SERVICE"), info.out);
  assert.match((await holdfast(["probe", "--csi-address", server.path])).out, /^ready \(/);
});

test("mistakes on the command line give exit code 2 and name the option", async () => {
  const cases: [string[], RegExp][] = [
    [["volume", "create", "a", "--size", "10Zi"], /--size.*'10Zi' is not a size/],
    [["volume", "create"], /missing required argument 'name'/],
    [["volume", "create", "a", "--block", "--fs-type", "xfs"], /--block.*cannot be used with/],
    [["volume", "create", "a", "--mode", "ANY"], /--mode.*SINGLE_NODE_WRITER/],
    [["volume", "create", "a", "--param", "x"], /--param.*key=value/],
    [["volume", "create", "a", "--secret-file", "k=/none"], /--secret-file.*can't be read/],
    [["volume", "creat"], /unknown command 'creat'/],
    [["volum"], /unknown command 'volum'[\s\S]*Did you mean volume/],
    [["volume", "list", "--csi-address", "tcp://a:1"], /tcp:\/\/a:1.*unix:\/\/\//],
    [["completion", "tcsh"], /'tcsh'.*bash, zsh, fish/],
    [["serve", "--pol", "x"], /--pol: unknown option; did you mean "pool"/],
    [["serve", "--config", "/none.yaml"], /--config \/none\.yaml: there is no such file/],
  ];
  for (const [args, pattern] of cases) {
    const { code, out, err } = await holdfast(args);
    assert.deepEqual([code, out], [2, ""], `${args.join(" ")}: ${out}${err}`);
    assert.match(err, pattern);
  }
});

test("--help and --version are everywhere", async () => {
  for (const args of [
    ["--help"],
    ["serve", "--help"],
    ["volume", "--help"],
    ["volume", "create", "--help"],
    ["doctor", "-h"],
  ]) {
    const { code, out } = await holdfast(args);
    assert.equal(code, 0, args.join(" "));
    assert.match(out, /^Usage: holdfast/);
  }
  assert.match((await holdfast(["--version"])).out, /^\d+\.\d+\.\d+\n$/);
});
