import type { ApiClient } from "../../../kubernetes/api/client.ts";
import { type Need, needsOf } from "../../../kubernetes/needs.ts";
import { error, type Finding, ok, warning } from "../finding.ts";
import type { Looked } from "../kubernetes.ts";
import { asked } from "./asked.ts";
import { hasSnapshotKinds } from "./snapshots.ts";

/** Requests at once: an API server gives one account a few places. */
const width = 8;

/** Whether the account that asks, or where that is a person the chart's own, may do all that its helpers do. */
export function access(looked: Looked): Promise<Finding[]> {
  const { api, role, shared, namespace } = looked;
  return asked("roles", async () => {
    const snapshots = await hasSnapshotKinds(api);
    const needs = needsOf(role, shared).filter((need) => !need.snapshots || snapshots);
    if (needs.length === 0) return [ok("roles", "a node of shared pools asks nothing of the API server")];
    const me = await whoAmI(api);
    const account = me.startsWith("system:serviceaccount:")
      ? undefined
      : `system:serviceaccount:${namespace}:holdfast-${role}`;
    const questions = needs.flatMap((need) => need.verbs.map((verb) => ({ need, verb })));
    const answers = await inTurns(questions, ({ need, verb }) => may(api, account, need, verb, namespace));
    const denied = questions.filter((_, index) => !answers[index]);
    const who = account ?? me;
    if (denied.length === 0) return [ok("roles", `${who} may do all ${questions.length} things that its helpers do`)];
    if (account !== undefined && denied.length === questions.length) {
      const fix =
        "name the chart's namespace with --namespace; its accounts are called holdfast-node and holdfast-controller in a release called holdfast";
      return [warning("roles", `${who} may do nothing: perhaps there is no such account`, fix)];
    }
    return needs.flatMap((need) => {
      const verbs = denied.filter((each) => each.need === need).map(({ verb }) => verb);
      if (verbs.length === 0) return [];
      const told = `${who} may not ${verbs.join(", ")} ${need.resource}${need.group === "" ? "" : `.${need.group}`}`;
      return [error("roles", told, "install the chart's roles again: docs/reference/chart-policies.md lists them")];
    });
  });
}

async function whoAmI(api: ApiClient): Promise<string> {
  const answer = (await api.send({
    method: "POST",
    path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
  })) as { readonly status?: { readonly userInfo?: { readonly username?: string } } };
  return answer.status?.userInfo?.username ?? "somebody";
}

/** `account` absent: the one that asks. */
async function may(
  api: ApiClient,
  account: string | undefined,
  need: Need,
  verb: string,
  namespace: string,
): Promise<boolean> {
  const [resource = "", subresource] = need.resource.split("/");
  const kind = account === undefined ? "SelfSubjectAccessReview" : "SubjectAccessReview";
  const answer = (await api.send({
    method: "POST",
    path: `/apis/authorization.k8s.io/v1/${kind.toLowerCase()}s`,
    body: {
      apiVersion: "authorization.k8s.io/v1",
      kind,
      spec: {
        ...(account === undefined
          ? {}
          : {
              user: account,
              groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
            }),
        resourceAttributes: {
          group: need.group,
          resource,
          verb,
          ...(subresource === undefined ? {} : { subresource }),
          ...(need.inNamespace ? { namespace } : {}),
        },
      },
    },
  })) as { readonly status?: { readonly allowed?: boolean } };
  return answer.status?.allowed === true;
}

async function inTurns<T, R>(items: readonly T[], each: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += width) {
    results.push(...(await Promise.all(items.slice(at, at + width).map(each))));
  }
  return results;
}
