/** What to do about a gRPC code, for drivers whose messages do not say it. Holdfast's own do, and end in `[NAME]`. */
const advice: Readonly<Record<string, string>> = {
  ABORTED: "another operation holds the volume; repeat the command",
  ALREADY_EXISTS: "it exists already, made by another request; use another name or path, or repeat the first request",
  CANCELLED: "repeat the command",
  DEADLINE_EXCEEDED: "repeat the command: the driver may have gone on; --timeout waits longer",
  FAILED_PRECONDITION: "the volume is not in the state that this needs",
  INTERNAL: "look at the driver's log",
  INVALID_ARGUMENT: "correct the request",
  NOT_FOUND: "check the ID or the path; holdfast volume list shows what there is",
  OUT_OF_RANGE: "ask for a size that the driver can give",
  PERMISSION_DENIED: "check the secrets and who runs the driver",
  RESOURCE_EXHAUSTED: "free space, or ask for less",
  UNAUTHENTICATED: "check the secrets (--secret-file)",
  UNAVAILABLE: "check that the driver runs and listens at --csi-address, and that you may open the socket (root)",
  UNIMPLEMENTED: "the driver does not offer this; holdfast info shows what it does",
};

/** The message with what to do, unless it says so itself. */
export function advised(code: string, message: string): string {
  if (/\[[A-Z][A-Z_]+\]$/.test(message)) return message;
  const what = advice[code];
  return what === undefined ? message : `${message}\n  ${what}`;
}
