/** The six definitions of deploy/crds: they say what the upstream ones say, take their place and give it back, and refuse what is wrong. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { installDefinitions } from "../support/cluster/objects.ts";
import { snapshotDefinitions } from "../support/cluster/upstream.ts";
import { scratchFor } from "../support/scratch.ts";

const ours = join(import.meta.dirname, "../../deploy/crds");

type Json = string | number | boolean | null | Json[] | { readonly [key: string]: Json };
interface Version {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
}
interface Definition {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly versions: readonly Version[] } & Readonly<Record<string, Json>>;
}

const read = (folder: string): Definition[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".yaml") && name !== "kustomization.yaml")
    .map((name) => parse(readFileSync(join(folder, name), "utf8")) as Definition)
    .sort((one, other) => one.metadata.name.localeCompare(other.metadata.name));

const byText = (one: string, other: string): number => one.localeCompare(other);

/** Without what may differ: descriptions, messages, the order of names, two ways to say "exactly one of two". */
function facts(value: Json): Json {
  if (Array.isArray(value))
    return value.map(facts).sort((one, other) => byText(JSON.stringify(one), JSON.stringify(other)));
  if (value === null || typeof value !== "object") return value;
  const kept: Record<string, Json> = {};
  for (const key of Object.keys(value).sort()) {
    const inner = value[key] ?? null;
    if ((key === "description" || key === "message") && typeof inner === "string") continue;
    if (key === "type" && value["x-kubernetes-int-or-string"] === true) continue;
    if (key === "rule" && typeof inner === "string") {
      const two =
        /^\(has\(self\.(\w+)\) && !has\(self\.(\w+)\)\) \|\|/.exec(inner) ??
        /^has\(self\.(\w+)\) != has\(self\.(\w+)\)$/.exec(inner);
      kept[key] = two ? `one of ${two.slice(1, 3).sort(byText).join(", ")}` : inner;
    } else kept[key] = facts(inner);
  }
  return kept;
}

const served = ({ spec }: Definition) => ({
  ...spec,
  versions: spec.versions.filter(({ name }) => name !== "v1beta1") as unknown as Json,
});

test("they say what the upstream ones say, but for the words and for v1beta1", () => {
  const [mine, theirs] = [read(ours), read(snapshotDefinitions)];
  assert.deepEqual(
    mine.map(({ metadata }) => metadata.name),
    theirs.map(({ metadata }) => metadata.name),
  );
  for (const [index, definition] of mine.entries()) {
    const other = theirs[index];
    assert.ok(other);
    assert.deepEqual(facts(served(definition)), facts(served(other)), definition.metadata.name);
    assert.equal(definition.spec.versions.filter(({ storage }) => storage).length, 1);
  }
});

test("a cluster takes them, in the place of the upstream ones and back, and they refuse what is wrong", async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  await installDefinitions(plane, ours);
  const contents = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents";
  const snapshots = "/apis/snapshot.storage.k8s.io/v1/namespaces/default/volumesnapshots";
  const groups = "/apis/groupsnapshot.storage.k8s.io/v1/namespaces/default/volumegroupsnapshots";
  const groupContents = "/apis/groupsnapshot.storage.k8s.io/v1/volumegroupsnapshotcontents";
  const of = (path: string, spec: object, name = "x") => ({
    apiVersion: path.split("/").slice(2, 4).join("/"),
    kind:
      { volumesnapshotcontents: "VolumeSnapshotContent", volumesnapshots: "VolumeSnapshot" }[
        path.split("/").at(-1) ?? ""
      ] ?? (path === groups ? "VolumeGroupSnapshot" : "VolumeGroupSnapshotContent"),
    metadata: { name },
    spec,
  });
  const ref = { name: "s", namespace: "default" };
  const content = { driver: "d", deletionPolicy: "Delete", source: { volumeHandle: "v" }, volumeSnapshotRef: ref };
  const group = {
    driver: "d",
    deletionPolicy: "Delete",
    source: { volumeHandles: ["v"] },
    volumeGroupSnapshotRef: ref,
  };

  await t.test("what is wrong from the start", async () => {
    const wrong: readonly [path: string, spec: object, words: RegExp][] = [
      [snapshots, { source: {} }, /exactly one of/],
      [snapshots, { source: { persistentVolumeClaimName: "a", volumeSnapshotContentName: "b" } }, /exactly one of/],
      [snapshots, { source: { persistentVolumeClaimName: "a" }, volumeSnapshotClassName: "" }, /leave it out/],
      [contents, { ...content, deletionPolicy: "Keep" }, /Unsupported value: "Keep"/],
      [contents, { ...content, source: { volumeHandle: "v", snapshotHandle: "s" } }, /exactly one of/],
      [contents, { ...content, volumeSnapshotRef: { name: "s" } }, /a name and a namespace/],
      [groups, { source: {} }, /exactly one of/],
      [groupContents, { ...group, source: {} }, /exactly one of/],
      [groupContents, { ...group, volumeGroupSnapshotRef: { namespace: "n" } }, /a name and a namespace/],
    ];
    for (const [path, spec, words] of wrong) await assert.rejects(plane.api.create(path, of(path, spec)), words);
  });

  await t.test("what must not change", async () => {
    const pinned = { ...content, sourceVolumeMode: "Block" };
    await plane.api.create(contents, of(contents, pinned));
    await plane.api.create(snapshots, of(snapshots, { source: { persistentVolumeClaimName: "a" } }));
    await plane.api.create(
      groupContents,
      of(groupContents, { ...group, volumeGroupSnapshotRef: { ...ref, uid: "1" } }),
    );
    const wrong: readonly [path: string, spec: object, words: RegExp][] = [
      [`${contents}/x`, { source: { volumeHandle: "w" } }, /volumeHandle can not be changed/],
      [`${contents}/x`, { source: { volumeHandle: null, snapshotHandle: "s" } }, /can not be taken away/],
      [`${contents}/x`, { sourceVolumeMode: null }, /can not be taken away/],
      [`${snapshots}/x`, { source: { persistentVolumeClaimName: "b" } }, /can not be changed/],
      [`${groupContents}/x`, { driver: "e" }, /driver can not be changed/],
      [`${groupContents}/x`, { volumeGroupSnapshotRef: { ...ref, uid: "2" } }, /uid .* can not be changed/],
    ];
    for (const [path, spec, words] of wrong) await assert.rejects(plane.api.merge(path, { spec }), words);
    await plane.api.merge(`${contents}/x`, { spec: { deletionPolicy: "Retain", volumeSnapshotRef: { uid: "3" } } });
  });

  await t.test("status is apart, and kubectl shows what counts", async () => {
    await plane.api.merge(`${contents}/x`, { status: { readyToUse: true } });
    assert.equal((await plane.api.get<{ status?: object }>(`${contents}/x`)).status, undefined);
    await plane.api.merge(`${contents}/x/status`, {
      status: { readyToUse: true, restoreSize: 1024, snapshotHandle: "h" },
    });
    await plane.api.merge(`${snapshots}/x/status`, { status: { restoreSize: "1Gi" } });
    assert.match(
      await plane.kubectl("get", "vsc", "x"),
      /^NAME +READYTOUSE +RESTORESIZE +DELETIONPOLICY[\s\S]*\nx +true +1024 +Retain +d /,
    );
    assert.match(await plane.kubectl("get", "vs", "x"), /\nx .*\ba\b.*1Gi/);
  });

  await t.test("the upstream ones over them, and they over the upstream ones", async () => {
    await installDefinitions(plane, snapshotDefinitions);
    await installDefinitions(plane, ours);
    assert.ok(await plane.api.get(`${contents}/x`));
    assert.ok(await plane.api.get(`/apis/groupsnapshot.storage.k8s.io/v1beta2/volumegroupsnapshotcontents/x`));
  });
});
