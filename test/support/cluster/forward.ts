/**
 * forward.ts LISTEN=TO ...: carries bytes between addresses, each `HOST:PORT` or the path of a unix socket. A unix socket
 * is the door between two network namespaces: its name lies in the file system, which both see.
 */
import { rmSync } from "node:fs";
import { connect, createServer, type NetConnectOpts } from "node:net";

function addressOf(text: string): NetConnectOpts {
  if (text.startsWith("/")) return { path: text };
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

for (const pair of process.argv.slice(2)) {
  const [listen = "", to = ""] = pair.split("=");
  if (listen.startsWith("/")) rmSync(listen, { force: true });
  const server = createServer({ allowHalfOpen: true }, (from) => {
    const peer = connect({ ...addressOf(to), allowHalfOpen: true });
    from.pipe(peer).pipe(from);
    from.on("error", () => peer.destroy());
    peer.on("error", () => from.destroy());
    from.on("close", () => peer.destroy());
    peer.on("close", () => from.destroy());
  });
  server.listen(addressOf(listen), () => console.log(`${listen} leads to ${to}`));
}
