import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Problem } from "../pools/problem.ts";
import { allowedMkfsOptions } from "./mkfs-options.ts";
import { parameterKeys, parseParameters } from "./parameters.ts";

const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof Problem && error.code === "PARAMETER_UNKNOWN" && pattern.test(error.message);

test("nothing given is nothing asked for", () => {
  assert.deepEqual(parseParameters({}), { mkfsOptions: [], identity: {} });
});

test("pool, file system and mkfs options are read", () => {
  const given = { pool: "fast", fsType: "xfs", mkfsOptions: " -K  -i size=1024,maxpct=50 -m reflink=1 -Llabel" };
  assert.deepEqual(parseParameters(given), {
    pool: "fast",
    fsType: "xfs",
    mkfsOptions: ["-K", "-i", "size=1024,maxpct=50", "-m", "reflink=1", "-Llabel"],
    identity: given,
  });
});

test("what Kubernetes adds about the claim takes no part in the identity, and its fstype is fsType", () => {
  const parsed = parseParameters({
    "csi.storage.k8s.io/fstype": "btrfs",
    "csi.storage.k8s.io/pvc/name": "data",
    "csi.storage.k8s.io/pv/name": "pv-1",
    "csi.storage.k8s.io/volumesnapshot/name": "s",
  });
  assert.deepEqual(parsed, { fsType: "btrfs", mkfsOptions: [], identity: { fsType: "btrfs" } });
  assert.throws(() => parseParameters({ fsType: "xfs", "csi.storage.k8s.io/fstype": "ext4" }), refused(/fsType/));
});

test("an unknown key is named with what was meant", () => {
  assert.throws(() => parseParameters({ fstype: "xfs" }), refused(/'fstype'.*written fsType/));
  assert.throws(() => parseParameters({ "mkfs-options": "" }), refused(/written mkfsOptions/));
  assert.throws(() => parseParameters({ "csi.storage.k8s.io/other": "" }), refused(/known are pool/));
  assert.throws(() => parseParameters({ ["\u0000".repeat(5000)]: "" }), refused(/\?\.\.\.'/));
  assert.throws(() => parseParameters({ fsType: "ntfs" }), refused(/ext4, xfs, btrfs/));
});

test("mkfs options that name devices, files or identities are refused, for every file system", () => {
  const bad: Record<string, string[]> = {
    ext4: [
      ...["-F", "-n", "-S", "-d /etc", "-l /etc/passwd", "-z /tmp/undo", "-U random", "-J device=/dev/sda", "-J", "-b"],
      ...["-E offset=4096", "-O journal_dev", "-O ^has_journal,journal_dev", "-L a/b", "-L $(id)", "-L `id`", "-b -F"],
      ...["/dev/sda", "4096", "--", "-", "-E discard,,", "-c", "-bl;id", "-m", "-E root_owner=0:0 10G"],
    ],
    xfs: [
      ...[
        "-f",
        "-N",
        "-p /etc/passwd",
        "-r rtdev=/dev/sda",
        "-l logdev=/dev/sda",
        "-l internal=0",
        "-d name=x",
        "-d file=1",
      ],
      ...["-d size=1g", "-m uuid=0", "-c options=/etc/passwd", "-Kx", "-i size=256,file=1"],
    ],
    btrfs: [
      "-f",
      "-r /etc",
      "--rootdir=/etc",
      "-U x",
      "--uuid=x",
      "-b 1g",
      "--byte-count=1g",
      "--mixed=1",
      "-A 1",
      "--shrink",
    ],
  };
  for (const [fsType, list] of Object.entries(bad)) {
    for (const mkfsOptions of list) {
      assert.throws(
        () => parseParameters({ fsType, mkfsOptions }),
        refused(/mkfsOptions: /),
        `${fsType} ${mkfsOptions}`,
      );
    }
  }
});

test("mkfs options are checked for the file system of the capability where it names one", () => {
  assert.deepEqual(parseParameters({ mkfsOptions: "--csum=xxhash" }, "btrfs").mkfsOptions, ["--csum=xxhash"]);
  assert.throws(() => parseParameters({ mkfsOptions: "--csum=xxhash" }), refused(/not allowed for ext4/));
  assert.throws(() => parseParameters({ mkfsOptions: "-K" }, "vfat"), refused(/vfat/));
  assert.deepEqual(
    parseParameters({ mkfsOptions: "-O ^metadata_csum,extent -E nodiscard,root_owner=1000:1000 -m1" }).mkfsOptions,
    ["-O", "^metadata_csum,extent", "-E", "nodiscard,root_owner=1000:1000", "-m1"],
  );
});

test("docs/reference/parameters.md lists each key and each mkfs option", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/reference/parameters.md"), "utf8");
  for (const key of parameterKeys) assert.match(page, new RegExp(`^\\| \`${key}\` \\|`, "m"));
  for (const [fsType, options] of Object.entries(allowedMkfsOptions)) {
    const row = page.split("\n").find((line) => line.startsWith(`| ${fsType} |`));
    const listed = [...(row ?? "").matchAll(/`(-[^`]+)`/g)].map((match) => match[1]);
    assert.deepEqual(listed, Object.keys(options), fsType);
  }
});
