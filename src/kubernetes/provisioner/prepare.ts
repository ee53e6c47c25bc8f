/** From a claim and its class to the plan of a volume. */
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import type { StorageClass } from "kubernetes-types/storage/v1.js";
import { volumeAttributesClasses } from "../api/resources.ts";
import { bytesOf } from "../quantity.ts";
import { secretValues } from "../secret-values.ts";
import { capabilityOf } from "../volume-capability.ts";
import type { Provisioner } from "./context.ts";
import {
  classNameOf,
  deletionSecretAnnotations,
  modifySecretAnnotations,
  provisionedByAnnotation,
  volumeFinalizer,
  volumeNameOf,
} from "./names.ts";
import { type ClassParameters, readParameters } from "./parameters.ts";
import type { Plan } from "./plan.ts";
import type { Found } from "./sources.ts";
import { type Requirement, requirementOf } from "./topology.ts";

/** The selected node is not there any more, or was never one of the driver's: another must be selected. */
export class NodeGone extends Error {
  override readonly name = "NodeGone";
}

/** A plan whose intent is durable on return. Throws as `planFor`, and an ApiError when the secret that it names can't be read. */
export async function beginPlan(provisioner: Provisioner, ...about: Tail<Parameters<typeof planFor>>): Promise<Plan> {
  const plan = await planFor(provisioner, ...about);
  // Read here once in vain, so that a secret that is missing leaves nothing begun.
  await secretValues(provisioner.api, plan.secret);
  await provisioner.intents.begin(plan);
  return plan;
}

type Tail<T extends readonly unknown[]> = T extends readonly [unknown, ...infer Rest] ? Rest : never;

/** Throws for what the driver can't do and for what the class or the claim has wrong. */
export async function planFor(
  provisioner: Provisioner,
  claim: PersistentVolumeClaim,
  storageClass: StorageClass,
  found: Found | undefined,
  selectedNode: string | undefined,
): Promise<Plan> {
  const { driver, options } = provisioner;
  const { namespace = "", name = "", uid = "" } = claim.metadata ?? {};
  checkAbilities(provisioner, claim, found);
  if (claim.spec?.selector)
    throw new Error("the claim has a selector, which a volume that is yet to be made can't match");
  const volumeName = volumeNameOf(provisioner, claim);
  const parameters = readParameters(storageClass.parameters ?? {}, claim, volumeName, options.defaultFsType);
  const volume = skeleton(provisioner, claim, storageClass, parameters);
  const modes = claim.spec?.accessModes ?? [];
  if (modes.length === 0) throw new Error("the claim asks for no access mode");
  const topology = topologyFor(provisioner, claim, storageClass, selectedNode);
  const metadata = options.extraCreateMetadata && {
    "csi.storage.k8s.io/pvc/name": name,
    "csi.storage.k8s.io/pvc/namespace": namespace,
    "csi.storage.k8s.io/pv/name": volumeName,
  };
  const { provisioner: secret } = parameters.secrets;
  return {
    claim: { uid, namespace, name },
    name: volumeName,
    bytes: String(bytesOf(claim.spec?.resources?.requests?.["storage"] ?? "0")),
    capabilities: modes.map((mode) => {
      const mount = { csi: { fsType: parameters.fsType }, mountOptions: storageClass.mountOptions ?? [] };
      return capabilityOf({ ...mount, ...volumeModeOf(claim), accessModes: [mode] }, driver);
    }),
    parameters: { ...parameters.forDriver, ...metadata },
    mutableParameters: await mutableParameters(provisioner, claim),
    ...(found && { source: { kind: found.kind, id: found.id }, from: { kind: found.kind, name: found.name } }),
    ...(topology && { topology }),
    ...(secret && { secret }),
    volume,
  };
}

function checkAbilities({ driver }: Provisioner, { spec }: PersistentVolumeClaim, found: Found | undefined): void {
  const wanted: [string, string][] = [["CREATE_DELETE_VOLUME", "make volumes"]];
  if (found?.kind === "snapshot") wanted.push(["CREATE_DELETE_SNAPSHOT", "restore snapshots"]);
  if (found?.kind === "volume") wanted.push(["CLONE_VOLUME", "clone volumes"]);
  if (spec?.volumeAttributesClassName) wanted.push(["MODIFY_VOLUME", "take a VolumeAttributesClass"]);
  for (const [capability, what] of wanted) {
    if (!driver.controller.has(capability)) throw new Error(`the driver ${driver.name} can't ${what} (${capability})`);
  }
}

const volumeModeOf = ({ spec }: PersistentVolumeClaim) =>
  spec?.volumeMode === undefined ? {} : { volumeMode: spec.volumeMode };

function topologyFor(
  { withTopology, places, options, node }: Provisioner,
  claim: PersistentVolumeClaim,
  { allowedTopologies }: StorageClass,
  selectedNode: string | undefined,
): Requirement | undefined {
  if (!withTopology) return undefined;
  const selected = selectedNode === undefined ? undefined : places.of(selectedNode);
  if (selectedNode !== undefined && selected === undefined) {
    throw new NodeGone(`the selected node ${selectedNode} is not there, or has no driver`);
  }
  return requirementOf({
    ...(allowedTopologies && { allowed: allowedTopologies }),
    ...(selected && { selected }),
    all: places.all(),
    strict: node !== undefined || options.strictTopology === true,
    immediate: options.immediateTopology !== false,
    claimName: claim.metadata?.name ?? "",
  });
}

/** Absent from the cluster, or of another driver: an error. */
async function mutableParameters({ api, driver }: Provisioner, { spec }: PersistentVolumeClaim) {
  const name = spec?.volumeAttributesClassName;
  if (!name) return {};
  const found = await api.get(volumeAttributesClasses, { name });
  if (found.driverName !== driver.name) {
    throw new Error(`the VolumeAttributesClass ${name} is of the driver ${found.driverName}, not ${driver.name}`);
  }
  return { ...found.parameters };
}

/** What of the volume's object is known before it is made. */
function skeleton(
  provisioner: Provisioner,
  claim: PersistentVolumeClaim,
  storageClass: StorageClass,
  { fsType, secrets }: ClassParameters,
): PersistentVolume {
  const { driver, node, options } = provisioner;
  const { namespace = "", name = "", uid = "", resourceVersion } = claim.metadata ?? {};
  const { accessModes = [], volumeMode, volumeAttributesClassName } = claim.spec ?? {};
  const { mountOptions = [], reclaimPolicy } = storageClass;
  const modify = secrets["controller-modify"];
  const readOnly = options.publishReadonly && accessModes.length === 1 && accessModes[0] === "ReadOnlyMany";
  return {
    metadata: {
      name: volumeNameOf(provisioner, claim),
      annotations: {
        [provisionedByAnnotation]: storageClass.provisioner,
        [deletionSecretAnnotations.name]: secrets.provisioner?.name ?? "",
        [deletionSecretAnnotations.namespace]: secrets.provisioner?.namespace ?? "",
        ...(modify && {
          [modifySecretAnnotations.name]: modify.name,
          [modifySecretAnnotations.namespace]: modify.namespace,
        }),
      },
      finalizers: [volumeFinalizer],
      ...(node !== undefined && options.labelVolumes && { labels: { [`${driver.name}/node`]: node } }),
    },
    spec: {
      accessModes,
      ...(mountOptions.length > 0 && { mountOptions }),
      ...(reclaimPolicy && { persistentVolumeReclaimPolicy: reclaimPolicy }),
      storageClassName: classNameOf(claim),
      ...(volumeMode && { volumeMode }),
      ...(volumeAttributesClassName && { volumeAttributesClassName }),
      claimRef: {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        namespace,
        name,
        uid,
        ...(resourceVersion && { resourceVersion }),
      },
      csi: {
        driver: driver.name,
        volumeHandle: "",
        ...(volumeMode !== "Block" && fsType && { fsType }),
        ...(readOnly && { readOnly }),
        ...(secrets["controller-publish"] && { controllerPublishSecretRef: secrets["controller-publish"] }),
        ...(secrets["node-stage"] && { nodeStageSecretRef: secrets["node-stage"] }),
        ...(secrets["node-publish"] && { nodePublishSecretRef: secrets["node-publish"] }),
        ...(secrets["controller-expand"] && { controllerExpandSecretRef: secrets["controller-expand"] }),
        ...(secrets["node-expand"] && { nodeExpandSecretRef: secrets["node-expand"] }),
      },
    },
  };
}
