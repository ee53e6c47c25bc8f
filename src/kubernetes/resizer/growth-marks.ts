/**
 * What a growth writes on its claim: strategic merge patches of the subresource status, where a condition is found by its
 * type. Each changes only what it names.
 */
import type { GrowthStatus } from "./claim-sizes.ts";

/** The kubelet leaves the volume alone when it sees this on a claim. */
export const noNodePartAnnotation = "volume.kubernetes.io/node-expansion-not-required";

const conditionTypes = ["Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError"] as const;
type ConditionType = (typeof conditionTypes)[number];

const condition = (type: ConditionType, message?: string) => ({
  type,
  status: "True",
  lastTransitionTime: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
  message: message ?? null,
});
const removed = (...but: readonly ConditionType[]) =>
  conditionTypes.filter((type) => !but.includes(type)).map((type) => ({ $patch: "delete", type }));
const statuses = (status: GrowthStatus | null) => ({ allocatedResourceStatuses: { storage: status } });

/** Before the driver is called: whoever goes on after us knows to which size. */
export const markBegun = (size: string, newly: boolean) => ({
  metadata: { annotations: { [noNodePartAnnotation]: null } },
  status: {
    conditions: [condition("Resizing"), ...(newly ? removed("Resizing") : [])],
    allocatedResources: { storage: size },
    ...(newly && statuses("ControllerResizeInProgress")),
  },
});

/** The driver refused for good; `infeasible`: because of the size itself. */
export const markFailed = (why: string, infeasible: boolean) => ({
  status: {
    conditions: [condition("ControllerResizeError", why)],
    ...(infeasible && statuses("ControllerResizeInfeasible")),
  },
});

/** The volume has grown, its file system has not. */
export const markPendingOnNode = () => ({
  metadata: { annotations: { [noNodePartAnnotation]: null } },
  status: {
    conditions: [
      condition(
        "FileSystemResizePending",
        "The volume has its new size; its file system gets it on the node that a pod uses it on.",
      ),
    ],
    ...statuses("NodeResizePending"),
  },
});

/** All is done: nothing is left for a node. */
export const markGrown = (size: string) => ({
  metadata: { annotations: { [noNodePartAnnotation]: "true" } },
  status: { capacity: { storage: size }, conditions: removed(), ...statuses(null) },
});
