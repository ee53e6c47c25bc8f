/**
 * The process: command line to command, and errors to exit codes. 0: done; 1: it failed; 2: a mistake in the command
 * line or the configuration. Imports as little as it can before it knows what to do: `serve` must be ready at once.
 */
const [command, ...args] = process.argv.slice(2);
/** They run for as long as a node does, and have no use for what the other commands need. */
const helpers: ReadonlySet<string> = new Set(["registrar", "provisioner", "attacher", "resizer", "snapshotter"]);
const wantsHelp = args.some((arg) => arg === "--help" || arg === "-h");

try {
  if (command === "serve" && !wantsHelp) {
    const { serve } = await import("./commands/serve.ts");
    await serve(args);
  } else {
    const { newRoot, run } = await import("./commands/root.ts");
    const root = newRoot();
    if (command !== undefined && helpers.has(command)) (await import("./commands/helper-commands.ts")).addHelpers(root);
    else (await import("./commands/program.ts")).addCommands(root);
    await run(root, process.argv.slice(2));
  }
} catch (error) {
  const { report } = await import("./commands/report.ts");
  process.exitCode = report(error);
}
