import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ConfigError } from "./config-error.ts";
import { type Flags, loadConfig } from "./load.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-config-"));
after(() => rmSync(folder, { recursive: true }));

function file(text: string): string {
  const path = join(folder, "holdfast.yaml");
  writeFileSync(path, text);
  return path;
}
function refused(flags: Flags, ...patterns: RegExp[]): Promise<void> {
  return assert.rejects(
    () => loadConfig(flags, {}),
    (error: unknown) => {
      assert(error instanceof ConfigError, String(error));
      for (const pattern of patterns) assert.match(error.message, pattern);
      return true;
    },
  );
}
const fast = "pools: [{ name: fast, backend: image, path: /srv/fast }]\n";

test("defaults follow from the pools", async () => {
  const config = await loadConfig({ pool: ["fast=image:/srv/fast"], "node-id": "a" }, {});
  assert.deepEqual(config, {
    driverName: "local.csi.holdfast",
    nodeId: "a",
    endpoint: "unix:///run/holdfast/local.csi.holdfast/csi.sock",
    services: ["identity", "controller", "node"],
    logLevel: "info",
    pools: [{ name: "fast", backend: "image", path: "/srv/fast", shared: false, options: { extra: {} } }],
    maxVolumes: 0,
    initPools: false,
    controllerExpansion: true,
    graceSeconds: 20,
  });
  assert.equal((await loadConfig({ pool: ["s=directory:/srv/s,shared"] }, {})).driverName, "shared.csi.holdfast");
});

test("flags win over the environment, that over the file, that over the defaults", async () => {
  const config = file(`${fast}nodeId: file\nendpoint: unix:///run/file.sock\nlogLevel: warn\nservices: [node]\n`);
  const environment = { CSI_ENDPOINT: "/run/env.sock", KUBE_NODE_NAME: "kube" };
  const from = (flags: Flags, env = {}) => loadConfig({ config, ...flags }, env);
  assert.equal((await from({})).nodeId, "file");
  assert.equal((await from({})).logLevel, "warn");
  assert.deepEqual((await from({})).services, ["identity", "node"]);
  assert.equal((await from({}, environment)).nodeId, "kube");
  assert.equal((await from({}, { ...environment, HOLDFAST_NODE_ID: "own" })).nodeId, "own");
  assert.equal((await from({}, environment)).endpoint, "unix:///run/env.sock");
  assert.equal(
    (await from({ endpoint: "unix:/run/flag.sock", "node-id": "flag" }, environment)).endpoint,
    "unix:///run/flag.sock",
  );
  assert.equal((await from({ "node-id": "flag" }, environment)).nodeId, "flag");
  assert.equal((await from({ "log-level": "debug" })).logLevel, "debug");
});

test("a --pool replaces the file's pool of that name and adds to the others", async () => {
  const config = file(
    "pools:\n  - { name: fast, backend: image, path: fast, size: 1Gi }\n  - { name: slow, backend: directory, path: /srv/slow }\n",
  );
  const { pools } = await loadConfig(
    {
      config,
      pool: ["fast=image:/mnt/fast,size=2Gi,thick,overcommit=1.5,maxFreeze=500ms", "more=./x.ts:/srv/more,colour=red"],
    },
    {},
  );
  assert.deepEqual(
    pools.map((pool) => [pool.name, pool.path, pool.options]),
    [
      ["fast", "/mnt/fast", { size: 2 * 1024 ** 3, thick: true, overcommit: 1.5, maxFreeze: 500, extra: {} }],
      ["slow", "/srv/slow", { extra: {} }],
      ["more", "/srv/more", { extra: { colour: "red" } }],
    ],
  );
  assert.equal((await loadConfig({ config }, {})).pools[0]?.path, join(folder, "fast"), "relative to the file");
});

test("a mistake in the file is named by line, key and fix", async () => {
  const at = (text: string) => ({ config: file(text) });
  await refused(
    at("pools:\n  - name: fast\n    backend: image\n    path: /srv\n    sise: 1Gi\n"),
    /holdfast\.yaml:5: pools\[0\]\.sise: unknown key; did you mean "size"\?/,
  );
  await refused(at(`${fast}nodeID: a\n`), /:2: nodeID: unknown key; did you mean "nodeId"\?/);
  await refused(at(`${fast}zzzzz: a\n`), /zzzzz: unknown key; known are driverName, nodeId/);
  await refused(at("pools: [{ name: fast, backend: image }]\n"), /:1: pools\[0\]\.path: this key is required/);
  await refused(
    at("pools: [{ name: fast, backend: image, path: /srv, size: 10Zi }]\n"),
    /pools\[0\]\.size: '10Zi' is not a size/,
  );
  await refused(
    at("pools: [{ name: fast, backend: image, path: /srv, overcommit: 0 }]\n"),
    /overcommit: expected a number above 0/,
  );
  await refused(at("pools: [{ name: fast, backend: image, path: /srv, thick: 1 }]\n"), /thick: expected true or false/);
  await refused(
    at("pools: [{ name: fast, backend: image, path: /srv, maxFreeze: soon }]\n"),
    /maxFreeze: 'soon' is not a duration/,
  );
  await refused(at("pools: [3]\n"), /pools\[0\]: expected keys and values/);
  await refused(at("- 1\n"), /expected keys and values/);
  await refused(at("services: [nod]\n"), /services\[0\]: "nod" is not a service: write identity/);
  await refused(at("a: 1\na: 2\n"), /:2: not valid YAML/);
  await refused(at("a: [1\n"), /not valid YAML/);
  await refused(
    at(`${fast}logLevel: loud\nmaxVolumes: -1\n`),
    /logLevel: "loud" is not a log level/,
    /maxVolumes: expected 0 or more/,
  );
  await refused({ config: join(folder, "none.yaml") }, /--config .*none\.yaml: there is no such file/);
});

test("a mistake in a flag is named by the flag", async () => {
  const pool = ["fast=image:/srv/fast"];
  await refused({ pool, "log-level": "loud" }, /^--log-level: "loud" is not a log level/);
  await refused({ pool, services: "controller,nodes" }, /^--services: "nodes" is not a service/);
  await refused({ pool, endpoint: "tcp://0.0.0.0:1" }, /^--endpoint: .*unix:\/\/\/absolute/);
  await refused({ pool, endpoint: `unix:///${"x".repeat(120)}` }, /^--endpoint/);
  await refused({ pool, "max-volumes": "many" }, /^--max-volumes: expected a whole number/);
  await refused({ pool: ["fast"] }, /--pool fast: write it as NAME=BACKEND:PATH/);
  await refused({ pool: ["fast=image:/srv,sise=1Gi"] }, /--pool .*: unknown option 'sise'; did you mean "size"/);
  await refused({ pool: ["fast=image:/srv,size=1Gi,size=2Gi"] }, /given twice/);
  await refused({ pool: ["fast=image:/srv,thick=maybe"] }, /thick: expected true or false/);
  await refused({ pool: ["fast=image:/srv,overcommit="] }, /overcommit: expected a number/);
});

test("names are what CSI and Kubernetes take", async () => {
  const pool = ["fast=image:/srv/fast"];
  for (const name of ["", "a..b", "-a", "a-", "1a", "a1", "A.b", "a_b", "a/b", `a${"b".repeat(63)}`]) {
    await refused({ pool, "driver-name": name }, /^--driver-name: .*lower case domain name/);
  }
  for (const name of ["", "-a", "a/b", "a b", "ä", "a".repeat(64), ".", "a\n"])
    await refused({ pool, "node-id": name }, /^--node-id: .*at most 63/);
  assert.equal(
    (await loadConfig({ pool, "node-id": "a".repeat(63), "driver-name": `a.${"b".repeat(61)}` }, {})).nodeId.length,
    63,
  );
  await assert.rejects(loadConfig({ pool }, { HOLDFAST_NODE_ID: "a b" }), /HOLDFAST_NODE_ID/);
});

test("pools that can't be served together are refused", async () => {
  await refused({}, /no pool is configured/);
  await refused({ pool: ["a=image:/a,shared", "b=image:/b"] }, /'a' is shared and 'b' is local/);
  await refused({ pool: ["a=image:/a", "a=image:/b"] }, /two pools have the name 'a'/);
  await refused({ pool: ["a=image:/a", "b=image:/a/"] }, /two pools have the path '\/a'/);
  await refused({ pool: ["a=imag:/a"] }, /backend: 'imag' is not known/);
  await refused({ pool: ["a=image:/"] }, /path: is the root/);
});

test("kubernetes: the role, its defaults, the socket beside the kubelet, and what each role serves", async () => {
  const pool = ["fast=image:/srv/fast"];
  const shared = ["s=image:/srv/s,shared"];
  const node = await loadConfig({ pool, kubernetes: true }, {});
  assert.deepEqual(node.kubernetes, {
    role: "node",
    kubeletDir: "/var/lib/kubelet",
    capacity: true,
    snapshotController: false,
  });
  assert.equal(node.endpoint, "unix:///var/lib/kubelet/plugins/local.csi.holdfast/csi.sock");
  assert.deepEqual(node.services, ["identity", "controller", "node"]);
  const moved = file(`${fast}kubernetes: { kubeletDir: /var/lib/k0s/kubelet, namespace: storage, capacity: false }\n`);
  const k0s = await loadConfig({ config: moved, kubeconfig: "/etc/k.conf" }, {});
  assert.equal(k0s.endpoint, "unix:///var/lib/k0s/kubelet/plugins/local.csi.holdfast/csi.sock");
  const { namespace, capacity, kubeconfig } = k0s.kubernetes ?? {};
  assert.deepEqual([namespace, capacity, kubeconfig], ["storage", false, "/etc/k.conf"]);
  assert.deepEqual((await loadConfig({ pool: shared, kubernetes: "node" }, {})).services, ["identity", "node"]);
  const controller = await loadConfig({ pool: shared, kubernetes: "controller" }, {});
  assert.deepEqual(controller.services, ["identity", "controller"]);
  assert.equal(controller.endpoint, "unix:///run/holdfast/shared.csi.holdfast/csi.sock");
  const services = await loadConfig({ pool: shared, kubernetes: "node", services: "controller,node" }, {});
  assert.deepEqual(services.services, ["identity", "controller", "node"]);
});

test("kubernetes: the controller of local pools leaves them to their nodes", async () => {
  const alone = await loadConfig({ kubernetes: "controller" }, {});
  assert.deepEqual([alone.pools, alone.driverName, alone.kubernetes?.role], [[], "local.csi.holdfast", "controller"]);
  assert.deepEqual((await loadConfig({ kubernetes: "controller", pool: ["fast=image:/srv/fast"] }, {})).pools, []);
  await refused({ kubernetes: "node" }, /no pool is configured/);
  await refused({ kubernetes: "leader", pool: ["a=image:/a"] }, /^--kubernetes: "leader" is not a role/);
  await refused({ kubeconfig: "/etc/k.conf", pool: ["a=image:/a"] }, /--kubeconfig: .*--kubernetes/);
  await refused(
    { config: file(`${fast}kubernetes: { kubletDir: /a }\n`) },
    /kubernetes\.kubletDir: unknown key; did you mean "kubeletDir"/,
  );
});

test("a health port is a port, or an address and a port", async () => {
  const pool = ["fast=image:/srv/fast"];
  assert.deepEqual((await loadConfig({ pool, "health-port": "127.0.0.1:9808" }, {})).healthPort, {
    host: "127.0.0.1",
    port: 9808,
  });
  assert.deepEqual((await loadConfig({ config: file(`${fast}healthPort: 9808\n`) }, {})).healthPort, { port: 9808 });
  await refused({ pool, "health-port": "http" }, /^--health-port: 'http' is not a port/);
});
