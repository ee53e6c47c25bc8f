import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { folder as manifestFolder, rendered } from "../../deploy/manifests.ts";
import { type Flags, loadConfig } from "../../src/config/load.ts";
import { needsOf } from "../../src/kubernetes/needs.ts";
import { codeBlocks, pages } from "../docs/pages.ts";
import { renderChart } from "../support/cluster/chart.ts";
import { run } from "../support/run.ts";
import { scratchFor } from "../support/scratch.ts";

const root = join(import.meta.dirname, "../..");
const chart = join(root, "deploy/chart");
const json = (path: string) => JSON.parse(readFileSync(join(root, path), "utf8"));

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: string[];
  readonly securityContext: { readonly privileged?: boolean; readonly readOnlyRootFilesystem: boolean };
  readonly volumeMounts: { readonly mountPath: string; readonly mountPropagation?: string }[];
}
interface Item {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly provisioner?: string;
  readonly spec: {
    readonly attachRequired: boolean;
    readonly storageCapacity: boolean;
    readonly volumeLifecycleModes: string[];
    readonly replicas?: number;
    readonly template: {
      readonly spec: {
        readonly serviceAccountName: string;
        readonly initContainers?: Container[];
        readonly containers: Container[];
      };
    };
  };
  readonly rules?: { readonly apiGroups: string[]; readonly resources: string[]; readonly verbs: string[] }[];
  readonly data?: Record<string, string>;
}

async function items(values: Record<string, unknown> = {}): Promise<Item[]> {
  const documents = parseAllDocuments(await renderChart(values));
  return documents.map((document) => document.toJS() as Item).filter((item) => item !== null);
}

function one(all: readonly Item[], kind: string, name?: RegExp): Item {
  const found = all.filter((item) => item.kind === kind && (name === undefined || name.test(item.metadata.name)));
  assert.equal(found.length, 1, `${found.length} of ${kind} ${name ?? ""}`);
  return found[0] as Item;
}

const containers = (item: Item) => item.spec.template.spec.containers;
const sharedPools = [{ name: "s", backend: "image", path: "/mnt/s", shared: true }];
const refuses = (values: Record<string, unknown>, words: RegExp) => assert.rejects(renderChart(values), words);

describe("the chart", () => {
  test("is of the program's version, and Helm finds nothing to mend", async () => {
    const { version, appVersion } = parse(readFileSync(join(chart, "Chart.yaml"), "utf8"));
    assert.deepEqual([version, appVersion], Array(2).fill(json("package.json").version));
    assert.match(await run("sh", [join(root, "scripts/helm.sh"), "lint", "--strict", chart]), /0 chart\(s\) failed/);
  });

  test("deploy/manifests is what it renders", () => {
    for (const [name, text] of rendered()) {
      assert.equal(readFileSync(join(manifestFolder, name), "utf8"), text, `${name}: run npm run generate`);
    }
  });

  test("takes for a pool what the configuration takes, and rootDisk", () => {
    const ours = json("deploy/chart/values.schema.json").properties.pools.items;
    const drivers = json("docs/reference/configuration.schema.json").properties.pools.items;
    const { rootDisk, ...keys } = ours.properties;
    assert.deepEqual(Object.keys(keys).sort(), Object.keys(drivers.properties).sort());
    assert.deepEqual(ours.required, drivers.required);
    assert.equal(rootDisk.type, "boolean");
  });

  test("renders with every values file that the documents show", async () => {
    const shown = [...pages()].flatMap(([, page]) =>
      codeBlocks(page, "yaml").filter((text) => /^# values of/.test(text)),
    );
    assert.ok(shown.length > 0);
    for (const text of shown) assert.ok((await items(parse(text) as Record<string, unknown>)).length > 0);
  });

  test("refuses what is wrong before anything is installed", async () => {
    await refuses({ sidecar: "upstream" }, /sidecar/);
    await refuses({ sidecars: "none" }, /sidecars/);
    await refuses({ pools: [] }, /pools/);
    await refuses({ pools: [{ name: "p", backend: "image", path: "relative" }] }, /path/);
    await refuses({ pools: [{ name: "p", backend: "image", path: "/p", sise: "1Gi" }] }, /sise/);
    await refuses({ kubeletDir: "/var/lib/kubelet/" }, /kubeletDir/);
    const local = { name: "l", backend: "image", path: "/l" };
    await refuses({ pools: [local, ...sharedPools] }, /s is shared and l is local: install the chart twice/);
  });

  test("local pools: one container on each node, one small controller without powers", async () => {
    const all = await items({ kubeletDir: "/var/lib/k0s/kubelet" });
    const driver = one(all, "CSIDriver");
    assert.equal(driver.metadata.name, "local.csi.holdfast");
    assert.equal(driver.spec.attachRequired, false);
    assert.equal(driver.spec.storageCapacity, true);
    assert.deepEqual(driver.spec.volumeLifecycleModes, ["Persistent", "Ephemeral"]);
    const node = one(all, "DaemonSet");
    assert.deepEqual(
      containers(node).map(({ name }) => name),
      ["holdfast"],
    );
    const mounts = containers(node)[0]?.volumeMounts ?? [];
    for (const path of ["/var/lib/k0s/kubelet", "/srv/holdfast"]) {
      assert.equal(mounts.find(({ mountPath }) => mountPath === path)?.mountPropagation, "Bidirectional", path);
    }
    const controller = one(all, "StatefulSet");
    assert.equal(controller.spec.replicas, 1);
    assert.equal(containers(controller)[0]?.securityContext.privileged, undefined);
    assert.notEqual(controller.spec.template.spec.serviceAccountName, node.spec.template.spec.serviceAccountName);
    for (const item of [node, controller]) {
      const { initContainers = [] } = item.spec.template.spec;
      for (const { securityContext } of [...initContainers, ...containers(item)]) {
        assert.equal(securityContext.readOnlyRootFilesystem, true);
      }
    }
  });

  test("a folder becomes a pool only where a disk is mounted, or where the values take the root disk", async () => {
    const pools = [
      { name: "disk", backend: "image", path: "/srv/disk" },
      { name: "root", backend: "directory", path: "/srv/root", rootDisk: true },
    ];
    const all = await items({ pools });
    const script = one(all, "DaemonSet").spec.template.spec.initContainers?.[0]?.args[0] ?? "";
    assert.match(script, /pool init \/srv\/disk --backend image --only-mounted/);
    assert.match(script, /pool init \/srv\/root --backend directory \|\|/);
    const config = parse(one(all, "ConfigMap").data?.["config.yaml"] ?? "");
    assert.deepEqual(config.pools, [pools[0], { name: "root", backend: "directory", path: "/srv/root" }]);
  });

  test("the driver takes the configuration of each role", async (t) => {
    const scratch = scratchFor(t);
    const take = async (all: readonly Item[], key: string, flags: Flags) => {
      const file = join(scratch.path, key);
      writeFileSync(file, one(all, "ConfigMap").data?.[key] ?? "");
      return loadConfig({ ...flags, config: file }, { KUBE_NODE_NAME: "n1" });
    };
    const config = { logLevel: "debug", kubernetes: { capacity: false } };
    const values = { kubeletDir: "/var/lib/k0s/kubelet", config };
    const local = await items(values);
    const node = await take(local, "config.yaml", { kubernetes: true });
    assert.equal(node.endpoint, "unix:///var/lib/k0s/kubelet/plugins/local.csi.holdfast/csi.sock");
    assert.equal(node.kubernetes?.capacity, false);
    assert.equal(node.logLevel, "debug");
    const controller = await take(local, "controller.yaml", { kubernetes: "controller" });
    assert.deepEqual(controller.pools, []);
    const shared = await items({ ...values, pools: sharedPools });
    assert.equal((await take(shared, "config.yaml", { kubernetes: true })).driverName, "shared.csi.holdfast");
    await take(shared, "config.yaml", { kubernetes: "controller", endpoint: "unix:///run/holdfast/csi.sock" });
    const upstream = await items({ ...values, sidecars: "upstream" });
    const classic = await take(upstream, "config.yaml", {});
    assert.equal(classic.endpoint, node.endpoint);
    assert.equal(classic.kubernetes, undefined);
  });

  test("roles: a node reads no Secret unless one is named, holds no Lease and attaches nothing", async () => {
    const resources = (all: readonly Item[], name: RegExp) =>
      all
        .filter((item) => /Role$/.test(item.kind) && name.test(item.metadata.name))
        .flatMap(({ rules = [] }) => rules.flatMap((rule) => rule.resources));
    const plain = await items({ "snapshots.enabled": true });
    for (const never of ["secrets", "leases", "volumeattachments", "pods"]) {
      assert.ok(!resources(plain, /-node$/).includes(never), never);
    }
    assert.ok(!resources(plain, /./).includes("secrets"));
    const named = await items({ secrets: [{ namespace: "keys", name: "pool-key" }] });
    assert.equal(one(named, "Role", /secret-pool-key/).metadata.namespace, "keys");
    assert.deepEqual(resources(await items({ pools: sharedPools }), /-node$/), []);
  });

  test("roles grant what the helpers need, to the verb, and nothing else", async () => {
    const cases = [
      { role: "node", shared: false },
      { role: "controller", shared: false },
      { role: "node", shared: true },
      { role: "controller", shared: true },
    ] as const;
    for (const { role, shared } of cases) {
      const all = await items({ "snapshots.enabled": true, ...(shared ? { pools: sharedPools } : {}) });
      const granted = all
        .filter((item) => /Role$/.test(item.kind) && item.metadata.name.endsWith(`-${role}`))
        .flatMap(({ kind, rules = [] }) =>
          rules.flatMap(({ apiGroups, resources, verbs }) =>
            resources.flatMap((resource) => verbs.map((verb) => `${kind} ${apiGroups.join(",")}/${resource} ${verb}`)),
          ),
        );
      const needed = needsOf(role, shared).flatMap(({ group, resource, verbs, inNamespace }) =>
        verbs.map((verb) => `${inNamespace ? "Role" : "ClusterRole"} ${group}/${resource} ${verb}`),
      );
      assert.deepEqual(granted.sort(), needed.sort(), `${role}, ${shared ? "shared" : "local"}`);
    }
  });

  test("policies are there for local pools, unless they were refused", async () => {
    const count = async (values: Record<string, unknown>) =>
      (await items(values)).filter(({ kind }) => kind.startsWith("ValidatingAdmissionPolicy")).length;
    assert.equal(await count({}), 18);
    assert.equal(await count({ "policies.enabled": false }), 0);
  });

  test("upstream sidecars, local pools: provisioner and snapshotter on each node, one resizer, no controller expansion", async () => {
    const all = await items({ sidecars: "upstream", "snapshots.enabled": true });
    const node = containers(one(all, "DaemonSet"));
    assert.deepEqual(
      node.map(({ name }) => name),
      ["holdfast", "registrar", "livenessprobe", "provisioner", "snapshotter"],
    );
    for (const name of ["provisioner", "snapshotter"]) {
      assert.ok(node.find((container) => container.name === name)?.args.includes("--node-deployment"), name);
    }
    const controller = containers(one(all, "StatefulSet"));
    assert.deepEqual(
      controller.map(({ name, image }) => `${name} ${image}`),
      ["resizer registry.k8s.io/sig-storage/csi-resizer:v2.2.0"],
    );
    const config = parse(one(all, "ConfigMap").data?.["config.yaml"] ?? "");
    assert.equal(config.controllerExpansion, false);
    assert.equal(config.kubernetes, undefined);
  });

  test("the upstream sidecars are of the versions that the tests of the cluster run", () => {
    const { upstream } = parse(readFileSync(join(chart, "values.yaml"), "utf8"));
    const modules = ["sidecars", "snapshotter"].map((name) =>
      readFileSync(join(root, `test/cluster/${name}/go.mod`), "utf8"),
    );
    for (const name of ["provisioner", "attacher", "resizer", "snapshotter"]) {
      const tried = new RegExp(`kubernetes-csi/external-${name}/v\\d+ (v\\S+)`).exec(modules.join("\n"))?.[1];
      assert.equal(upstream[name], `csi-${name}:${tried}`);
    }
  });

  test("shared pools: attached, and one controller does what is for all", async () => {
    const ours = await items({ pools: sharedPools });
    const driver = one(ours, "CSIDriver");
    assert.equal(driver.metadata.name, "shared.csi.holdfast");
    assert.equal(driver.spec.attachRequired, true);
    assert.equal(one(ours, "StorageClass").provisioner, "shared.csi.holdfast");
    const upstream = await items({ pools: sharedPools, sidecars: "upstream", "snapshots.enabled": true });
    assert.deepEqual(
      containers(one(upstream, "StatefulSet")).map(({ name }) => name),
      ["holdfast", "provisioner", "attacher", "resizer", "snapshotter", "livenessprobe"],
    );
    assert.deepEqual(
      containers(one(upstream, "DaemonSet")).map(({ name }) => name),
      ["holdfast", "registrar", "livenessprobe"],
    );
  });
});
