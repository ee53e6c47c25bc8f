/** A node that runs pods: containerd, runc, the bridge network plugin and a kubelet, on a machine of their own. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeKubeconfig } from "./certificates.ts";
import { makeCgroup } from "./cgroups.ts";
import { binaries, type ControlPlane, serviceAddress } from "./control-plane.ts";
import { makeTestImages, pauseImage } from "./images.ts";
import { type Machine, startMachine } from "./machine.ts";
import { freePorts } from "./ports.ts";
import { type Service, startService, until } from "./service.ts";

export interface KubeletOptions {
  /** One of n1 to n9, whose logs and exec the API server finds. Absent: "n1". */
  readonly name?: string;
  /** As distributions move it. Absent: /var/lib/kubelet. */
  readonly kubeletDir?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** More keys of the kubelet's configuration. */
  readonly config?: object;
}

export interface Kubelet {
  readonly name: string;
  readonly machine: Machine;
  /** As the node sees it. */
  readonly kubeletDir: string;
  readonly service: Service;
  readonly containerd: Service;
  /** Imports an archive of images (`docker save` or OCI). */
  importImages(archive: string): Promise<void>;
}

const repository = join(import.meta.dirname, "../../..");

/** Waits until the node is Ready, about 5 s. All of it ends with the cluster's scratch folder. Make pool disks before. */
export async function startKubelet(plane: ControlPlane, options: KubeletOptions = {}): Promise<Kubelet> {
  const { name = "n1", kubeletDir = "/var/lib/kubelet" } = options;
  const { scratch } = plane;
  const cgroup = makeCgroup(scratch, name);
  const machine = await startMachine(scratch, name, [serviceAddress]);
  const [port = 0] = await freePorts(1);
  forward(plane, machine, port);
  const { containerd, importImages } = await startContainerd(machine);
  const ready = importImages(await makeTestImages(scratch));

  const { certificate, key } = await plane.authority.client(`system:node:${name}`, ["system:nodes"]);
  const file = join(machine.folder, "kubelet.kubeconfig");
  writeKubeconfig(file, plane.server, plane.authority.certificate, { certificate, key });
  const config = {
    kind: "KubeletConfiguration",
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    address: "127.0.0.1",
    port,
    healthzPort: 0,
    authentication: { x509: { clientCAFile: plane.authority.certificate }, webhook: { enabled: true } },
    authorization: { mode: "Webhook" },
    containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock",
    cgroupDriver: "cgroupfs",
    cgroupRoot: cgroup,
    failCgroupV1: false,
    failSwapOn: false,
    localStorageCapacityIsolation: false,
    enforceNodeAllocatable: [],
    evictionHard: { "memory.available": "1Mi", "nodefs.available": "1Mi", "imagefs.available": "1Mi" },
    imageGCHighThresholdPercent: 100,
    makeIPTablesUtilChains: false,
    oomScoreAdj: 0,
    nodeStatusUpdateFrequency: "2s",
    // How soon a pod that runs is looked at again, as for the growth of its volumes; a minute by default.
    syncFrequency: "2s",
    // Containers that end are started again at once, not after 10 s, 20 s and so on.
    featureGates: { KubeletCrashLoopBackOffMax: true },
    crashLoopBackOff: { maxContainerRestartPeriod: "1s" },
    ...options.config,
  };
  const configFile = join(machine.folder, "kubelet.json");
  writeFileSync(configFile, JSON.stringify(config));
  await ready;
  const labels = Object.entries(options.labels ?? {}).map(([label, value]) => `${label}=${value}`);
  const service = machine.start("kubelet", join(binaries, "kubelet"), [
    `--kubeconfig=${file}`,
    `--config=${configFile}`,
    `--hostname-override=${name}`,
    `--root-dir=${kubeletDir}`,
    `--node-labels=${labels.join(",")}`,
  ]);
  type Node = { status: { conditions: { type: string; status: string }[] }; spec: { taints?: object[] } };
  await plane.until(`node ${name} is ready`, async () => {
    const { spec, status } = await plane.api.get<Node>(`/api/v1/nodes/${name}`);
    const isReady = status.conditions.some((condition) => condition.type === "Ready" && condition.status === "True");
    return (isReady && (spec.taints ?? []).length === 0) || undefined;
  });
  return { name, machine, kubeletDir, service, containerd, importImages };
}

/** The API server from inside, at its own port and as pods find it; the kubelet from outside, where its name leads. */
function forward(plane: ControlPlane, machine: Machine, kubeletPort: number): void {
  const program = join(repository, "bin/holdfast-node");
  const script = join(import.meta.dirname, "forward.ts");
  const [toServer, toKubelet] = [join(machine.folder, "a.sock"), join(machine.folder, "k.sock")];
  const server = `127.0.0.1:${plane.port}`;
  const kubelet = `127.0.0.1:${kubeletPort}`;
  startService(plane.scratch, {
    name: `forward-${machine.name}`,
    program,
    args: [script, `${toServer}=${server}`, `${kubelet}=${toKubelet}`],
  });
  const inside = [`${server}=${toServer}`, `${serviceAddress}:443=${toServer}`, `${toKubelet}=${kubelet}`];
  machine.start("forward", program, [script, ...inside]);
}

async function startContainerd(machine: Machine) {
  const network = join(machine.folder, "cni");
  mkdirSync(network);
  const address = { type: "host-local", ranges: [[{ subnet: "10.77.2.0/24" }]], routes: [{ dst: "0.0.0.0/0" }] };
  const plugins = [{ type: "bridge", bridge: "pods0", isGateway: true, ipam: address }];
  writeFileSync(join(network, "10-pods.conflist"), JSON.stringify({ cniVersion: "1.0.0", name: "pods", plugins }));
  const cri = `[plugins."io.containerd.grpc.v1.cri"`;
  const config = [
    "version = 2",
    `disabled_plugins = [${["aufs", "btrfs", "devmapper", "zfs"].map((name) => `"io.containerd.snapshotter.v1.${name}"`).join(", ")}]`,
    `${cri}]`,
    `sandbox_image = "${pauseImage}"`,
    // Without CAP_SYS_RESOURCE a score can't be lowered, and runc fails.
    "restrict_oom_score_adj = true",
    `${cri}.cni]`,
    `bin_dir = "/usr/lib/cni"`,
    `conf_dir = "${network}"`,
    "",
  ];
  const file = join(machine.folder, "containerd.toml");
  writeFileSync(file, config.join("\n"));
  const containerd = machine.start("containerd", "containerd", [`--config=${file}`]);
  const ctr = (...args: readonly string[]) => machine.run("ctr", "--namespace=k8s.io", ...args);
  await until("containerd answers", () => ctr("version"), { withinMs: 10_000, hint: () => containerd.log() });
  const importImages = async (archive: string) => {
    await ctr("images", "import", archive);
  };
  return { containerd, importImages };
}
