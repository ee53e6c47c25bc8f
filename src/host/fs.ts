/**
 * The file calls of Node, each in a turn of the share that the running work uses (share.ts): what `pools`, `volumes` and `host`
 * call instead of node:fs/promises, so that files on a disk that does not answer cost their pool's threads and no others.
 */
import * as fs from "node:fs";
import type * as promises from "node:fs/promises";
import { currentShare } from "./share.ts";

type Callback = (error: unknown, result?: unknown) => void;

/**
 * One promise a call, as util.promisify makes: these are called a hundred times in a volume's life. `bytes`: what the function's
 * number is called in its result.
 */
function inTurn<F>(fn: unknown, bytes?: "bytesRead" | "bytesWritten"): F {
  const asked = fn as (...args: unknown[]) => void;
  const call = (...args: unknown[]): Promise<unknown> => {
    const lane = currentShare().ordinary;
    return new Promise((resolve, reject) => {
      const done: Callback = (error, result) => {
        lane.leave();
        if (error) reject(error);
        else resolve(bytes === undefined ? result : { [bytes]: result });
      };
      const begin = () => {
        try {
          asked(...args, done);
        } catch (error) {
          // What can't be an argument is thrown before anything is called.
          done(error);
        }
      };
      if (lane.enter()) begin();
      else lane.wait(begin, reject);
    });
  };
  return call as F;
}

export const access = inTurn<typeof promises.access>(fs.access);
export const chmod = inTurn<typeof promises.chmod>(fs.chmod);
export const link = inTurn<typeof promises.link>(fs.link);
export const lstat = inTurn<typeof promises.lstat>(fs.lstat);
export const mkdir = inTurn<typeof promises.mkdir>(fs.mkdir);
export const readdir = inTurn<typeof promises.readdir>(fs.readdir);
export const readFile = inTurn<typeof promises.readFile>(fs.readFile);
export const rename = inTurn<typeof promises.rename>(fs.rename);
export const rmdir = inTurn<typeof promises.rmdir>(fs.rmdir);
export const stat = inTurn<typeof promises.stat>(fs.stat);
export const statfs = inTurn<typeof promises.statfs>(fs.statfs);
export const unlink = inTurn<typeof promises.unlink>(fs.unlink);
export const writeFile = inTurn<typeof promises.writeFile>(fs.writeFile);

/** Without a turn: statfs for who took one, opendir for a look at a start, one at a time. */
export { opendir, statfs as statfsAtOnce } from "node:fs/promises";

/** Raw descriptors, not FileHandle: nothing closes them behind our back. All are O_CLOEXEC. */
export const openFile = inTurn<typeof fs.open.__promisify__>(fs.open);
export const closeFile = inTurn<typeof fs.close.__promisify__>(fs.close);
export const syncDescriptor = inTurn<typeof fs.fsync.__promisify__>(fs.fsync);
export const truncate = inTurn<typeof fs.ftruncate.__promisify__>(fs.ftruncate);

type Transfer<K extends string> = (
  fd: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
) => Promise<Readonly<Record<K, number>>>;
export const readBytes = inTurn<Transfer<"bytesRead">>(fs.read, "bytesRead");
export const writeBytes = inTurn<Transfer<"bytesWritten">>(fs.write, "bytesWritten");
