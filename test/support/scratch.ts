/** A folder for one test, and everything that must be undone before it can go. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { leftoversOf, loopDevicesOf, mountsUnder, processesOf } from "./leftovers.ts";

export interface Scratch {
  readonly path: string;
  /** Undone at the end, the latest first, also when others fail. */
  later(undo: () => void | Promise<void>): void;
  /** Ends it: see `makeScratch`. */
  end(): Promise<void>;
}

const folders = new Set<string>();

/** Those of this process that have not ended. */
export function scratchFolders(): readonly string[] {
  return [...folders];
}

/**
 * A new folder `holdfast-test-*` in the temporary folder. Its end undoes what `later` was told, and then fails when a
 * process, a mount or a loop device is left: each is named, then removed all the same, so that one failure does not
 * become many.
 */
export function makeScratch(): Scratch {
  const path = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  folders.add(path);
  const undoes: (() => void | Promise<void>)[] = [];
  const end = async () => {
    const errors: unknown[] = [];
    for (let undo = undoes.pop(); undo; undo = undoes.pop()) {
      try {
        await undo();
      } catch (error) {
        errors.push(error);
      }
    }
    const left = await settledLeftovers(path);
    if (left.length > 0) sweep(path);
    rmSync(path, { recursive: true, force: true });
    folders.delete(path);
    if (left.length > 0) errors.push(new Error(`left behind:\n  ${left.join("\n  ")}`));
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, errors.map(String).join("\n"));
  };
  return { path, later: (undo) => undoes.push(undo), end };
}

/** A scratch folder for a test of node:test, ended with it. */
export function scratchFor(test: { after(end: () => Promise<void>): void }): Scratch {
  const scratch = makeScratch();
  test.after(() => scratch.end());
  return scratch;
}

/** The kernel frees an autoclear device a moment after the last unmount, and a killed process takes one to go. */
async function settledLeftovers(path: string): Promise<string[]> {
  for (let tries = 0; ; tries += 1) {
    const left = leftoversOf(path);
    if (left.length === 0 || tries === 20) return left;
    await sleep(50);
  }
}

function sweep(path: string): void {
  for (const { pid } of processesOf(path)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // gone meanwhile
    }
  }
  // Innermost first: what is unmounted lazily while a device below it lives on leaves that device without a path to it.
  for (let round = 0; round < 10 && leftoversOf(path).length > 0; round += 1) {
    for (const target of mountsUnder(path)) spawnSync("umount", [target], { stdio: "ignore" });
    for (const { device } of loopDevicesOf(path)) spawnSync("losetup", ["--detach", device], { stdio: "ignore" });
    spawnSync("sleep", ["0.05"]);
  }
  for (const target of mountsUnder(path)) spawnSync("umount", ["--lazy", target]);
  const stuck = mountsUnder(path);
  if (stuck.length > 0) throw new Error(`cannot be unmounted, so ${path} is left as it is: ${stuck.join(", ")}`);
}
