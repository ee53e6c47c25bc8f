/** A volume that no claim has any more is deleted, then its object. */
import type { PersistentVolume } from "kubernetes-types/core/v1.js";
import type { StorageClass, VolumeAttachment } from "kubernetes-types/storage/v1.js";
import { actsFor } from "../acts-for.ts";
import { isNotFound } from "../api/api-error.ts";
import type { Informer } from "../api/informer.ts";
import { Later } from "../api/queue.ts";
import { persistentVolumes } from "../api/resources.ts";
import { explain } from "../outcome.ts";
import { secretValues } from "../secret-values.ts";
import type { Provisioner } from "./context.ts";
import { deleteVolume } from "./make.ts";
import { deletionSecretAnnotations, provisionedByAnnotation, volumeFinalizer } from "./names.ts";
import { readParameters, type Secret } from "./parameters.ts";

/** Does what is to be done for the volume now. Throws a Later with what stands in the way. */
export async function serveVolume(
  provisioner: Provisioner,
  attachments: Informer<VolumeAttachment> | undefined,
  name: string,
): Promise<void> {
  const { volumes, api, events, log } = provisioner;
  const known = volumes.get(name);
  if (known === undefined || !isManaged(provisioner, known)) return;
  const wrong = wrongFinalizer(known);
  if (wrong !== undefined) volumes.put(await api.patch(persistentVolumes, { name }, wrong, { type: "strategic" }));
  if (!isToGo(known)) return;
  const holder = attachments?.by("volume", name)[0];
  if (holder !== undefined) {
    const why = `it is still attached to the node ${holder.spec.nodeName}`;
    events.warning(persistentVolumes, known, "VolumeFailedDelete", why);
    throw new Later(`the volume ${name} is not deleted: ${why}`);
  }
  if (attachments?.isFollowing() === false)
    throw new Later(`the volume ${name} is not deleted: whether it is attached can't be seen now`);
  // What is known here may be old, and a deletion can't be taken back.
  const volume = await api.find(persistentVolumes, { name });
  if (volume === undefined) return;
  if (volume.metadata?.uid !== known.metadata?.uid || !isManaged(provisioner, volume) || !isToGo(volume)) {
    volumes.put(volume);
    return;
  }
  try {
    const secrets = await secretsFor(provisioner, volume);
    await deleteVolume(provisioner, { name, ...claimOf(volume) }, volume.spec?.csi?.volumeHandle ?? "", secrets);
  } catch (error) {
    events.warning(persistentVolumes, volume, "VolumeFailedDelete", explain(error));
    throw new Later(`the volume ${name} is not deleted: ${explain(error)}`);
  }
  await removeObject(provisioner, volume);
  log.info({ volume: name }, "the volume's object is removed");
}

/** Made by a provisioner for this driver, or by hand with this driver; and on this node, where we act for one. */
function isManaged(provisioner: Provisioner, volume: PersistentVolume): boolean {
  const by = volume.metadata?.annotations?.[provisionedByAnnotation];
  return (by === undefined || by === provisioner.driver.name) && actsFor(provisioner, volume);
}

function isToGo({ metadata, spec, status }: PersistentVolume): boolean {
  // Without the finalizer an object that is being deleted was dealt with before.
  if (metadata?.deletionTimestamp && !metadata.finalizers?.includes(volumeFinalizer)) return false;
  return status?.phase === "Released" && spec?.persistentVolumeReclaimPolicy === "Delete";
}

/** A strategic merge patch that puts the finalizer right; undefined: it is. */
function wrongFinalizer({ metadata, spec, status }: PersistentVolume): object | undefined {
  const has = metadata?.finalizers?.includes(volumeFinalizer) === true;
  const deletes = spec?.persistentVolumeReclaimPolicy === "Delete";
  if (!has && deletes && !metadata?.deletionTimestamp && status?.phase === "Bound") {
    return { metadata: { uid: metadata?.uid, finalizers: [volumeFinalizer] } };
  }
  return has && !deletes ? withoutFinalizer(metadata?.uid) : undefined;
}

const withoutFinalizer = (uid: string | undefined) => ({
  metadata: { uid, "$deleteFromPrimitiveList/finalizers": [volumeFinalizer] },
});

async function removeObject({ api, volumes }: Provisioner, { metadata }: PersistentVolume): Promise<void> {
  const { name = "", uid } = metadata ?? {};
  await api.delete(persistentVolumes, { name }, uid === undefined ? {} : { uid });
  try {
    volumes.put(await api.patch(persistentVolumes, { name }, withoutFinalizer(uid), { type: "strategic" }));
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

const claimOf = ({ spec }: PersistentVolume) => {
  const { namespace, name, uid } = spec?.claimRef ?? {};
  return namespace && name ? { claim: { namespace, name, uid: uid ?? "" } } : {};
};

/** Those that the volume's annotations name, or its class did. One that is gone must not keep the volume. */
async function secretsFor(provisioner: Provisioner, volume: PersistentVolume): Promise<Record<string, string>> {
  const { api, classes, log } = provisioner;
  const { name = "", annotations = {} } = volume.metadata ?? {};
  const named = annotations[deletionSecretAnnotations.name];
  const namespace = annotations[deletionSecretAnnotations.namespace];
  try {
    if (named !== undefined && namespace !== undefined) {
      return await secretValues(api, named ? { name: named, namespace } : undefined);
    }
    return await secretValues(api, secretOfClass(classes.get(volume.spec?.storageClassName ?? ""), volume));
  } catch (error) {
    if (!isNotFound(error)) throw error;
    log.warn(
      { volume: name, why: explain(error) },
      "the secret for the deletion is gone; the driver is asked without it",
    );
    return {};
  }
}

function secretOfClass(
  storageClass: StorageClass | undefined,
  { metadata, spec }: PersistentVolume,
): Secret | undefined {
  const { name, namespace } = spec?.claimRef ?? {};
  if (storageClass === undefined || !name || !namespace) return undefined;
  return readParameters(storageClass.parameters ?? {}, { metadata: { name, namespace } }, metadata?.name ?? "").secrets
    .provisioner;
}
