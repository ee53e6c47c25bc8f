import { realpath } from "node:fs/promises";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { loadConfig } from "../config/load.ts";
import { holdsWholeFileSystem, listMounts } from "../host/mount-table.ts";
import { initPool, readMarker } from "../pools/marker.ts";
import { loadBackend } from "../pools/slots.ts";
import { pairs, print } from "./output.ts";
import { poolPairs } from "./pool-show.ts";

interface Options {
  readonly backend: string;
  readonly shared?: boolean;
  readonly onlyMounted?: boolean;
  readonly nodeId?: string;
  readonly output: "table" | "json";
}

export function poolInit(parent: Command): void {
  parent
    .command("init")
    .summary("make a folder a pool")
    .description(
      "Makes an existing folder a pool: gives it a marker with its UUID and, for a local pool, the node whose volumes it holds. " +
        "Only this does it, so that the empty mount point of a missing disk never becomes a new pool. May be repeated.",
    )
    .argument("<path>", "the folder; root alone may read it afterwards")
    .option("--backend <name>", "image, directory or the path to a module", "image")
    .option("--shared", "the folder lies on a file system that every node mounts")
    .option("--only-mounted", "does nothing where no disk of its own is mounted, and says so; for unattended starts")
    .option("--node-id <id>", "this node's name; absent: HOLDFAST_NODE_ID, KUBE_NODE_NAME, else the host name")
    .addOption(new Option("--output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action(async (path: string, options: Options) => {
      const folder = resolve(path);
      const flag = `new=${options.backend}:${folder}${options.shared ? ",shared" : ""}`;
      const { pools, nodeId } = await loadConfig({ pool: [flag], "node-id": options.nodeId });
      if (options.onlyMounted && !(await isPool(folder)) && !(await isMounted(folder))) {
        const told = `${folder}: no disk of its own is mounted there, so it was not made a pool`;
        print(options.output, { path: folder, skipped: told }, () => `${told}\n`);
        return;
      }
      for (const pool of pools) {
        const { name: backend } = await loadBackend(pool);
        const marker = await initPool({ folder, backend, shared: pool.shared, node: nodeId });
        print(options.output, { path: folder, ...marker }, () => pairs(poolPairs(folder, marker)));
      }
    });
}

const isPool = (folder: string): Promise<boolean> =>
  readMarker(folder).then(
    () => true,
    () => false,
  );

async function isMounted(folder: string): Promise<boolean> {
  const path = await realpath(folder).catch(() => folder);
  return holdsWholeFileSystem(path, await listMounts());
}
