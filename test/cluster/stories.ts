/** What pods do with their volumes, whoever provides them: each in a namespace of its own, which it leaves empty. */
import assert from "node:assert/strict";
import type { Space, Volume } from "../support/cluster/claims.ts";

type Story = (space: Space) => Promise<void>;

/** Megabytes of a file system as the pod sees it. */
const megabytes = async (space: Space, pod: string, path: string) =>
  Number(await space.sh(pod, `df -m ${path} | awk 'END { print $2 }'`));

export const stories: Record<string, Story> = {
  "a claim, a pod, data; another pod finds them": async (space) => {
    await space.claim("c", { class: "ext4" });
    await space.pod("one", { claims: { "/data": "c" } });
    await space.running("one");
    await space.sh("one", "echo kept >/data/file && sync");
    assert.match(await space.sh("one", "grep ' /data ' /proc/mounts"), /ext4/);
    await space.removePod("one");
    await space.pod("two", { claims: { "/data": "c" } });
    await space.running("two");
    assert.equal(await space.sh("two", "cat /data/file"), "kept\n");
    await space.removePod("two");
    await space.removeClaim("c");
  },

  "a raw device: what one pod wrote the next one reads": async (space) => {
    await space.claim("c", { class: "ext4", block: true });
    await space.pod("one", { devices: { "/dev/raw": "c" } });
    await space.running("one");
    await space.sh("one", "test -b /dev/raw && echo raw-bytes | dd of=/dev/raw conv=fsync 2>/dev/null");
    await space.removePod("one");
    await space.pod("two", { devices: { "/dev/raw": "c" } });
    await space.running("two");
    assert.equal(await space.sh("two", "head -c 10 /dev/raw"), "raw-bytes\n");
    await space.removePod("two");
    await space.removeClaim("c");
  },

  "a snapshot of a volume in use is restored, and a clone made, with the data of their moment": async (space) => {
    await space.claim("source", { class: "xfs", size: "512Mi" });
    await space.pod("writer", { claims: { "/data": "source" } });
    await space.running("writer");
    await space.sh("writer", "echo before >/data/file && sync");
    await space.snapshot("s", "source", "snap");
    await space.snapshotReady("s");
    await space.sh("writer", "echo after >/data/file && sync");
    await space.claim("restored", { class: "xfs", size: "512Mi", fromSnapshot: "s" });
    await space.claim("cloned", { class: "xfs", size: "768Mi", fromClaim: "source" });
    await space.pod("reader", { claims: { "/restored": "restored", "/cloned": "cloned" } });
    await space.running("reader");
    assert.equal(await space.sh("reader", "cat /restored/file /cloned/file"), "before\nafter\n");
    assert.ok((await megabytes(space, "reader", "/cloned")) > 600);
    await Promise.all([space.removePod("reader"), space.removePod("writer")]);
    await space.removeSnapshot("s");
    for (const claim of ["cloned", "restored", "source"]) await space.removeClaim(claim);
  },

  "a raw device grows while a pod has it": async (space) => {
    await space.claim("c", { class: "ext4", block: true, size: "512Mi" });
    await space.pod("p", { devices: { "/dev/raw": "c" } });
    await space.running("p");
    await space.resize("c", "1Gi");
    await space.grown("c", "1Gi");
    assert.equal(await space.sh("p", "blockdev --getsize64 /dev/raw"), `${1024 ** 3}\n`);
    await space.removePod("p");
    await space.removeClaim("c");
  },

  "xfs grows while a pod writes": (space) => grows(space, "xfs"),
  "btrfs grows while a pod writes": (space) => grows(space, "btrfs"),

  "a volume of a pod's own comes and goes with the pod": async (space) => {
    const spec = {
      storageClassName: "ext4",
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: "64Mi" } },
    };
    const volume = { name: "own", ephemeral: { volumeClaimTemplate: { spec } } };
    await space.pod("p", { mounts: { "/own": "own" }, volumes: [volume] });
    await space.running("p");
    await space.sh("p", "echo x >/own/file");
    const { metadata } = await space.bound("p-own");
    await space.removePod("p");
    await space.gone("its volume", `/api/v1/persistentvolumes/${metadata.name}`);
  },

  "an inline volume has the size that the pod asks for, and goes with the pod": async (space) => {
    const csi = { driver: "local.csi.holdfast", fsType: "xfs", volumeAttributes: { size: "512Mi" } };
    await space.pod("p", { mounts: { "/scratch": "scratch" }, volumes: [{ name: "scratch", csi }] });
    await space.running("p");
    const size = await megabytes(space, "p", "/scratch");
    assert.ok(size > 400 && size <= 512, `${size} MiB`);
    await space.sh("p", "echo x >/scratch/file && sync");
    await space.removePod("p");
  },

  "ReadWriteOncePod: a second pod waits until the first one is gone": async (space) => {
    await space.claim("c", { class: "ext4", mode: "ReadWriteOncePod" });
    await space.pod("first", { claims: { "/data": "c" } });
    await space.running("first");
    await space.pod("second", { claims: { "/data": "c" } });
    await space.said(/ReadWriteOncePod/);
    await space.removePod("first");
    await space.running("second");
    await space.removePod("second");
    await space.removeClaim("c");
  },

  "a volume that is retained stays, with its data, until somebody takes it again": async (space) => {
    const { api } = space;
    await space.claim("c", { class: "kept" });
    await space.pod("p", { claims: { "/data": "c" } });
    await space.running("p");
    await space.sh("p", "echo kept >/data/file && sync");
    await space.removePod("p");
    const { metadata } = await space.bound("c");
    const path = `/api/v1/persistentvolumes/${metadata.name}`;
    await api.remove(`/api/v1/namespaces/${space.name}/persistentvolumeclaims/c`);
    const phase = async (wanted: string) => {
      const ask = async () => ((await api.get<Volume>(path)).status.phase === wanted ? true : undefined);
      await space.plane.until(`the volume is ${wanted}`, ask);
    };
    await phase("Released");
    await api.merge(path, { spec: { claimRef: null } });
    await phase("Available");
    await space.claim("again", { class: "kept", volume: metadata.name });
    await space.pod("q", { claims: { "/data": "again" } });
    await space.running("q");
    assert.equal(await space.sh("q", "cat /data/file"), "kept\n");
    await space.removePod("q");
    await api.merge(path, { spec: { persistentVolumeReclaimPolicy: "Delete" } });
    await space.removeClaim("again");
  },

  "many claims at once": async (space) => {
    const names = Array.from({ length: 24 }, (_, index) => `c${index}`);
    await Promise.all(names.map((name) => space.claim(name, { class: "xfs", size: "512Mi" })));
    const pods = [0, 1, 2].map((pod) => names.filter((_, index) => index % 3 === pod));
    await Promise.all(
      pods.map((claims, index) => {
        const paths = Object.fromEntries(claims.map((claim) => [`/v/${claim}`, claim]));
        return space.pod(`p${index}`, { claims: paths });
      }),
    );
    await Promise.all(pods.map((_, index) => space.running(`p${index}`, 90_000)));
    for (const [index] of pods.entries()) {
      await space.sh(`p${index}`, "for v in /v/*; do echo $v >$v/name || exit 1; done");
      assert.equal(await space.sh(`p${index}`, "cat /v/*/name | sort -u | wc -l"), "8\n");
    }
    await Promise.all(pods.map((_, index) => space.removePod(`p${index}`)));
    await Promise.all(names.map((name) => space.removeClaim(name, 60_000)));
  },
};

async function grows(space: Space, kind: string): Promise<void> {
  await space.claim("c", { class: kind, size: "512Mi" });
  await space.pod("p", { claims: { "/data": "c" } });
  await space.running("p");
  assert.ok((await megabytes(space, "p", "/data")) < 600);
  await space.sh("p", "echo kept >/data/file");
  await space.resize("c", "1Gi");
  await space.grown("c", "1Gi");
  assert.ok((await megabytes(space, "p", "/data")) > 800);
  assert.equal(await space.sh("p", "cat /data/file"), "kept\n");
  assert.equal(await space.restarts("p"), 0);
  await space.removePod("p");
  await space.removeClaim("c");
}
