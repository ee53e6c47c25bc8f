import { isNotFound } from "../../../kubernetes/api/api-error.ts";
import type { ApiClient } from "../../../kubernetes/api/client.ts";
import { type ApiObject, leases, type Resource, volumeSnapshotClasses } from "../../../kubernetes/api/resources.ts";
import { type Finding, ok, warning } from "../finding.ts";
import type { Looked } from "../kubernetes.ts";
import { asked } from "./asked.ts";

interface Deployment extends ApiObject {
  readonly spec?: { readonly template?: { readonly spec?: { readonly containers?: readonly Container[] } } };
}
interface Container {
  readonly image?: string;
  readonly args?: readonly string[];
  readonly command?: readonly string[];
}

const deployments: Resource<Deployment> = {
  group: "apps",
  version: "v1",
  plural: "deployments",
  kind: "Deployment",
  namespaced: true,
};

const kinds = ["volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses"] as const;

/** Whether the cluster knows all three kinds: discovery is open to every account. */
export async function hasSnapshotKinds(api: ApiClient): Promise<boolean> {
  return (await missingKinds(api)).length === 0;
}

async function missingKinds(api: ApiClient): Promise<string[]> {
  try {
    const answer = (await api.send({ method: "GET", path: "/apis/snapshot.storage.k8s.io/v1" })) as {
      readonly resources?: readonly { readonly name: string }[];
    };
    return kinds.filter((kind) => !answer.resources?.some(({ name }) => name === kind));
  } catch (cause) {
    if (isNotFound(cause)) return [...kinds];
    throw cause;
  }
}

/** The definitions, a class, and the cluster's snapshot-controller, which has to say whose a content is. */
export async function snapshots(looked: Looked): Promise<Finding[]> {
  const { api, driverName } = looked;
  const missing = await asked("snapshot kinds", async () => {
    const lacks = await missingKinds(api);
    if (lacks.length === 0) return [];
    const fix = "kubectl apply -f deploy/crds, or install the chart with snapshots.controller: true";
    return [warning("snapshot kinds", `the cluster has no ${lacks.join(", ")}: there are no snapshots`, fix)];
  });
  if (missing.length > 0) return missing;
  const classes = await asked("snapshot class", async () => {
    const names = (await api.list(volumeSnapshotClasses)).flatMap(({ driver, metadata }) =>
      driver === driverName ? [metadata?.name ?? ""] : [],
    );
    return names.length === 0
      ? [warning("snapshot class", `none names ${driverName}`, "kubectl apply -f deploy/manifests/snapshot-class.yaml")]
      : [ok("snapshot class", names.join(", "))];
  });
  return [ok("snapshot kinds", "there"), ...classes, ...(await controller(looked))];
}

function controller({ api, shared }: Looked): Promise<Finding[]> {
  const what = "snapshot-controller";
  return asked(what, async () => {
    const found = (await api.list(deployments)).flatMap(({ metadata, spec }) =>
      (spec?.template?.spec?.containers ?? [])
        .filter(({ image, command }) =>
          [image, ...(command ?? [])].some((word) => /(?:^|\/)snapshot-controller(?:[:@]|$)/.test(word ?? "")),
        )
        .map((container) => ({ name: `${metadata?.namespace}/${metadata?.name}`, container })),
    );
    const distributed = /^--enable-distributed-snapshotting(?:=true)?$/;
    const without = found.find(({ container }) => !container.args?.some((arg) => distributed.test(arg)));
    if (without && !shared) {
      const told = `${without.name} runs without distributed snapshotting: contents get their node's label from our controller pod alone`;
      return [
        warning(what, told, "add --enable-distributed-snapshotting to it; with sidecars=upstream snapshots need it"),
      ];
    }
    const [first] = found;
    if (first) return [ok(what, `${first.name}${shared ? "" : ", with distributed snapshotting"}`)];
    // Where it is no Deployment, as ours or a provider's, its Lease tells.
    const held = await api.list(leases, { fieldSelector: "metadata.name=snapshot-controller-leader" });
    const [lease] = held;
    if (lease) return [ok(what, `${lease.spec?.holderIdentity ?? "somebody"} leads in ${lease.metadata?.namespace}`)];
    const fix = "install one, or the chart with snapshots.controller: true, unless your provider runs it out of sight";
    return [warning(what, "none was seen: without one VolumeSnapshots wait for ever", fix)];
  });
}
