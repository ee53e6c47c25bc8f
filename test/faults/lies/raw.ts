/** gRPC by hand, on HTTP/2 as Node has it: for what no client would send. */
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectSocket } from "node:net";

export interface RawAnswer {
  /** The number of the gRPC status; absent: the stream ended without one. */
  readonly status: number | undefined;
  /** What it said, or how the stream ended. */
  readonly message: string;
}

export interface RawConnection {
  /** `body`: as it goes out, frames and all. Never rejects. */
  call(path: string, body: Buffer, headers?: Readonly<Record<string, string>>): Promise<RawAnswer>;
  readonly session: ClientHttp2Session;
  close(): void;
}

const answerMs = 20_000;

/** A message in its frame: whether compressed, its length, itself (gRPC over HTTP2, "Length-Prefixed-Message"). */
export function framed(message: Buffer, says: { readonly flag?: number; readonly length?: number } = {}): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(says.flag ?? 0, 0);
  head.writeUInt32BE(says.length ?? message.length, 1);
  return Buffer.concat([head, message]);
}

export async function connectRaw(socket: string): Promise<RawConnection> {
  const session = connect("http://localhost", { createConnection: () => connectSocket(socket) });
  session.on("error", () => {}); // each call tells its own end
  await once(session, "connect");
  return {
    session,
    call: (path, body, headers = {}) =>
      new Promise((resolve) => {
        const usual = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
        let status: number | undefined;
        let message = "";
        const see = (told: Readonly<Record<string, unknown>>) => {
          if (told["grpc-status"] !== undefined) status = Number(told["grpc-status"]);
          if (typeof told["grpc-message"] === "string") message = decodeURIComponent(told["grpc-message"]);
        };
        const over = (how: string) => {
          clearTimeout(late);
          resolve({ status, message: message || how });
        };
        const late = setTimeout(() => over("no answer"), answerMs);
        if (session.closed || session.destroyed) return over("the connection is closed");
        const stream = session.request({ ...usual, ...headers });
        stream.on("response", see);
        stream.on("trailers", see);
        stream.on("error", (error) => over(String(error)));
        stream.on("close", () => over(`ended with ${stream.rstCode}`));
        stream.resume();
        stream.end(body);
      }),
    close: () => session.destroy(),
  };
}
