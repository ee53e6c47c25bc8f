import assert from "node:assert/strict";
import { test } from "node:test";
import { driverParameters, ParameterError, readParameters } from "./parameters.ts";
import { fillTemplate } from "./template.ts";

const claim = { metadata: { name: "data", namespace: "team", annotations: { "a/secret": "own" } } };
const read = (parameters: Record<string, string>, defaultFsType?: string) =>
  readParameters(parameters, claim, "pvc-1", defaultFsType);
const token = (name: string) => `\${${name}}`;
const key = (name: string) => `csi.storage.k8s.io/${name}`;

test("the driver gets what is its own, and nothing of ours", () => {
  const parameters = {
    kind: "fast",
    [key("fstype")]: "xfs",
    csiNodeStageSecretName: "s",
    csiNodeStageSecretNamespace: "n",
  };
  const { fsType, forDriver, secrets } = read(parameters);
  assert.equal(fsType, "xfs");
  // The old names were always passed on; a driver may count on it.
  assert.deepEqual(forDriver, { kind: "fast", csiNodeStageSecretName: "s", csiNodeStageSecretNamespace: "n" });
  assert.deepEqual(secrets, { "node-stage": { name: "s", namespace: "n" } });
  assert.deepEqual(driverParameters({ a: "b", [key("what")]: "x" }), { a: "b" });
});

test("a file system by either key, by default, and not twice", () => {
  assert.equal(read({ fsType: "ext4" }).fsType, "ext4");
  assert.equal(read({}, "btrfs").fsType, "btrfs");
  assert.equal(read({ [key("fstype")]: "xfs" }, "btrfs").fsType, "xfs");
  assert.throws(() => read({ fstype: "ext4", [key("fstype")]: "xfs" }), /says the file system twice/);
});

test("secrets: one for all, one for a call, and templates", () => {
  const all = { [key("secret-name")]: "all", [key("secret-namespace")]: "sys" };
  const own = {
    [key("node-stage-secret-name")]: `${token("pvc.annotations['a/secret']")}-${token("pv.name")}-${token("pvc.name")}`,
    [key("node-stage-secret-namespace")]: token("pvc.namespace"),
  };
  const { secrets } = read({ ...all, ...own });
  assert.deepEqual(secrets["node-stage"], { name: "own-pvc-1-data", namespace: "team" });
  assert.deepEqual(secrets.provisioner, { name: "all", namespace: "sys" });
  assert.equal(Object.keys(secrets).length, 7);
});

test("what is refused", () => {
  const refused: [Record<string, string>, RegExp][] = [
    [{ [key("what")]: "x" }, /unknown parameter csi.storage.k8s.io\/what/],
    [{ [key("node-stage-secret-name")]: "x" }, /needs both/],
    [{ [key("node-stage-secret-name")]: "x", [key("node-stage-secret-namespace")]: "" }, /needs both/],
    [
      {
        [key("node-stage-secret-name")]: "x",
        [key("node-stage-secret-namespace")]: "y",
        csiNodeStageSecretName: "x",
        csiNodeStageSecretNamespace: "y",
      },
      /names a secret twice/,
    ],
    // Who makes the claim chooses its name: it must not choose the namespace.
    [{ [key("secret-name")]: "x", [key("secret-namespace")]: token("pvc.name") }, /which is not known/],
    [{ [key("secret-name")]: token("pvc.labels"), [key("secret-namespace")]: "y" }, /which is not known/],
    [{ [key("secret-name")]: "A_b", [key("secret-namespace")]: "y" }, /gives no name of a secret/],
    [{ [key("secret-name")]: "x", [key("secret-namespace")]: "a.b" }, /gives no namespace/],
  ];
  for (const [parameters, why] of refused) assert.throws(() => read(parameters), why, JSON.stringify(parameters));
  assert.throws(() => read({ [key("x")]: "" }), ParameterError);
});

test("a token is filled in or refused, and nothing is guessed", () => {
  assert.equal(fillTemplate(`a-${token("x")}-b`, { x: "1" }), "a-1-b");
  assert.equal(fillTemplate("plain", {}), "plain");
  for (const wrong of [token("y"), "$x", "$$", token(""), token("toString")]) {
    assert.throws(() => fillTemplate(wrong, { x: "1" }), /not known/, wrong);
  }
});
