import type { CSIDriverSpec } from "kubernetes-types/storage/v1.js";
import { csiDrivers, storageClasses } from "../../../kubernetes/api/resources.ts";
import { error, type Finding, ok, warning } from "../finding.ts";
import type { Looked } from "../kubernetes.ts";
import { asked } from "./asked.ts";

const again = "kubectl delete csidriver, and install the chart again: it can't be changed in place";

/** The CSIDriver object, which the kubelet and the scheduler go by, and the classes that name the driver. */
export async function driverObject({ api, driverName, shared }: Looked): Promise<Finding[]> {
  const object = await asked("CSIDriver", async () => {
    const found = await api.find(csiDrivers, { name: driverName });
    if (found === undefined) {
      return [
        error(
          "CSIDriver",
          `there is no CSIDriver ${driverName}`,
          "install the chart, or kubectl apply -f deploy/manifests",
        ),
      ];
    }
    const wrong = faultsOf(found.spec, shared);
    return wrong.length > 0
      ? wrong
      : [ok("CSIDriver", `${driverName}: ${shared ? "attached" : "not attached"}, pod info on mount`)];
  });
  const classes = await asked("StorageClass", async () => {
    const names = (await api.list(storageClasses)).flatMap(({ provisioner, metadata }) =>
      provisioner === driverName ? [metadata?.name ?? ""] : [],
    );
    return names.length === 0
      ? [warning("StorageClass", `none names ${driverName}`, "make one: docs/reference/parameters.md has an example")]
      : [ok("StorageClass", names.join(", "))];
  });
  return [...object, ...classes];
}

function faultsOf(spec: CSIDriverSpec, shared: boolean): Finding[] {
  const found: Finding[] = [];
  const attach = spec.attachRequired ?? true;
  if (attach !== shared) {
    const told = attach
      ? "attachRequired: true, and local pools are not attached: each pod waits for an attachment for ever"
      : "attachRequired: false, and shared pools must be attached: two nodes could ask for one volume";
    found.push(error("CSIDriver", told, again));
  }
  if (spec.podInfoOnMount !== true && !shared) {
    found.push(
      warning(
        "CSIDriver",
        "podInfoOnMount is not set: inline volumes can't be told from others",
        "set podInfoOnMount: true",
      ),
    );
  }
  if (spec.storageCapacity !== true && !shared) {
    found.push(
      warning(
        "CSIDriver",
        "storageCapacity is not set: the scheduler chooses nodes that are full",
        "set storageCapacity: true",
      ),
    );
  }
  return found;
}
