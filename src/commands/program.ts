/** The commands that people type. */
import { Command, CommanderError, Option } from "commander";
import { completion } from "./completion.ts";
import { doctor } from "./doctor.ts";
import { info } from "./info.ts";
import { nodeAdopt } from "./node-adopt.ts";
import { nodeForget } from "./node-forget.ts";
import { listOf } from "./options.ts";
import { poolInit } from "./pool-init.ts";
import { poolShow } from "./pool-show.ts";
import { probe } from "./probe.ts";
import { quickstart } from "./quickstart.ts";
import { registrar } from "./registrar.ts";
import { type Flag, serveFlags } from "./serve-flags.ts";
import { snapshotCreate } from "./snapshot-create.ts";
import { snapshotDelete } from "./snapshot-delete.ts";
import { snapshotList } from "./snapshot-list.ts";
import { version } from "./version.ts";
import { volumeAttach } from "./volume-attach.ts";
import { volumeCreate } from "./volume-create.ts";
import { volumeDelete } from "./volume-delete.ts";
import { volumeDetach } from "./volume-detach.ts";
import { volumeExpand } from "./volume-expand.ts";
import { volumeList } from "./volume-list.ts";
import { volumePublish } from "./volume-publish.ts";
import { volumeShow } from "./volume-show.ts";
import { volumeStage } from "./volume-stage.ts";
import { volumeStats } from "./volume-stats.ts";
import { volumeUnpublish } from "./volume-unpublish.ts";
import { volumeUnstage } from "./volume-unstage.ts";
import { volumeValidate } from "./volume-validate.ts";

export function program(): Command {
  const root = new Command("holdfast")
    .description("Turns the disks of a node into volumes for containers, over the Container Storage Interface.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .configureHelp({ sortOptions: false, showGlobalOptions: false })
    .exitOverride();
  serveHelp(root);
  const pool = root
    .command("pool")
    .summary("make and look at pools")
    .description("Make and look at pools: the folders where volumes live.");
  for (const add of [poolInit, poolShow]) add(pool);
  const volume = root
    .command("volume")
    .summary("work with volumes of any CSI driver")
    .description("Work with volumes of any CSI driver, as an orchestrator does.");
  for (const add of [volumeCreate, volumeList, volumeShow, volumeDelete, volumeExpand, volumeAttach, volumeDetach])
    add(volume);
  for (const add of [volumeStage, volumeUnstage, volumePublish, volumeUnpublish, volumeStats, volumeValidate])
    add(volume);
  const snapshot = root
    .command("snapshot")
    .summary("work with snapshots of any CSI driver")
    .description("Work with snapshots of any CSI driver.");
  for (const add of [snapshotCreate, snapshotList, snapshotDelete]) add(snapshot);
  const node = root
    .command("node")
    .summary("Kubernetes: nodes that are gone or renamed")
    .description(
      "Kubernetes: what an administrator says of nodes that are gone for ever, or came back under another name.",
    );
  for (const add of [nodeForget, nodeAdopt]) add(node);
  for (const add of [info, probe, doctor, registrar, quickstart, completion]) add(root);
  return root;
}

/** Runs a command line. What commander itself refuses is told already and gives exit code 2. */
export async function run(args: readonly string[]): Promise<void> {
  // Whoever reads the output may stop reading, as head does.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    // The quickstart goes on without a reader, because it has to clean up.
    if (args[0] !== "quickstart") process.exit();
  });
  try {
    const root = program();
    if (args.length === 0) root.help();
    await root.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  }
}

/** `serve` is started by main.ts, past commander; here it has its help and its place in the completion. */
function serveHelp(root: Command): void {
  const serve = root
    .command("serve")
    .summary("run the driver")
    .description("Runs the driver on a Unix socket until SIGTERM or SIGINT.");
  for (const [name, flag] of Object.entries<Flag>(serveFlags)) {
    const option = new Option(flag.value === undefined ? `--${name}` : `--${name} <${flag.value}>`, flag.text);
    if (flag.choices) option.choices(flag.choices);
    serve.addOption(flag.repeated ? option.argParser(listOf) : option);
  }
}
