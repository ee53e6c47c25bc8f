/** The chart and the manifests on a real API server: it takes every object, and what is uninstalled leaves nothing. */
import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { codeBlocks, pages } from "../docs/pages.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { run } from "../support/run.ts";
import { scratchFor } from "../support/scratch.ts";

const root = join(import.meta.dirname, "../..");

interface Policy {
  readonly metadata: { readonly name: string };
  readonly status?: { readonly typeChecking?: { readonly expressionWarnings?: readonly object[] } };
}

test("installed by Helm and by kubectl", async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  const helm = (...args: string[]) =>
    run("sh", [join(root, "scripts/helm.sh"), ...args, "--kubeconfig", plane.admin, "--namespace", "holdfast"]);
  const chart = join(root, "deploy/chart");
  const policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
  const definitions = () => plane.kubectl("get", "customresourcedefinitions", "-o", "name");

  await t.test(
    "a cluster without snapshots gets the definitions only with the controller that serves them",
    async () => {
      await helm("install", "holdfast", chart, "--create-namespace");
      assert.equal(await definitions(), "");
      await helm("uninstall", "holdfast", "--wait");
      await helm("install", "holdfast", chart, "--set", "snapshots.controller=true");
      assert.match(await definitions(), /volumesnapshots\.snapshot\.storage\.k8s\.io/);
      assert.match(await plane.kubectl("get", "volumesnapshotclass", "-o", "name"), /\/holdfast$/m);
    },
  );

  await t.test("the API server finds nothing wrong with the policies' expressions", async () => {
    const all = await plane.until("they were checked", async () => {
      const found = await plane.api.list<Policy>(policies);
      return found.every(({ status }) => status?.typeChecking) ? found : undefined;
    });
    assert.equal(all.length, 9);
    for (const { metadata, status } of all) {
      assert.equal(status?.typeChecking?.expressionWarnings, undefined, metadata.name);
    }
  });

  await t.test(
    "upgraded to the upstream sidecars and back, with local pools that are still the same driver",
    async () => {
      await helm("upgrade", "holdfast", chart, "--reuse-values", "--set", "sidecars=upstream");
      const resizer = await plane.kubectl("-n", "holdfast", "get", "statefulset", "-o", "yaml");
      assert.match(resizer, /csi-resizer/);
      await helm("upgrade", "holdfast", chart, "--reuse-values", "--set", "sidecars=holdfast");
    },
  );

  await t.test("the API server takes every object that the tutorial shows", async () => {
    const page = pages().get("docs/tutorials/one-node-cluster.md") ?? "";
    const shown = codeBlocks(page, "yaml").filter((text) => text.startsWith("apiVersion:"));
    assert.equal(shown.length, 3);
    for (const [index, text] of shown.entries()) {
      const file = join(scratch.path, `${index}.yaml`);
      writeFileSync(file, text);
      await plane.kubectl("apply", "--dry-run=server", "-f", file);
    }
  });

  await t.test("shared pools beside local ones, as a second release", async () => {
    const values = join(scratch.path, "shared.json");
    const storageClasses = [{ name: "shared" }];
    const pools = [{ name: "s", backend: "image", path: "/mnt/s", shared: true }];
    writeFileSync(values, JSON.stringify({ pools, storageClasses, snapshots: { classes: [{ name: "shared" }] } }));
    await helm("install", "shared", chart, "--values", values);
    const drivers = await plane.kubectl("get", "csidrivers", "-o", "jsonpath={range .items[*]}{.metadata.name} {end}");
    assert.equal(drivers.trim(), "local.csi.holdfast shared.csi.holdfast");
    await helm("uninstall", "shared", "--wait");
  });

  await t.test("uninstalled, nothing is left but the definitions", async () => {
    await helm("uninstall", "holdfast", "--wait");
    const kinds = "csidrivers,storageclasses,clusterroles,clusterrolebindings,validatingadmissionpolicies";
    const left = await plane.kubectl("get", kinds, "-A", "-l", "app.kubernetes.io/name=holdfast", "-o", "name");
    assert.equal(left, "");
    assert.notEqual(await definitions(), "");
  });

  for (const name of readdirSync(join(root, "deploy/manifests"))) {
    await t.test(`kubectl apply -f deploy/manifests/${name}`, async () => {
      const file = join(root, "deploy/manifests", name);
      await plane.kubectl("apply", "-f", file);
      await plane.kubectl("delete", "-f", file, "--wait=false");
      await plane.kubectl("wait", "--for=delete", "namespace/holdfast", "--timeout=60s");
    });
  }
});
