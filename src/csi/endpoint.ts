/** How a unix socket is written: `unix:///path`, `unix://path`, `unix:path` or the path alone. */
import { resolve } from "node:path";

/** An address that cannot be used, or a socket that could not be made there. The message says what to do. */
export class EndpointError extends Error {
  override readonly name = "EndpointError";
}

/** What the kernel takes (unix(7): 108 bytes with the final NUL). */
export const longestSocketPath = 107;

/**
 * The absolute path of a socket's address. Throws an EndpointError that says what is wrong: another scheme (CSI over TCP
 * would let everyone on the network mount volumes), an empty or a too long path, or one with NUL.
 */
export function socketPathOf(address: string): string {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(address)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== "unix") {
    throw new EndpointError(`'${address}' is not the address of a unix socket: write unix:///path/name.sock`);
  }
  const path = address.replace(/^unix:(\/\/)?/i, "");
  if (path === "" || path.endsWith("/"))
    throw new EndpointError(`'${address}' names no socket: write unix:///path/name.sock`);
  if (path.includes("\0")) throw new EndpointError("the address of the socket has a NUL in it");
  const absolute = resolve(path);
  if (Buffer.byteLength(absolute) > longestSocketPath) {
    throw new EndpointError(
      `the path of the socket has more than ${longestSocketPath} bytes, which is all that the kernel takes`,
    );
  }
  return absolute;
}
