import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makePoolDisk, type PoolDisk } from "../support/pool-disk.ts";
import { run } from "../support/run.ts";
import { makeScratch, type Scratch } from "../support/scratch.ts";
import { type Built, build, inside, type Unpacked, unpack } from "./chroot.ts";

const limitBytes = 250e6;
const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as {
  version: string;
};

describe("the container image", () => {
  let scratch: Scratch;
  let built: Built;
  let image: Unpacked;
  let disk: PoolDisk;
  before(async () => {
    scratch = makeScratch();
    built = await build(join(scratch.path, "one.tar"));
    image = await unpack(built, join(scratch.path, "image"));
    disk = await makePoolDisk(scratch, "xfs");
  });
  after(() => scratch.end());

  test("the same inputs give the same digest", async () => {
    const again = await build(join(scratch.path, "two.tar"), "--packages", `${built.archive}.packages`);
    assert.equal(again.digest, built.digest);
    await run("cmp", [built.archive, again.archive]);
  });

  test("it says what it is, and is small", async () => {
    assert.equal(image.config.Labels["org.opencontainers.image.version"], version);
    assert.match(image.config.Labels["org.opencontainers.image.revision"] ?? "", /^[0-9a-f]{40}(-changed)?$/);
    assert.deepEqual(image.config.Entrypoint, ["/usr/bin/holdfast"]);
    const bytes = Number((await run("du", ["-s", "--block-size=1", image.root])).split("\t")[0]);
    assert.ok(bytes < limitBytes, `${bytes} bytes unpacked`);
  });

  test("only what the program needs is in it", async () => {
    const { stdout } = await inside(image, {}, "find /opt/holdfast -name '*.ts' -o -name '*.map' -o -name '*.test.*'");
    assert.equal(stdout, "");
    const outcome = await inside(image, {}, "ls /opt/holdfast/node_modules");
    for (const tool of ["typescript", "knip", "@biomejs", "@types"]) {
      assert.ok(!outcome.stdout.split("\n").includes(tool), `${tool} is in the image`);
    }
  });

  test("every program finds its libraries", async () => {
    const script = `for file in $(find /usr/bin /usr/sbin /opt/holdfast -type f \\( -name '*.node' -o -perm -100 \\)); do
      head -c 4 "$file" | grep -q ELF || continue
      [ "$file" = /usr/bin/busybox ] || /lib64/ld-linux-*.so.2 --list "$file" >/dev/null || echo "$file"
    done`;
    const { code, stdout, stderr } = await inside(image, {}, script);
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
  });

  test("it runs with a read-only root: doctor, and volumes of each file system from create to delete", async () => {
    const script = `
      test "$(holdfast --version)" = ${version}
      if touch /opt/holdfast/x 2>/dev/null; then echo "the root can be written"; exit 1; fi
      holdfast pool init /pool --node-id n1 >/dev/null
      export CSI_ENDPOINT=unix:///run/csi.sock
      holdfast serve --pool p=image:/pool --node-id n1 &
      driver=$!
      trap 'kill $driver; wait $driver' EXIT
      for i in $(seq 100); do holdfast probe >/dev/null 2>&1 && break; sleep 0.1; done
      holdfast doctor --pool p=image:/pool --node-id n1
      for type in ext4 xfs btrfs; do
        id=$(holdfast volume create v-$type --size 1Gi --fs-type $type --output id)
        holdfast volume stage "$id" --staging-path /run/stage-$type --fs-type $type >/dev/null
        grep " /run/stage-$type $type " /proc/mounts
        echo kept >/run/stage-$type/file
        holdfast volume unstage "$id" --staging-path /run/stage-$type >/dev/null
        copy=$(holdfast volume create c-$type --size 2Gi --fs-type $type --from-volume "$id" --output id)
        holdfast volume stage "$copy" --staging-path /run/stage-$type --fs-type $type >/dev/null
        test "$(cat /run/stage-$type/file)" = kept
        holdfast volume unstage "$copy" --staging-path /run/stage-$type >/dev/null
        holdfast volume delete "$copy" >/dev/null
        holdfast volume delete "$id" >/dev/null
        echo "whole story of $type"
      done`;
    const outcome = await inside(image, { "/pool": disk.path }, script);
    assert.equal(outcome.code, 0, `${outcome.stdout}\n${outcome.stderr}`);
    for (const type of ["ext4", "xfs", "btrfs"])
      assert.match(outcome.stdout, new RegExp(`whole story of ${type}$`, "m"));
    const findings = outcome.stdout.split("\n");
    assert.deepEqual(
      findings.filter((line) => line.startsWith("error")),
      [],
    );
    for (const tools of ["util-linux", "e2fsprogs", "xfsprogs", "btrfs-progs"]) {
      assert.ok(
        findings.some((line) => line.startsWith(`ok       ${tools} `)),
        `doctor misses something of ${tools}:\n${outcome.stdout}`,
      );
    }
  });
});
