import { leases } from "../../../kubernetes/api/resources.ts";
import { leaseName } from "../../../kubernetes/helpers.ts";
import { error, type Finding, ok } from "../finding.ts";
import type { Looked } from "../kubernetes.ts";
import { asked } from "./asked.ts";

const what = "controller";
/** Milliseconds: a Lease lasts 15 seconds, and clocks differ. */
const tooOld = 120_000;

/** Whether the controller pod works: what needs more power than one node's is its work. */
export function lease({ api, namespace, driverName, shared }: Looked): Promise<Finding[]> {
  return asked(what, async () => {
    const name = leaseName(driverName);
    const found = await api.find(leases, { namespace, name });
    const work = shared
      ? "volumes are neither made, attached nor grown"
      : "Immediate claims, selections of nodes that are gone, and snapshots wait";
    const fix = `kubectl -n ${namespace} get pods -l app.kubernetes.io/component=controller; --namespace names another`;
    if (found === undefined) return [error(what, `there is no Lease ${namespace}/${name}: ${work}`, fix)];
    const { holderIdentity, renewTime } = found.spec ?? {};
    const age = Date.now() - Date.parse(String(renewTime ?? ""));
    if (!holderIdentity) return [error(what, `nobody holds the Lease ${namespace}/${name}: ${work}`, fix)];
    if (!(age < tooOld)) {
      const told = `${holderIdentity} has not renewed the Lease ${namespace}/${name} for ${Math.round(age / 1000)} s: ${work}`;
      return [error(what, told, fix)];
    }
    return [ok(what, `${holderIdentity} leads`)];
  });
}
