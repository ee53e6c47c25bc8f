import assert from "node:assert/strict";
import { test } from "node:test";
import { openClient } from "../api/client.ts";
import { keyOf } from "../api/informer.ts";
import { claims, volumeSnapshots } from "../api/resources.ts";
import { silent, startTestApi, until } from "../api/test-server.ts";
import { openInformers } from "../helper.ts";
import { claimProtection } from "../snapshots/names.ts";
import { protectClaim, releaseClaim } from "./claim-protection.ts";
import type { Controller } from "./context.ts";

const claimPath = "/api/v1/namespaces/n/persistentvolumeclaims/data";
const snapshotPath = (name: string) => `/apis/snapshot.storage.k8s.io/v1/namespaces/n/volumesnapshots/${name}`;
const snapshot = (ready: boolean) => ({
  metadata: { namespace: "n" },
  spec: { source: { persistentVolumeClaimName: "data" } },
  status: { readyToUse: ready },
});

test("a claim is held while any snapshot of it is being cut, whoever asks first", async (t) => {
  await using server = await startTestApi();
  // Watches of the test server are by path, those of all namespaces by the collection: one namespace is asked for.
  server.put(claimPath, { metadata: { namespace: "n", finalizers: ["other"] } });
  server.put(snapshotPath("done"), snapshot(true));
  const end = new AbortController();
  const api = openClient(server.cluster, "test");
  t.after(() => {
    end.abort();
    api.close();
  });
  const informers = openInformers(api, silent, end.signal);
  const controller = {
    api,
    claims: informers.of(claims, { namespace: "n" }),
    snapshots: informers.of(volumeSnapshots, {
      namespace: "n",
      indexes: { claim: ({ metadata }) => [keyOf("data", metadata?.namespace)] },
    }),
  } as unknown as Controller;
  await Promise.all([controller.claims.synced, controller.snapshots.synced]);
  const finalizers = () =>
    (server.objects.get(claimPath)?.metadata as { finalizers?: string[] } | undefined)?.finalizers;
  const claim = () => {
    const found = controller.claims.get("data", "n");
    assert.ok(found);
    return found;
  };
  const of = (name: string) => {
    const found = controller.snapshots.get(name, "n");
    assert.ok(found);
    return found;
  };

  await protectClaim(controller, claim());
  await protectClaim(controller, claim());
  assert.deepEqual(finalizers(), ["other", claimProtection]);

  // While the one that is done lets it go, another begins: it must find it held, or hold it again.
  server.put(snapshotPath("begins"), snapshot(false));
  await until(() => controller.snapshots.get("begins", "n") !== undefined, "the second snapshot");
  await Promise.all([releaseClaim(controller, of("done")), protectClaim(controller, claim())]);
  assert.deepEqual(finalizers(), ["other", claimProtection]);

  await releaseClaim(controller, of("begins"), true);
  assert.deepEqual(finalizers(), ["other"], "a snapshot that ends no longer counts");

  await protectClaim(controller, claim());
  await Promise.all([releaseClaim(controller, of("begins"), true), protectClaim(controller, claim())]);
  assert.deepEqual(finalizers(), ["other", claimProtection], "who comes second in turn sees what the first did");
});

test("a claim that is being deleted is not held again", async () => {
  const gone = { metadata: { name: "data", namespace: "n", deletionTimestamp: "2026-01-01T00:00:00Z" } };
  const controller = { claims: { get: () => gone } } as unknown as Controller;
  await assert.rejects(protectClaim(controller, gone), /is being deleted/);
});
