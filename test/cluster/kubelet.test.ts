/** A kubelet on a machine of its own: what the storage tests count on. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startKubelet } from "../support/cluster/kubelet.ts";
import { scratchFor } from "../support/scratch.ts";

test("kubelet", async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  const { machine, service } = await startKubelet(plane, { labels: { zone: "a" } });
  const space = await makeSpace(plane, "kubelet");

  await t.test("a pod runs: exec, logs, its own network, the API server at its address", async () => {
    await space.pod("p", { script: "echo hello; trap exit TERM; sleep 1000 & wait" });
    await space.running("p");
    assert.match(await space.sh("p", "ip addr show dev eth0"), /inet 10\.77\.2\./);
    assert.equal(await plane.kubectl("logs", "--namespace=kubelet", "p"), "hello\n");
    await space.sh("p", "nc -w 2 10.96.0.1 443 </dev/null");
    await space.removePod("p");
  });

  await t.test("a folder of the host is the pod's, and what the pod mounts there is seen by the node", async () => {
    const host = join(machine.folder, "host");
    mkdirSync(host);
    writeFileSync(join(host, "from-outside"), "out");
    const mount = { name: "host", mountPath: "/host", mountPropagation: "Bidirectional" };
    await space.pod("h", {
      spec: {
        volumes: [{ name: "host", hostPath: { path: host } }],
        containers: [
          {
            name: "main",
            image: "holdfast.local/busybox:test",
            command: ["sh", "-c", "trap exit TERM; sleep 1000 & wait"],
            securityContext: { privileged: true },
            volumeMounts: [mount],
          },
        ],
      },
    });
    await space.running("h");
    assert.equal(await space.sh("h", "cat /host/from-outside; echo in >/host/from-inside"), "out");
    assert.equal(readFileSync(join(host, "from-inside"), "utf8"), "in\n");
    await space.sh("h", "mkdir /host/m && mount -t tmpfs none /host/m && touch /host/m/inner");
    assert.equal(existsSync(join(machine.outside(host), "m/inner")), true);
    assert.equal(existsSync(join(host, "m/inner")), false);
    await space.sh("h", "umount /host/m");
    await space.removePod("h");
  });

  await t.test("pods live on while the kubelet is killed and started again", async () => {
    await space.pod("long");
    await space.running("long");
    const began = await space.sh("long", "stat -c %Y /proc/1");
    await service.kill();
    service.start();
    await plane.until("the kubelet answers again", () => space.sh("long", "true").then(() => true));
    assert.equal(await space.sh("long", "stat -c %Y /proc/1"), began);
  });
});
