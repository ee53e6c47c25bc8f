/**
 * What a change of a claim's VolumeAttributesClass writes on the claim: strategic merge patches of the subresource status
 * (Kubernetes enhancement 3751, "VolumeAttributesClass").
 */
import type { PersistentVolumeClaim, PersistentVolumeClaimCondition } from "kubernetes-types/core/v1.js";
import { CsiError } from "../../csi/client.ts";
import { explain } from "../outcome.ts";

export type ModifyStatus = "Pending" | "InProgress" | "Infeasible";

/** What is under way, or was last tried. Absent: nothing since the last success. */
export const modifyStatusOf = (claim: PersistentVolumeClaim) =>
  claim.status?.modifyVolumeStatus as
    | { readonly status?: ModifyStatus; readonly targetVolumeAttributesClassName?: string }
    | undefined;

/** The class that the claim asks for, and the one that its volume has; empty: none. */
export const wantedClassOf = ({ spec }: PersistentVolumeClaim): string => spec?.volumeAttributesClassName ?? "";
export const currentClassOf = ({ status }: PersistentVolumeClaim): string =>
  status?.currentVolumeAttributesClassName ?? "";

export const saysModifying = ({ status }: PersistentVolumeClaim): boolean =>
  (status?.conditions ?? []).some(({ type }) => type === "ModifyingVolume");

/** The class that is asked for is not there yet. */
export const markModifyPending = () => ({ status: { modifyVolumeStatus: { status: "Pending" } } });

export const markModifying = (claim: PersistentVolumeClaim, target: string) => ({
  status: {
    modifyVolumeStatus: { status: "InProgress", targetVolumeAttributesClassName: target },
    conditions: [condition(claim, "ModifyingVolume", `the volume is being changed to class ${target}`)],
  },
});

export function markModifyFailed(
  claim: PersistentVolumeClaim,
  target: string,
  error: unknown,
  kind: { readonly final: boolean; readonly infeasible: boolean },
) {
  const state = kind.final
    ? `changing the volume to class ${target} failed and will be tried again`
    : `the volume may still be changing to class ${target}`;
  return {
    status: {
      modifyVolumeStatus: {
        status: kind.infeasible ? "Infeasible" : "InProgress",
        targetVolumeAttributesClassName: target,
      },
      conditions: [
        condition(claim, "ModifyingVolume", state),
        condition(claim, "ModifyVolumeError", explain(error), reasonOf(error)),
      ],
    },
  };
}

export const markModified = (target: string) => ({
  status: {
    modifyVolumeStatus: null,
    currentVolumeAttributesClassName: target,
    conditions: [removed("ModifyingVolume"), removed("ModifyVolumeError")],
  },
});

/** Nobody asks for the change any more; what the error was stays to be read. */
export const markModifyCancelled = () => ({ status: { conditions: [removed("ModifyingVolume")] } });

const removed = (type: string) => ({ $patch: "delete", type });

function condition(claim: PersistentVolumeClaim, type: string, message: string, reason?: string) {
  const now = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  const before: PersistentVolumeClaimCondition | undefined = claim.status?.conditions?.find((one) => one.type === type);
  const same = before?.status === "True" && (before.reason ?? "") === (reason ?? "");
  return {
    type,
    status: "True",
    message,
    reason: reason ?? null,
    lastProbeTime: now,
    lastTransitionTime: (same ? before?.lastTransitionTime : undefined) ?? now,
  };
}

/** The code as Go writes it, `InvalidArgument`: conditions have reasons in CamelCase. */
function reasonOf(error: unknown): string {
  if (!(error instanceof CsiError)) return "Unknown";
  if (error.code === "CANCELLED") return "Canceled";
  return error.code.replaceAll(/_?([A-Z])([A-Z]*)/g, (_, first: string, rest: string) => first + rest.toLowerCase());
}
