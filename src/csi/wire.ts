/** The few facts that both ends of a connection share. */
import type { DescMethod } from "@bufbuild/protobuf";

/** The HTTP/2 path of a method, as `/csi.v1.Node/NodeGetInfo`. */
export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** The words of a gRPC error without the code that grpc-js puts in front of them. */
export function deepestMessage(error: { readonly details?: string; readonly message: string }): string {
  return error.details !== undefined && error.details !== "" ? error.details : error.message.replace(/^\d+ \w+: ?/, "");
}
