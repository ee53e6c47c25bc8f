/** Names that the upstream attacher has too, so that either may take over the other's objects. */

/** On an attachment: the driver's name for the node, for the time when nothing else knows it any more. */
export const nodeIdAnnotation = "csi.alpha.kubernetes.io/node-id";

/** On attachments and volumes: the volume may still be attached. */
export function attacherFinalizer(driver: string): string {
  const name = driver.replaceAll(/[^a-zA-Z0-9-]/g, "-");
  return `external-attacher/${name.endsWith("-") ? `${name}X` : name}`;
}

/** The numbers of gRPC's status codes, which `VolumeError.errorCode` has (Kubernetes 1.33 and later). */
const codes = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** Absent: it is no such code. */
export function numberOfCode(name: string): number | undefined {
  const number = codes.indexOf(name);
  return number < 0 ? undefined : number;
}
