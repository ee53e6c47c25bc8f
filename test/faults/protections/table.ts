/**
 * The protections that the suite must be able to miss: each is switched off in a copy of the driver, and the part named here
 * must fail, with words that show that it failed for that reason.
 */
export interface Protection {
  readonly name: string;
  /** Below the project's root. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly on: string;
  readonly off: string;
  /** What catches it, as arguments of `npm run test:faults`. */
  readonly caughtBy: readonly string[];
  /** What the failure says. */
  readonly words: RegExp;
}

const plain = "plain:0,plain:1,plain:2,plain:3";

export const protections: readonly Protection[] = [
  {
    name: "recovery-at-start",
    file: "src/pools/folder-pool.ts",
    on: "async recover(): Promise<void> {",
    off: "async recover(): Promise<void> {\n    if (this.uuid) return;",
    caughtBy: ["--only", "kill", "--pool", "image", "--operation", "create", "--at", "worker:renameat2:1"],
    words: /is left in the pool|still promised/,
  },
  {
    name: "format-latch",
    file: "src/volumes/content.ts",
    on: "await (prepared ? prepared.set() : pool.setLatch(volume, latch));",
    off: 'await (latch.state === "formatting" ? prepared?.drop() : prepared?.set());',
    caughtBy: [
      "--only",
      "kill",
      "--pool",
      "image",
      "--operation",
      "stage-first",
      "--at",
      "worker:pwrite64:2,worker:pwrite64:3,worker:rename:2",
    ],
    words: /CONTENT_LOST|DATA_LOSS/,
  },
  {
    name: "thaw-at-start",
    file: "src/volumes/hold.ts",
    on: "const records = this.#records(pool);\n    for (const { key, path: record } of await records.freezes()) {",
    off: "const records = this.#records(pool);\n    for (const { key, path: record } of (await records.freezes()).slice(0, 0)) {",
    caughtBy: [
      "--only",
      "kill",
      "--pool",
      "image",
      "--operation",
      "snapshot-in-use",
      "--at",
      "group:ioctl:1,group:ioctl:2",
    ],
    words: /frozen|did not end/,
  },
  {
    name: "name-decides-identity",
    file: "src/pools/ids.ts",
    on: "`${kind}\\0${poolUuid}\\0${name}`",
    off: "`${kind}\\0${poolUuid}\\0${name}\\0${process.pid}`",
    caughtBy: ["--only", "kill", "--pool", "image", "--operation", "create", "--at", "main:writev:1"],
    words: /another identity|seen after the restart|listed once|volumes are left/,
  },
  {
    name: "held-is-looked-at-again",
    file: "src/pools/half-made.ts",
    on: "(left) => this.#later(left || this.#pool.shared, againMs),",
    off: "() => undefined,",
    // Each meets the moment once in some tries.
    caughtBy: [
      "--only",
      "hasty",
      "--pool",
      "image-copied",
      "--operation",
      "create-from-volume",
      "--at",
      Array.from({ length: 12 }, () => "main:flock:3,worker:ioctl:2,worker:pwrite64:2,worker:fsync:6").join(),
    ],
    words: /building\/.* is left in the pool|still promised/,
  },
  {
    name: "lock-files-swept",
    file: "src/pools/folder-pool.ts",
    on: "        () => this.#sweepLocks(),\n",
    off: "",
    caughtBy: ["--only", "kill", "--pool", "directory", "--operation", "delete"],
    words: /locks\/.* is left in the pool/,
  },
  {
    name: "directory-synced",
    file: "src/host/files.ts",
    on: "      await naming(this.#path, syncDescriptor(this.#fd));\n",
    off: "",
    caughtBy: ["--only", "power-cut", "--pool", "image", "--sample"],
    words: /acknowledged|missing|is not there/,
  },
  {
    name: "records-synced",
    file: "src/host/files.ts",
    on: "(durable ? O_DSYNC : 0)",
    off: "(durable ? 0 : 0)",
    caughtBy: ["--only", "power-cut", "--pool", "image", "--sample"],
    words: /./,
  },
  {
    name: "locked-between-processes",
    file: "src/volumes/ledger.ts",
    on: "const lock = await lockFile(path);",
    off: "const lock = { write: () => undefined, release: async () => undefined };",
    caughtBy: ["--only", "two", "--pool", "image-shared", "--operation", "attach-both,create-delete", "--at", plain],
    words: /both nodes|came back|hit the new one|should have|different|INTERNAL|equal/,
  },
  {
    name: "fenced-by-inode",
    file: "src/volumes/force-detach.ts",
    on: 'if (!unfenced || pool.features.gives === "device") await attachments.fence(volume, progress);',
    off: "",
    caughtBy: ["--only", "two", "--pool", "image-shared", "--operation", "force-write", "--at", "plain:0"],
    words: /VOLUME_IN_USE|the content on/,
  },
  {
    name: "open-volume-stays-attached",
    file: "src/volumes/attaching.ts",
    on: "if (stays) {",
    off: "if (stays && leaving.length === 0) {",
    caughtBy: ["--only", "two", "--pool", "image-shared", "--operation", "attach-both", "--at", "plain:0"],
    words: /the detach of what is open was not refused/,
  },
  {
    name: "attachment-checked-at-stage",
    file: "src/volumes/staging.ts",
    on: "if (mine) return mine.readonly;",
    off: "return mine?.readonly ?? false;",
    caughtBy: ["--only", "two", "--pool", "image-shared", "--operation", "attach-both", "--at", "plain:0"],
    words: /does not hold it/,
  },
  {
    name: "second-stage-unmounted",
    file: "src/volumes/staging.ts",
    on: 'await this.#unmount(pool, volume, record, stagingPath, ["ours"], progress);',
    off: "",
    caughtBy: ["--only", "lies", "--pool", "directory-btrfs", "--operation", "record-stage", "--at", "garbage"],
    words: /busy|VOLUME_IN_USE|still mounted/,
  },
  {
    name: "own-record-known",
    file: "src/pools/members.ts",
    on: "if (node === this.#own?.node) return this.#own.maxVolumes;",
    off: "",
    caughtBy: ["--only", "lies", "--pool", "directory-shared", "--operation", "record-member", "--at", "empty"],
    words: /RECORD_DAMAGED/,
  },
  {
    name: "one-operation-a-volume",
    file: "src/volumes/context.ts",
    on: "/volume/${volume.key}`,\n      label: `volume '${volume.name}'`,\n      lockPaths: [pool.lockPath(\"volume\", volume.key)],",
    off: "/volume/${volume.key}/${Math.random()}`,\n      label: `volume '${volume.name}'`,\n      lockPaths: [],",
    caughtBy: ["--only", "model", "--pool", "image", "--operation", "rivals-of-a-delete"],
    words: /no order of these calls explains/,
  },
  {
    name: "one-target",
    file: "src/volumes/publishing.ts",
    on: "if (!isMultiTarget(target.mode)) {",
    off: 'if (!isMultiTarget(target.mode) && volume.name === "") {',
    caughtBy: ["--only", "model", "--pool", "image", "--operation", "one-target"],
    words: /allowed: FAILED_PRECONDITION/,
  },
  {
    name: "blank-is-data-loss",
    file: "src/volumes/content.ts",
    on: 'case "formatted":\n    case "resizing": {',
    off:
      'case "formatted":\n    case "resizing": {\n' +
      "      if (!(await probe(opened.device))) return format(pool, volume, opened, latch.fsType, true, operation);",
    caughtBy: ["--only", "lies", "--pool", "image", "--operation", "content-bytes", "--at", "blank"],
    words: /blank|content|data/i,
  },
  {
    name: "share-of-a-pool",
    file: "src/host/share.ts",
    on: "return shares.run(share ?? common, work);",
    off: "return shares.run(share ? common : common, work);",
    caughtBy: ["--only", "stuck", "--operation", "disk", "--at", "disk-stopped-crowd"],
    words: /others stand still/,
  },
  {
    name: "silent-pool-left-out",
    file: "src/volumes/answers.ts",
    on: "await within(this.#withinMs, answering);",
    off: "await within(this.#withinMs * 1000, answering);",
    caughtBy: ["--only", "stuck", "--operation", "disk", "--at", "disk-stopped-crowd"],
    words: /others stand still/,
  },
];
