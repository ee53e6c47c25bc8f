/**
 * A node that came back under another name, with its disks. The affinity of a PersistentVolume can't be changed, so each is made anew
 * with the new name, for the same claim. Between the two the cluster has no such object, so what is to be made is first
 * written to a file, durably, and a repeat goes on from there.
 */
import { mkdir, readdir, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { PersistentVolume } from "kubernetes-types/core/v1.js";
import { syncDirectory, writeDurably } from "../../host/files.ts";
import { isAlreadyExists } from "../api/api-error.ts";
import type { ApiClient } from "../api/client.ts";
import { persistentVolumes, volumeSnapshotContents } from "../api/resources.ts";
import { managedBy } from "../snapshots/names.ts";
import { belongingsOf, nodeKeyOf } from "./belongings.ts";
import { remove } from "./forget.ts";

export interface Adoption {
  readonly driver: string;
  readonly from: string;
  readonly to: string;
  /** Keeps what is being made anew until it is; made when it is missing. */
  readonly folder: string;
}

/** The same volume, bound to the node `to`: what the server fills in is left out, the claim stays the same. */
export function moved(volume: PersistentVolume, driver: string, to: string): PersistentVolume {
  const key = nodeKeyOf(driver);
  const { name, labels, annotations, finalizers } = volume.metadata ?? {};
  const { claimRef, ...spec } = volume.spec ?? {};
  const claim = claimRef && { ...claimRef };
  delete claim?.resourceVersion;
  const affinity = {
    required: { nodeSelectorTerms: [{ matchExpressions: [{ key, operator: "In", values: [to] }] }] },
  };
  return {
    metadata: {
      ...(name !== undefined && { name }),
      ...(labels && { labels: labels[key] === undefined ? labels : { ...labels, [key]: to } }),
      ...(annotations && { annotations }),
      ...(finalizers && { finalizers }),
    },
    spec: { ...spec, ...(claim && { claimRef: claim }), nodeAffinity: affinity },
  };
}

/**
 * Gives the volumes and snapshot contents of `from` to `to`. May be called again after it was cut short, with the same folder.
 * `tell` is called for each object that was given.
 */
export async function adopt(api: ApiClient, adoption: Adoption, tell: (what: string) => void): Promise<void> {
  const { driver, from, to, folder } = adoption;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const begun = new Set((await readdir(folder)).filter((file) => file.endsWith(".json")));
  for (const file of begun) await make(api, join(folder, file), folder, tell);
  const { volumes, contents } = await belongingsOf(api, driver, from);
  for (const volume of volumes) {
    const name = volume.metadata?.name ?? "";
    // A volume that is being deleted was given up by its claim: its node finishes that, so it goes over as it is.
    const kept = { metadata: { uid: volume.metadata?.uid }, spec: { persistentVolumeReclaimPolicy: "Retain" } };
    const file = join(folder, `${name}.json`);
    // A file that is there has the volume as it was before it was made Retain.
    if (!begun.has(`${name}.json`)) await writeDurably(file, JSON.stringify(moved(volume, driver, to), undefined, 2));
    await api.patch(persistentVolumes, { name }, kept);
    await remove(api, persistentVolumes, volume, () => undefined);
    await make(api, file, folder, tell);
  }
  for (const content of contents) {
    const name = content.metadata?.name ?? "";
    await api.patch(volumeSnapshotContents, { name }, { metadata: { labels: { [managedBy]: to } } });
    tell(`VolumeSnapshotContent ${name}`);
  }
}

async function make(api: ApiClient, file: string, folder: string, tell: (what: string) => void): Promise<void> {
  const volume = JSON.parse(await readFile(file, "utf8")) as PersistentVolume;
  const name = volume.metadata?.name ?? "";
  try {
    await api.create(persistentVolumes, volume);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const there = await api.find(persistentVolumes, { name });
    // Still the old one: the last attempt was cut short before it was removed. The list that follows has it.
    if (there === undefined || JSON.stringify(there.spec?.nodeAffinity) !== JSON.stringify(volume.spec?.nodeAffinity))
      return;
  }
  await unlink(file);
  await syncDirectory(folder);
  tell(`PersistentVolume ${name}`);
}
