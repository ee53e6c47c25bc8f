/**
 * The least that a gRPC client can be, straight on Node's HTTP/2: what the bench measures beside the driver is the driver, and
 * the bench shares its processors with it. As orchestrators do, each call has a deadline. Our own client for commands and helpers
 * (src/csi/client.ts, grpc-js) costs nearly twice the processor time.
 */
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { createConnection } from "node:net";
import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { status as grpcStatus } from "@grpc/grpc-js";
import { type CsiClient, CsiError } from "../../src/csi/client.ts";
import { Controller, GroupController, Identity, Node } from "../../src/csi/gen/csi_pb.ts";
import { methodPath } from "../../src/csi/wire.ts";

/** Bytes before a message: whether it is compressed, and its length (gRPC over HTTP2, "Length-Prefixed-Message"). */
const prefixBytes = 5;

/** A client of the server at this path, which must be there. A call that is answered by a status other than OK throws CsiError with its name. */
export function connectBare(socketPath: string): CsiClient {
  const session = connectHttp2("http://localhost", { createConnection: () => createConnection(socketPath) });
  // The calls that run hear of it themselves.
  session.on("error", () => undefined);
  const call: Calling = (method, path, request) =>
    new Promise((resolve, reject) => {
      const stream = session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        "grpc-timeout": "120S",
      });
      const chunks: Buffer[] = [];
      let status: string | undefined;
      const heard = (headers: IncomingHttpHeaders) => {
        const { "grpc-status": told, "grpc-message": said } = headers;
        if (typeof told !== "string") return;
        status = told;
        if (status === "0") return;
        const message = typeof said === "string" ? decodeURIComponent(said) : "";
        reject(new CsiError(grpcStatus[Number(status)] ?? status, message, method.name));
      };
      stream.on("response", heard);
      stream.on("trailers", heard);
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("error", reject);
      stream.on("end", () => {
        if (status !== "0") return reject(new CsiError(status ?? "UNAVAILABLE", "no answer", method.name));
        const [only, ...more] = chunks;
        const body = only && more.length === 0 ? only : Buffer.concat(chunks);
        resolve(fromBinary(method.output, body.subarray(prefixBytes)));
      });
      const message = Buffer.allocUnsafe(prefixBytes + request.length);
      message[0] = 0;
      message.writeUInt32BE(request.length, 1);
      message.set(request, prefixBytes);
      stream.end(message);
    });
  return {
    identity: methodsOf(Identity, call),
    controller: methodsOf(Controller, call),
    groupController: methodsOf(GroupController, call),
    node: methodsOf(Node, call),
    close: () => session.destroy(),
  };
}

type Calling = (method: DescMethod, path: string, request: Uint8Array) => Promise<unknown>;

function methodsOf<T>(service: DescService, call: Calling): T {
  const methods: Record<string, (request: never) => Promise<unknown>> = {};
  for (const method of service.methods) {
    if (method.methodKind !== "unary") continue;
    const path = methodPath(method);
    methods[method.localName] = (request: MessageInitShape<typeof method.input>) =>
      call(method, path, toBinary(method.input, create(method.input, request)));
  }
  return methods as T;
}
