import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { needsOf } from "./needs.ts";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}
interface Granted {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules?: readonly Rule[];
}

const folder = join(import.meta.dirname, "../../deploy/manifests");

function rolesIn(file: string, account: string): { readonly cluster: readonly Rule[]; readonly own: readonly Rule[] } {
  const objects = parseAllDocuments(readFileSync(join(folder, file), "utf8")).map(
    (each) => each.toJS() as Granted | null,
  );
  const rules = (kind: string) =>
    objects.flatMap((each) => (each?.kind === kind && each.metadata.name === account ? (each.rules ?? []) : []));
  return { cluster: rules("ClusterRole"), own: rules("Role") };
}

const grants = (rules: readonly Rule[], group: string, resource: string, verb: string) =>
  rules.some(
    (rule) => rule.apiGroups.includes(group) && rule.resources.includes(resource) && rule.verbs.includes(verb),
  );

test("the manifests grant each role what doctor asks for", () => {
  let looked = 0;
  for (const [file, shared] of [
    ["local.yaml", false],
    ["shared.yaml", true],
  ] as const) {
    for (const role of ["node", "controller"] as const) {
      const { cluster, own } = rolesIn(file, `holdfast-${role}`);
      for (const need of needsOf(role, shared)) {
        const rules = need.inNamespace ? [...cluster, ...own] : cluster;
        const missing = need.verbs.filter((verb) => !grants(rules, need.group, need.resource, verb));
        assert.deepEqual([file, role, need.resource, missing], [file, role, need.resource, []]);
        looked += 1;
      }
    }
  }
  assert.ok(looked > 20, `only ${looked} were looked at`);
});
