/** What users deploy: the image that `npm run image` builds, by the chart, on a kubelet. */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../../src/csi/client.ts";
import { run } from "../run.ts";
import type { Deployment } from "./classic.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { Kubelet } from "./kubelet.ts";
import type { Machine } from "./machine.ts";
import type { Logged } from "./service.ts";

const root = join(import.meta.dirname, "../../..");
const helm = join(root, ".cache/helm/helm");
/** By `need_image` of scripts/lib.sh. */
const image = join(root, ".cache/image/holdfast.tar");
const chart = join(root, "deploy/chart");
const namespace = "holdfast";

export interface ChartOptions {
  /** As in values.yaml, over what a test needs. */
  readonly values?: object;
}

/** Waits until the driver's pods are ready. `pools` as in the chart's values. */
export async function deployChart(
  plane: ControlPlane,
  kubelets: readonly [Kubelet, ...Kubelet[]],
  pools: readonly object[],
  options: ChartOptions = {},
): Promise<Deployment> {
  const shared = pools.some((pool) => "shared" in pool && pool.shared === true);
  const driverName = `${shared ? "shared" : "local"}.csi.holdfast`;
  const [{ machine, kubeletDir }] = kubelets;
  await Promise.all(kubelets.map((each) => each.importImages(image)));
  const file = join(plane.scratch.path, "values.json");
  const install = async (more: object = {}) => {
    const values = {
      kubeletDir,
      pools,
      snapshots: { enabled: true, controller: true, classes: [{ name: "snap" }] },
      storageClasses: [],
      ...options.values,
      ...more,
    };
    writeFileSync(file, JSON.stringify(values));
    const where = ["--kubeconfig", plane.admin, "--namespace", namespace, "--create-namespace"];
    await run(helm, ["upgrade", "--install", "holdfast", chart, ...where, "--values", file]);
  };
  const rolledOut = async () => {
    for (const workload of ["daemonset/holdfast-node", "statefulset/holdfast-controller"]) {
      try {
        await plane.kubectl("rollout", "status", "--namespace", namespace, workload, "--timeout=90s");
      } catch (error) {
        const why = await plane.kubectl("get", "events", "--namespace", namespace);
        const logs = kubelets.map((each) => podLogs(each.machine).log()).join("\n");
        throw new Error(`${String(error)}\n${why}\n${logs}`, { cause: error });
      }
    }
  };
  for (const each of kubelets) plane.watch(podLogs(each.machine));
  await install();
  await rolledOut();
  const client = connect(`unix://${machine.outside(join(kubeletDir, "plugins", driverName, "csi.sock"))}`);
  plane.scratch.later(() => client.close());
  let versions = 0;
  return {
    driverName,
    client,
    // The driver's process is the only one on a node with this word; the brackets keep the search from finding itself.
    kill: async () => {
      const find = "grep -lsazx -e '--kubernete[s]' /proc/[0-9]*/cmdline";
      await machine.run("sh", "-c", `${find} | cut -d/ -f3 | xargs --no-run-if-empty kill -KILL`);
    },
    start: rolledOut,
    upgrade: async () => {
      versions += 1;
      await install({ node: { annotations: { version: `${versions}` } } });
      await rolledOut();
    },
  };
}

/** What each container of its pods on this machine wrote last, as the kubelet keeps it. */
function podLogs(machine: Machine): Logged {
  const log = () =>
    globSync(join(machine.folder, `log/pods/${namespace}_*/holdfast/*.log`)).map((file) => {
      const lines = readFileSync(file, "utf8").trimEnd().split("\n").slice(-30);
      return [file.slice(join(machine.folder, "log/pods").length), ...lines].join("\n");
    });
  return { name: `the chart's pods on ${machine.name}`, log: () => log().join("\n\n") };
}
