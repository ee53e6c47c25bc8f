/**
 * The listening socket: nobody but its owner can connect at any moment, it appears whole, and it never takes the place
 * of one on which somebody answers. Nothing else is left in its directory, as CSI wants it.
 */
import { randomBytes } from "node:crypto";
import { link, lstat, rename, stat, unlink } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { EndpointError, longestSocketPath } from "./endpoint.ts";

/** How often a start gives way to others that start or stop at the same moment. */
const attempts = 20;
const answerWithinMs = 1000;

export interface Listener {
  /** No new connections, and the socket's file goes, if it is still ours. May be called twice. */
  close(): Promise<void>;
  /** Whether the socket's file is still there, and ours: who comes by its path reaches this process. */
  inPlace(): Promise<boolean>;
}

/** Listens on `path`. Throws an EndpointError when the directory is missing or somebody answers on the socket already. */
export async function listenOn(path: string, accept: (connection: Socket) => void): Promise<Listener> {
  const directory = dirname(path);
  await requireDirectory(directory);
  // The socket is made under another name and linked into place: link never replaces, so of two that start one wins.
  const aside = join(directory, `.${randomBytes(4).toString("hex")}`);
  if (Buffer.byteLength(aside) > longestSocketPath)
    throw new EndpointError(`the path of the socket is too long: ${path}`);
  const server = createServer(accept);
  await bindPrivately(server, aside, path);
  try {
    const ours = await stat(aside);
    await putInPlace(aside, path);
    return {
      close: () => close(server, path, ours.ino),
      inPlace: async () => (await lstat(path).catch(ignoreMissing))?.ino === ours.ino,
    };
  } catch (error) {
    server.close();
    throw error;
  } finally {
    await unlink(aside).catch(ignoreMissing);
  }
}

async function requireDirectory(directory: string): Promise<void> {
  const found = await stat(directory).catch(() => undefined);
  if (!found?.isDirectory()) throw new EndpointError(`the directory of the socket is missing: mkdir -p ${directory}`);
}

function bindPrivately(server: Server, aside: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new EndpointError(`cannot make the socket ${path}: ${error.message}`)));
    server.once("listening", resolve);
    // Node binds a pipe before listen() returns, so no other file is made under this umask.
    const before = process.umask(0o177);
    try {
      server.listen({ path: aside, backlog: 511 });
    } finally {
      process.umask(before);
    }
  });
}

async function putInPlace(aside: string, path: string): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    try {
      return await link(aside, path);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw new EndpointError(`cannot make the socket ${path}: ${String(error)}`);
    }
    const found = await lstat(path).catch(ignoreMissing);
    if (found === undefined) continue;
    if (!found.isSocket()) throw new EndpointError(`${path} is there and is not a socket: move it away`);
    if (await answers(path)) {
      throw new EndpointError(`a server answers on ${path} already: stop it first, or take another --endpoint`);
    }
    await removeStale(path, found.ino);
  }
  throw new EndpointError(`cannot make the socket ${path}: others make and remove it all the time`);
}

/** Whether a process listens there. When in doubt (no permission, a full backlog) it does. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    const tell = (answer: boolean) => {
      clearTimeout(timer);
      probe.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => tell(true), answerWithinMs);
    probe.once("connect", () => tell(true));
    probe.once("error", (error) => tell(codeOf(error) !== "ECONNREFUSED" && codeOf(error) !== "ENOENT"));
  });
}

/** Removes the socket with this inode. Should another have come in its place meanwhile, that one goes back. */
async function removeStale(path: string, inode: number): Promise<void> {
  const aside = join(dirname(path), `.${randomBytes(4).toString("hex")}`);
  try {
    await rename(path, aside);
    if ((await lstat(aside)).ino !== inode) await link(aside, path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT" && codeOf(error) !== "EEXIST") throw error;
  } finally {
    await unlink(aside).catch(ignoreMissing);
  }
}

async function close(server: Server, path: string, inode: number): Promise<void> {
  server.close();
  const found = await lstat(path).catch(ignoreMissing);
  if (found?.ino === inode) await unlink(path).catch(ignoreMissing);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

function ignoreMissing(error: unknown): undefined {
  if (codeOf(error) !== "ENOENT") throw error;
  return undefined;
}
