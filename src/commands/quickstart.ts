import { resolve } from "node:path";
import type { Command } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { formatDuration } from "../config/duration.ts";
import { CsiError } from "../csi/client.ts";

interface Options {
  readonly folder: string;
  readonly keep?: boolean;
  readonly clear?: boolean;
}

export function quickstart(parent: Command): void {
  parent
    .command("quickstart")
    .summary("try everything in a scratch folder")
    .description(
      "Starts the real driver over a pool in a scratch folder, plays the orchestrator, and checks every byte. " +
        "Leaves nothing behind; may be run again, also after it was killed.",
    )
    .option("--keep", "leave the driver running, and say what to try next")
    .option("--clear", "only end the driver that --keep left, and remove the scratch folder")
    .option("--folder <path>", "the scratch folder, which it makes and removes", "/var/tmp/holdfast-quickstart")
    .action(run);
}

async function run(options: Options): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new ConfigError("quickstart needs root: it makes loop devices, file systems and mounts");
  const { Chapters } = await import("./quickstart/chapters.ts");
  const { clear, makeFolder, scratchAt } = await import("./quickstart/scratch.ts");
  const { CheckFailed, Story } = await import("./quickstart/story.ts");
  const { lastLines } = await import("./quickstart/driver-process.ts");
  const { whatNext } = await import("./quickstart/what-next.ts");

  const began = performance.now();
  const story = new Story();
  const scratch = scratchAt(resolve(options.folder));
  let cleared: boolean;
  try {
    ({ cleared } = makeFolder(scratch.folder));
    if (options.clear) clear(scratch.folder);
  } catch (error) {
    if (!(error instanceof CheckFailed)) throw error;
    process.stderr.write(`holdfast: ${error.message}\n`);
    process.exitCode = 1;
    return;
  }
  if (options.clear) {
    story.plain(cleared ? `${scratch.folder} is cleared away` : `there was no ${scratch.folder}`);
    return;
  }
  story.plain(`Holdfast quickstart in ${scratch.folder}`);
  if (cleared) story.note("what an earlier run left there is cleared away");
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const)
      process.once(signal, () => reject(new CheckFailed(`stopped by ${signal}`)));
  });
  interrupted.catch(() => undefined);
  try {
    const chapters = new Chapters(story, scratch);
    await Promise.race([chapters.begin(), interrupted]);
    await Promise.race([chapters.tell(), interrupted]);
    if (options.keep) chapters.driver.client.close();
    else await chapters.end();
    story.plain(`\nAll ${story.steps} steps done in ${formatDuration(performance.now() - began)}; nothing failed.`);
    if (options.keep) story.plain(whatNext(scratch, chapters.driver.pid));
  } catch (error) {
    const known = error instanceof CheckFailed || error instanceof CsiError;
    const text =
      error instanceof CsiError
        ? `${error.rpc}: ${error.code}: ${error.message}`
        : known
          ? error.message
          : String(error instanceof Error ? error.stack : error);
    process.stderr.write(`\nquickstart failed: ${text}\n`);
    try {
      process.stderr.write(`\nThe driver's last lines:\n${lastLines(scratch.log)}\n`);
    } catch {
      // It was not started.
    }
    clear(scratch.folder);
    process.stderr.write(`\n${scratch.folder} is cleared away.\n`);
    process.exitCode = 1;
  }
  // A call that was interrupted may still be open.
  setImmediate(() => process.exit());
}
