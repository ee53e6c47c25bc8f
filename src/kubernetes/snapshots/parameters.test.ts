import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersForDriver, secretOf } from "./parameters.ts";

const key = (rest: string) => `csi.storage.k8s.io/${rest}`;
const token = (name: string) => `$\{${name}}`;

test("the driver gets what is not reserved, and a reserved key that nobody knows is an error", () => {
  const secrets = { [key("snapshotter-secret-name")]: "s", [key("snapshotter-secret-namespace")]: "n" };
  assert.deepEqual(parametersForDriver({ type: "fast", "example.org/x": "1", ...secrets }), {
    type: "fast",
    "example.org/x": "1",
  });
  assert.deepEqual(parametersForDriver(), {});
  assert.throws(() => parametersForDriver({ [key("snapshoter-secret-name")]: "s" }), /no such key is known/);
});

test("a secret with the names of snapshot and content in it", () => {
  const parameters = {
    [key("snapshotter-secret-name")]: `${token("volumesnapshot.name")}-$volumesnapshotcontent.name`,
    [key("snapshotter-secret-namespace")]: token("volumesnapshot.namespace"),
  };
  assert.throws(() => secretOf("snapshotter", parameters, {}, {}), /asks for/);
  const braced = { ...parameters, [key("snapshotter-secret-name")]: `${token("volumesnapshot.name")}-x` };
  const names = { "volumesnapshot.namespace": "shop" };
  assert.deepEqual(secretOf("snapshotter", braced, names, { "volumesnapshot.name": "one" }), {
    name: "one-x",
    namespace: "shop",
  });
  assert.equal(secretOf("snapshotter-list", parameters), undefined);
});

test("the one who makes snapshots can't choose the namespace of the secret by their names", () => {
  const parameters = {
    [key("snapshotter-secret-name")]: "s",
    [key("snapshotter-secret-namespace")]: token("volumesnapshot.name"),
  };
  assert.throws(
    () => secretOf("snapshotter", parameters, {}, { "volumesnapshot.name": "kube-system" }),
    /not known here/,
  );
});

test("half a secret, or a name that can't be one, is an error", () => {
  assert.throws(() => secretOf("snapshotter", { [key("snapshotter-secret-name")]: "s" }), /give both/);
  const odd = { [key("snapshotter-secret-name")]: "a/b", [key("snapshotter-secret-namespace")]: "n" };
  assert.throws(() => secretOf("snapshotter", odd), /"a\/b" can't be the name of a secret/);
});
