import { hostname } from "node:os";
import { type Command, Option } from "commander";
import { defaultEndpoint } from "../config/load.ts";
import { type Config, roles } from "../config/schema.ts";
import type { Finding } from "./doctor/finding.ts";
import { print } from "./output.ts";
import { configOf, withPools } from "./pool-flags.ts";

interface Options {
  readonly csiAddress?: string;
  readonly kubeletFolder?: string;
  readonly output: "table" | "json";
  /** The role; true: given without one. */
  readonly kubernetes?: string | true;
  readonly kubeconfig?: string;
  readonly namespace?: string;
}

export function doctor(parent: Command): void {
  const command = withPools(
    parent
      .command("doctor")
      .summary("check what this host can do")
      .description(
        "Checks the kernel, the tools, loop devices, mounts, the configured pools and the socket, and says how to mend what is wrong. " +
          "Exit code 1: there is an error.",
      ),
  );
  command
    .addOption(new Option("--csi-address <address>", "the socket of the driver").env("CSI_ENDPOINT"))
    .option(
      "--kubelet-folder <path>",
      "where the orchestrator wants its mounts; absent: the configuration's kubeletDir, else /var/lib/kubelet",
    )
    .addOption(
      new Option(
        "--kubernetes [role]",
        "looks at the cluster too: registration, roles, policies, Leases, snapshots; absent: where the configuration has a role",
      ).choices(roles),
    )
    .option(
      "--kubeconfig <file>",
      "as whom to look; absent: the configuration's, else KUBECONFIG, else the pod's own account",
    )
    .option("--namespace <name>", "where the chart is installed; absent: the configuration's, else the account's own")
    .addOption(new Option("--output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action(async (options: Options) => {
      const findings = await examine(options, command);
      print(options.output, findings, text);
      if (findings.some((finding) => finding.level === "error")) process.exitCode = 1;
    });
}

async function examine(options: Options, command: Command): Promise<Finding[]> {
  const config = await configOf(command);
  const { kernel } = await import("./doctor/kernel.ts");
  const { systemCalls } = await import("./doctor/calls.ts");
  const { powers } = await import("./doctor/process.ts");
  const { loops } = await import("./doctor/loops.ts");
  const { programs } = await import("./doctor/tools.ts");
  const { mountPropagation } = await import("./doctor/propagation.ts");
  const { poolFindings } = await import("./doctor/pools.ts");
  const { socket } = await import("./doctor/socket.ts");
  const { warning } = await import("./doctor/finding.ts");
  const kubeletDir = options.kubeletFolder ?? config?.kubernetes?.kubeletDir ?? "/var/lib/kubelet";
  const csiAddress = options.csiAddress ?? config?.endpoint ?? defaultEndpoint();
  const pools =
    config === undefined
      ? [
          warning(
            "pools",
            "none was named, so none was looked at",
            "name them: --config FILE, or --pool fast=image:/srv/fast",
          ),
        ]
      : (await Promise.all(config.pools.map((pool) => poolFindings(pool, config.nodeId)))).flat();
  return [
    ...kernel(),
    ...powers(),
    ...(await systemCalls()),
    ...(await programs()),
    ...(await loops()),
    ...(await mountPropagation(kubeletDir)),
    ...pools,
    ...(await socket(csiAddress)),
    ...(await cluster(options, config, { kubeletDir, csiAddress })),
  ];
}

async function cluster(
  options: Options,
  config: Config | undefined,
  places: { readonly kubeletDir: string; readonly csiAddress: string },
): Promise<Finding[]> {
  const asked = options.kubernetes === true ? undefined : options.kubernetes;
  const role = roles.find((each) => each === (asked ?? config?.kubernetes?.role));
  if (options.kubernetes === undefined && role === undefined) return [];
  const { kubernetes } = await import("./doctor/kubernetes.ts");
  const kubeconfig = options.kubeconfig ?? config?.kubernetes?.kubeconfig;
  const namespace = options.namespace ?? config?.kubernetes?.namespace;
  return kubernetes(
    {
      ...places,
      role: role ?? "node",
      shared: config?.pools.some((pool) => pool.shared) ?? false,
      driverName: config?.driverName ?? (await nameAt(places.csiAddress)),
      node: config?.nodeId ?? process.env["KUBE_NODE_NAME"] ?? hostname(),
    },
    { ...(kubeconfig === undefined ? {} : { kubeconfig }), ...(namespace === undefined ? {} : { namespace }) },
  );
}

/** Of the driver that answers there; the name of ours over local pools where none does. */
async function nameAt(csiAddress: string): Promise<string> {
  const { connect } = await import("../csi/client.ts");
  const client = connect(csiAddress);
  try {
    return (await client.identity.getPluginInfo({}, { timeoutMs: 3000 })).name;
  } catch {
    return "local.csi.holdfast";
  } finally {
    client.close();
  }
}

const marks = { ok: ["ok     ", "32"], warning: ["warning", "33"], error: ["error  ", "31"] } as const;

function text(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map((finding) => finding.what.length));
  const color = process.stdout.isTTY && !process.env["NO_COLOR"];
  const lines = findings.flatMap(({ level, what, told, fix }) => {
    const [mark, code] = marks[level];
    const line = `${color ? `\x1b[${code}m${mark}\x1b[0m` : mark}  ${what.padEnd(width)}  ${told}`;
    return fix === undefined ? [line] : [line, `${" ".repeat(mark.length + width + 4)}-> ${fix}`];
  });
  return `${lines.join("\n")}\n`;
}
