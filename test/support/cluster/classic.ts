/** The classic shape on a kubelet's machine: our driver and registrar, and the upstream sidecars beside its socket. */
import { join } from "node:path";
import { type CsiClient, connect } from "../../../src/csi/client.ts";
import { holdfast } from "../driver.ts";
import { makeDriverObject, makeSnapshotClass } from "./claims.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { Kubelet } from "./kubelet.ts";
import { startUpstream } from "./upstream.ts";

export interface Deployment {
  readonly driverName: string;
  readonly client: CsiClient;
  /** As the kernel's out-of-memory killer: the driver's process is gone at once. */
  kill(): Promise<void>;
  /** After `kill`. */
  start(): Promise<void>;
  /** Ends it as it should, and starts a new one. */
  upgrade(): Promise<void>;
}

/** Waits until the kubelet knows the driver. `pools` as `serve --pool` takes them; the snapshot class is "snap". */
export async function deployClassic(
  plane: ControlPlane,
  kubelet: Kubelet,
  pools: readonly string[],
): Promise<Deployment> {
  const driverName = "local.csi.holdfast";
  const { machine, kubeletDir, name: node } = kubelet;
  const folder = join(kubeletDir, "plugins", driverName);
  await machine.run("mkdir", "-p", folder);
  const socket = join(folder, "csi.sock");
  const outside = machine.outside(socket);
  const where = ["--endpoint", `unix://${socket}`, "--node-id", node, "--log-format", "json"];
  const which = ["--init-pools", ...pools.flatMap((pool) => ["--pool", pool])];
  const driver = plane.watch(machine.start("driver", holdfast, ["serve", ...where, ...which], { endBy: "SIGTERM" }));
  const registrar = ["registrar", "--csi-address", `unix://${socket}`, "--kubelet-dir", kubeletDir];
  plane.watch(machine.start("registrar", holdfast, registrar, { endBy: "SIGTERM" }));
  await makeDriverObject(plane, driverName);
  const client = connect(`unix://${outside}`);
  plane.scratch.later(() => client.close());
  await plane.until("the kubelet knows the driver", async () => {
    const found = await plane.api.get<{ spec: { drivers: object[] } }>(`/apis/storage.k8s.io/v1/csinodes/${node}`);
    return found.spec.drivers.length > 0 || undefined;
  });
  await startUpstream(plane, {
    socket: outside,
    env: { NODE_NAME: node },
    sidecars: {
      provisioner: [
        "--node-deployment",
        "--feature-gates=Topology=true",
        "--strict-topology",
        "--extra-create-metadata",
      ],
      resizer: [],
      snapshotter: ["--node-deployment"],
      snapshotController: ["--enable-distributed-snapshotting"],
    },
  });
  await makeSnapshotClass(plane, "snap", driverName);
  return {
    driverName,
    client,
    kill: () => driver.kill(),
    start: async () => driver.start(),
    upgrade: async () => {
      await driver.stop();
      driver.start();
    },
  };
}
