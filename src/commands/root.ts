/** The command line itself: what every command is under, and how one is run. */
import { Command, CommanderError } from "commander";
import { version } from "./version.ts";

export function newRoot(): Command {
  return new Command("holdfast")
    .description("Turns the disks of a node into volumes for containers, over the Container Storage Interface.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .configureHelp({ sortOptions: false, showGlobalOptions: false })
    .exitOverride();
}

/** Runs a command line. What commander itself refuses is told already and gives exit code 2. */
export async function run(root: Command, args: readonly string[]): Promise<void> {
  // Whoever reads the output may stop reading, as head does.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    // The quickstart goes on without a reader, because it has to clean up.
    if (args[0] !== "quickstart") process.exit();
  });
  try {
    if (args.length === 0) root.help();
    await root.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  }
}
