/** Pods keep their volumes through what happens to a node: rollouts, drains, and a driver or kubelet that is gone for a while. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeClass, makeSpace, podSpec, type Space } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startKubelet } from "../support/cluster/kubelet.ts";
import { deployChart } from "../support/cluster/release.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

/** Counts in a file, synced, ten times a second, and ends with an error when it can't. */
const counting = `
  i=$(cat /data/count 2>/dev/null || echo 0)
  while :; do i=$((i + 1)); echo $i >/data/next && sync /data/next && mv /data/next /data/count || exit 1; usleep 100000; done`;

interface StatefulSet {
  readonly metadata: { readonly generation: number };
  readonly status: {
    readonly observedGeneration?: number;
    readonly updatedReplicas?: number;
    readonly readyReplicas?: number;
  };
}

/** Two pods with a claim each, and the version of their template. */
function twoPods(space: Space, storageClass: string, version: string): object {
  const claim = {
    metadata: { name: "own" },
    spec: {
      storageClassName: storageClass,
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: "64Mi" } },
    },
  };
  const script = "echo $VERSION >>/data/versions && sync; trap exit TERM; sleep 100000 & wait";
  const spec = podSpec({ mounts: { "/data": "own" }, script, environment: { VERSION: version } });
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name: "set", namespace: space.name },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: "set" } },
      template: { metadata: { labels: { app: "set" } }, spec },
      volumeClaimTemplates: [claim],
    },
  };
}

async function settled(space: Space): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${space.name}/statefulsets/set`;
  await space.plane.until(
    "both pods are of the newest version and ready",
    async () => {
      const { metadata, status } = await space.api.get<StatefulSet>(path);
      const known = status.observedGeneration === metadata.generation;
      return (known && status.updatedReplicas === 2 && status.readyReplicas === 2) || undefined;
    },
    { withinMs: 60_000 },
  );
}

test("what happens to a node", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const plane = await startControlPlane(scratch);
  const kubelet = await startKubelet(plane);
  const deployment = await deployChart(plane, [kubelet], [{ name: "p", backend: "image", path: disk.path }]);
  await makeClass(plane, "fast", { driver: deployment.driverName });
  const staged = async () =>
    Number(
      await kubelet.machine.run("sh", "-c", `grep -c ${kubelet.kubeletDir}/plugins.*globalmount /proc/mounts || true`),
    );

  await t.test("a StatefulSet is rolled: each pod finds its own volume again", async () => {
    const space = await makeSpace(plane, "rolled");
    await plane.apply(twoPods(space, "fast", "one"));
    await settled(space);
    await plane.apply(twoPods(space, "fast", "two"));
    await settled(space);
    for (const pod of ["set-0", "set-1"]) assert.equal(await space.sh(pod, "cat /data/versions"), "one\ntwo\n");
  });

  await t.test("the node is drained: no volume stays staged, and the pods come back to their data", async () => {
    const space = await makeSpace(plane, "rolled");
    assert.equal(await staged(), 2);
    await plane.kubectl("drain", kubelet.name, "--ignore-daemonsets", "--force", "--timeout=60s");
    await plane.until("no volume is staged", async () => ((await staged()) === 0 ? true : undefined));
    await plane.kubectl("uncordon", kubelet.name);
    await settled(space);
    for (const pod of ["set-0", "set-1"]) assert.equal(await space.sh(pod, "cat /data/versions"), "one\ntwo\ntwo\n");
    await plane.kubectl("delete", "statefulset", "--namespace=rolled", "set");
    for (const pod of ["set-0", "set-1"]) await space.removePod(pod);
    for (const claim of ["own-set-0", "own-set-1"]) await space.removeClaim(claim);
  });

  await t.test(
    "pods that use volumes notice nothing of a driver or kubelet that is killed, stopped, upgraded",
    async (t) => {
      const space = await makeSpace(plane, "steady");
      await space.claim("mounted", { class: "fast" });
      await space.claim("raw", { class: "fast", block: true });
      await space.pod("counter", { claims: { "/data": "mounted" }, devices: { "/dev/raw": "raw" }, script: counting });
      await space.running("counter");
      await space.sh("counter", "echo kept-raw | dd of=/dev/raw conv=fsync 2>/dev/null");
      const count = async () => Number(await space.sh("counter", "cat /data/count"));
      const goesOn = async (from: number) => {
        await plane.until("it counts on", async () => ((await count()) > from + 3 ? true : undefined));
        assert.equal(await space.restarts("counter"), 0);
        assert.equal(await space.sh("counter", "head -c 8 /dev/raw"), "kept-raw");
      };
      let round = 0;
      /** A claim and a pod from nothing to nothing. */
      const serves = async () => {
        round += 1;
        await space.claim(`c${round}`, { class: "fast" });
        await space.pod(`p${round}`, { claims: { "/data": `c${round}` } });
        await space.running(`p${round}`);
        await space.removePod(`p${round}`);
        await space.removeClaim(`c${round}`);
      };

      await t.test("the driver killed", async () => {
        const before = await count();
        await deployment.kill();
        await goesOn(before);
        await sleep(1_000);
        await deployment.start();
        await goesOn(await count());
        await serves();
      });

      await t.test("the driver upgraded, while a pod starts", async () => {
        const before = await count();
        await space.claim("meanwhile", { class: "fast" });
        await space.pod("meanwhile", { claims: { "/data": "meanwhile" } });
        await deployment.upgrade();
        await space.running("meanwhile");
        await goesOn(before);
        await space.removePod("meanwhile");
        await space.removeClaim("meanwhile");
      });

      await t.test("the driver killed while a pod goes", async () => {
        await space.claim("going", { class: "fast" });
        await space.pod("going", { claims: { "/data": "going" } });
        await space.running("going");
        const gone = space.removePod("going");
        await deployment.kill();
        await sleep(2_000);
        await deployment.start();
        await gone;
        await space.removeClaim("going");
      });

      await t.test("the kubelet killed", async () => {
        const before = await count();
        await kubelet.service.kill();
        kubelet.service.start();
        await plane.until("the kubelet answers again", () => count());
        await goesOn(before);
        await serves();
      });

      await t.test("the API server away", async () => {
        const began = await count();
        await plane.apiServer.kill();
        await sleep(3_000);
        await plane.startApiServer();
        await plane.until("it counted on meanwhile", async () => ((await count()) > began + 15 ? true : undefined));
        await goesOn(began);
        await serves();
      });

      await space.removePod("counter");
      for (const claim of ["mounted", "raw"]) await space.removeClaim(claim);
    },
  );

  await t.test("nothing is left", async () => {
    assert.equal(await staged(), 0);
    assert.deepEqual((await deployment.client.controller.listVolumes({})).entries, []);
  });
});
