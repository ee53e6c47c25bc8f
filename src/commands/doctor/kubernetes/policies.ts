import { isNotFound } from "../../../kubernetes/api/api-error.ts";
import type { ApiObject, Resource } from "../../../kubernetes/api/resources.ts";
import { error, type Finding, ok, warning } from "../finding.ts";
import type { Looked } from "../kubernetes.ts";
import { asked } from "./asked.ts";

interface Policy extends ApiObject {
  readonly spec?: { readonly failurePolicy?: string };
}
interface Binding extends ApiObject {
  readonly spec?: { readonly policyName?: string; readonly validationActions?: readonly string[] };
}

const kindOf = <T extends ApiObject>(kind: string): Resource<T> => ({
  group: "admissionregistration.k8s.io",
  version: "v1",
  plural: kind === "ValidatingAdmissionPolicy" ? "validatingadmissionpolicies" : "validatingadmissionpolicybindings",
  kind,
  namespaced: false,
});

/** As the chart calls them, after the name of the node's account. docs/reference/chart-policies.md says what each is for. */
const wanted = [
  "volumes",
  "claims",
  "capacity",
  "snapshots",
  "sources",
  "others",
  "volume-classes",
  "capacity-classes",
  "bindings",
] as const;

const what = "policies";
const fix =
  "install the chart with policies.enabled: true: without them a token stolen from one node has power over all";

/** What keeps a node's token to its own node: roles can't say it. */
export function policies({ api, shared }: Looked): Promise<Finding[]> {
  return asked(what, async () => {
    if (shared) return [ok(what, "none are needed: nodes of shared pools write nothing")];
    try {
      const labelSelector = "app.kubernetes.io/name=holdfast";
      const [found, bindings] = await Promise.all([
        api.list(kindOf<Policy>("ValidatingAdmissionPolicy"), { labelSelector }),
        api.list(kindOf<Binding>("ValidatingAdmissionPolicyBinding"), { labelSelector }),
      ]);
      const enforced = found.filter(
        ({ metadata, spec }) =>
          spec?.failurePolicy !== "Ignore" &&
          bindings.some(
            (each) => each.spec?.policyName === metadata?.name && each.spec?.validationActions?.includes("Deny"),
          ),
      );
      const missing = wanted.filter(
        (name) => !enforced.some(({ metadata }) => metadata?.name?.endsWith(`-node-${name}`)),
      );
      if (missing.length === 0) return [ok(what, `all ${wanted.length} are there, and deny`)];
      return [error(what, `missing, or not enforced: ${missing.join(", ")}`, fix)];
    } catch (cause) {
      if (!isNotFound(cause)) throw cause;
      return [warning(what, "this cluster has no ValidatingAdmissionPolicy", "upgrade to Kubernetes 1.30 or newer")];
    }
  });
}
