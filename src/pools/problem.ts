/**
 * Everything that can go wrong, in the words of the domain. The set is closed: each problem has a stable name, a kind
 * (which `csi/` turns into a status code) and the advice that completes its message. docs/reference/errors.md lists them
 * all, and a test holds the list and this table together.
 */

/** What sort of answer a problem is. `csi/status.ts` has one gRPC code for each. */
export type ProblemKind =
  | "invalid"
  | "notFound"
  | "conflict"
  | "busy"
  | "precondition"
  | "unsupported"
  | "outOfRange"
  | "outOfSpace"
  | "dataLoss"
  | "unavailable"
  | "cancelled"
  | "timedOut"
  | "denied"
  | "internal";

interface Entry {
  readonly kind: ProblemKind;
  /** What happened, without the particulars. */
  readonly meaning: string;
  /** What the reader should do about it. */
  readonly advice: string;
}

export const problems = {
  FIELD_INVALID: {
    kind: "invalid",
    meaning: "A field of the request is missing or has a value that is never valid.",
    advice: "correct the field that is named",
  },
  PARAMETER_UNKNOWN: {
    kind: "invalid",
    meaning:
      "A parameter of a StorageClass or snapshot class, or an attribute of an inline volume, has an unknown key or a bad value.",
    advice: "correct the parameter; docs/reference/parameters.md lists them",
  },
  CAPABILITY_UNSUPPORTED: {
    kind: "invalid",
    meaning: "No pool that was asked for can give a volume with these access modes, access type or file system.",
    advice: "ask for another access mode or volume mode, or for a pool that has it",
  },
  SOURCE_UNSUPPORTED: {
    kind: "invalid",
    meaning: "The pool cannot make a volume from this kind of source.",
    advice: "use a source in the same pool, of a kind that the pool supports",
  },
  VOLUME_NOT_FOUND: {
    kind: "notFound",
    meaning: "There is no volume with this ID.",
    advice: "check the ID; the volume may have been deleted",
  },
  SNAPSHOT_NOT_FOUND: {
    kind: "notFound",
    meaning: "There is no snapshot with this ID.",
    advice: "check the ID; the snapshot may have been deleted",
  },
  NODE_NOT_FOUND: {
    kind: "notFound",
    meaning: "No node with this ID serves the pool.",
    advice: "check that the driver runs on that node and serves this pool",
  },
  PATH_NOT_FOUND: {
    kind: "notFound",
    meaning: "The volume is not at this path.",
    advice: "use the path at which the volume was staged or published",
  },
  NAME_TAKEN: {
    kind: "conflict",
    meaning: "The name belongs to a volume or snapshot that was made by a different request.",
    advice: "use another name, or repeat the request that made it",
  },
  ATTACHED_DIFFERENTLY: {
    kind: "conflict",
    meaning: "The volume is attached to this node already, in another way.",
    advice: "detach it first, or repeat the request that attached it",
  },
  STAGED_DIFFERENTLY: {
    kind: "conflict",
    meaning: "The volume is staged already, in another way or at another path.",
    advice: "unstage it first, or repeat the request that staged it",
  },
  PUBLISHED_DIFFERENTLY: {
    kind: "conflict",
    meaning: "The target path has the volume already, in another way, or holds something else.",
    advice: "unpublish it first, or use another target path",
  },
  OPERATION_RUNNING: {
    kind: "busy",
    meaning: "Another operation holds the volume.",
    advice: "call again; the message says which operation it is, at which step and since when",
  },
  TOKEN_UNKNOWN: {
    kind: "busy",
    meaning: "The starting token was not issued by this driver.",
    advice: "start the listing again without a token",
  },
  VOLUME_IN_USE: {
    kind: "precondition",
    meaning: "The volume is staged, attached or open.",
    advice: "unpublish, unstage and detach it first",
  },
  ATTACHED_ELSEWHERE: {
    kind: "precondition",
    meaning: "The volume is attached to another node and its access mode allows one.",
    advice: "detach it from the node that is named; if that node is gone for ever, holdfast volume detach --force",
  },
  NOT_ATTACHED: {
    kind: "precondition",
    meaning: "This node does not hold the attachment of the volume.",
    advice: "attach the volume to this node first",
  },
  NOT_STAGED: {
    kind: "precondition",
    meaning: "The volume is not staged at this path.",
    advice: "stage it first",
  },
  TARGETS_EXHAUSTED: {
    kind: "precondition",
    meaning: "The volume is published at another target and its access mode allows one.",
    advice: "unpublish it there first, or ask for SINGLE_NODE_MULTI_WRITER",
  },
  FOREIGN_ID: {
    kind: "precondition",
    meaning: "The ID belongs to a pool or a node that this process does not serve.",
    advice: "send the call to the driver of that pool and node",
  },
  SNAPSHOT_NEEDS_FREEZE: {
    kind: "precondition",
    meaning: "The volume is in use and could not be held still for as long as the copy takes.",
    advice: "unpublish and unstage it, raise maxFreeze, or move the pool to a file system with reflinks (xfs, btrfs)",
  },
  MOUNT_REFUSED: {
    kind: "precondition",
    meaning: "The kernel refused to mount the file system with these flags.",
    advice: "correct the mount flags; the kernel's own words are in the message",
  },
  FILESYSTEM_UNSUPPORTED: {
    kind: "precondition",
    meaning: "The volume holds a file system other than the one that was asked for, or this host cannot mount it.",
    advice: "ask for the file system that the volume has, or install its kernel module and tools",
  },
  FILESYSTEM_DAMAGED: {
    kind: "precondition",
    meaning: "The file system needs a repair that is never made by itself.",
    advice: "repair it by hand on a copy, or restore a snapshot",
  },
  EXPAND_UNSUPPORTED: {
    kind: "precondition",
    meaning: "The kernel does not let this process grow this file system while it is mounted.",
    advice: "unpublish and unstage the volume; it grows at its next stage",
  },
  SOURCE_NOT_READY: {
    kind: "precondition",
    meaning: "The source of the copy is in use in a way that forbids a consistent copy.",
    advice: "stop its use, or copy from a snapshot",
  },
  FEATURE_ABSENT: {
    kind: "unsupported",
    meaning: "The configured pools cannot do this.",
    advice: "use a pool whose backend has the feature",
  },
  SIZE_OUT_OF_RANGE: {
    kind: "outOfRange",
    meaning: "The size is negative, not satisfiable, smaller than the source or larger than the pool.",
    advice: "ask for a size within the range that is named",
  },
  POOL_FULL: {
    kind: "outOfSpace",
    meaning: "The pool has promised too much already.",
    advice: "delete volumes or snapshots, enlarge the pool, or raise its overcommit",
  },
  GROWTH_TOO_LARGE: {
    kind: "outOfRange",
    meaning: "The pool has no room for so large a growth; the volume is as it was.",
    advice: "ask for less, delete volumes or snapshots, enlarge the pool, or raise its overcommit",
  },
  TOPOLOGY_UNSATISFIED: {
    kind: "outOfSpace",
    meaning: "No pool of this process is in the topology that was asked for.",
    advice: "ask the driver on a node of that topology",
  },
  NODE_FULL: {
    kind: "outOfSpace",
    meaning: "The node can take no more volumes.",
    advice: "detach volumes from it, or raise maxVolumes",
  },
  CONTENT_LOST: {
    kind: "dataLoss",
    meaning: "The volume was formatted or used once and its content is blank, foreign or missing now.",
    advice: "do not write to it; look at the pool's disk and restore a snapshot",
  },
  RECORD_DAMAGED: {
    kind: "dataLoss",
    meaning: "A record in the pool can't be read or contradicts itself.",
    advice: "look at the file that is named; restore it from a backup of the pool",
  },
  POOL_UNAVAILABLE: {
    kind: "unavailable",
    meaning: "The pool's folder is not there, not writable, or not a pool.",
    advice: "mount the pool's disk; if it is a new pool: holdfast pool init",
  },
  POOL_NEWER: {
    kind: "unavailable",
    meaning: "The pool was written by a newer version of holdfast.",
    advice: "run that version or a newer one",
  },
  STOPPING: {
    kind: "unavailable",
    meaning: "The driver is stopping.",
    advice: "call again when it has started",
  },
  CALL_CANCELLED: {
    kind: "cancelled",
    meaning: "The caller went away and the work was undone.",
    advice: "call again",
  },
  CALL_TIMED_OUT: {
    kind: "timedOut",
    meaning: "The work did not finish before the caller's deadline.",
    advice: "call again; the message says what it was waiting for",
  },
  HOST_DENIED: {
    kind: "denied",
    meaning: "The host does not let the driver do this.",
    advice: "run holdfast doctor: it names the capability or permission that is missing",
  },
  HOST_EXHAUSTED: {
    kind: "unavailable",
    meaning: "The host has no memory, file descriptors, processes or locks left for the call.",
    advice: "call again; if it stays so, raise the limit that is named or end what uses it up",
  },
  COMMAND_FAILED: {
    kind: "internal",
    meaning: "A file system tool failed.",
    advice: "read the command's own words in the message",
  },
  INTERNAL: {
    kind: "internal",
    meaning: "An error that the driver did not expect.",
    advice: "report it with the log line of this request",
  },
} as const satisfies Record<string, Entry>;

export type ProblemName = keyof typeof problems;

/**
 * An error of the domain. Its message is complete: what happened, with the particulars, and what to do.
 * Never put a secret or a request's parameters verbatim into `what`.
 */
export class Problem extends Error {
  readonly code: ProblemName;
  /** The message without its advice and name. */
  readonly what: string;
  readonly advice: string;

  constructor(code: ProblemName, what: string, options?: { cause?: unknown; advice?: string }) {
    const advice = options?.advice ?? problems[code].advice;
    super(`${what}; ${advice} [${code}]`, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Problem";
    this.code = code;
    this.what = what;
    this.advice = advice;
  }

  get kind(): ProblemKind {
    return problems[this.code].kind;
  }

  /** One that another process told of. A name that this release does not know is INTERNAL, and stands in the message. */
  static told(told: { readonly problem: string; readonly what: string; readonly advice: string }): Problem {
    if (isName(told.problem)) return new Problem(told.problem, told.what, { advice: told.advice });
    return new Problem("INTERNAL", `${told.problem}: ${told.what}`, { advice: told.advice });
  }

  /** A problem as it is; anything else as INTERNAL, with the original as its cause. */
  static from(error: unknown): Problem {
    if (error instanceof Problem) return error;
    return new Problem("INTERNAL", error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function isName(text: string): text is ProblemName {
  return Object.hasOwn(problems, text);
}
