/** The two steps by which a volume comes to be: the driver makes it, and its object is written. */
import { performance } from "node:perf_hooks";
import type { PersistentVolume } from "kubernetes-types/core/v1.js";
import { CsiError } from "../../csi/client.ts";
import { isAlreadyExists } from "../api/api-error.ts";
import { persistentVolumes } from "../api/resources.ts";
import { explain } from "../outcome.ts";
import { secretValues } from "../secret-values.ts";
import type { Provisioner } from "./context.ts";
import { createRequestOf, faultOf, type Made, type Plan, volumeOf } from "./plan.ts";

/** The volume is not what was asked for; it was deleted again, so that the next call makes another. */
export class WrongVolume extends Error {
  override readonly name = "WrongVolume";
}

/** Asks the driver. A repeat gives the same volume. Throws the driver's CsiError, and a WrongVolume. */
export async function makeVolume(provisioner: Provisioner, plan: Plan): Promise<Made> {
  const { csi, api, timeoutMs, signal } = provisioner;
  // Claims may be hours apart: the write of the volume's object should not wait for a connection.
  api.warm();
  const secrets = await secretValues(api, plan.secret);
  const made = await told(provisioner, plan, "CreateVolume", async () => {
    const { volume } = await csi.controller.createVolume(createRequestOf(plan, secrets), { timeoutMs, signal });
    if (!volume?.volumeId) throw new Error("the driver's answer names no volume");
    return volume;
  });
  const fault = faultOf(plan, made);
  if (fault === undefined) return made;
  await deleteVolume(provisioner, plan, made.volumeId, secrets);
  throw new WrongVolume(fault);
}

/** What the driver says is gone. Throws its CsiError. */
export async function deleteVolume(
  provisioner: Provisioner,
  about: { readonly name: string; readonly claim?: Plan["claim"] },
  volumeId: string,
  secrets: Record<string, string>,
): Promise<void> {
  const { csi, timeoutMs, signal } = provisioner;
  await told(provisioner, about, "DeleteVolume", () =>
    csi.controller.deleteVolume({ volumeId, secrets }, { timeoutMs, signal }),
  );
}

/** Writes the volume's object; the one that is there already wins. Gives back which is there. */
export async function writeVolume(provisioner: Provisioner, plan: Plan, made: Made): Promise<PersistentVolume> {
  const { api, volumes, driver, node, withTopology, log } = provisioner;
  const identity = `holdfast-${driver.name}${node === undefined ? "" : `-${node}`}`;
  const began = performance.now();
  const object = volumeOf(plan, made, identity, withTopology);
  try {
    const written = await api.create(persistentVolumes, object);
    volumes.put(written);
    log.info({ ...subject(plan), id: made.volumeId, ms: since(began) }, "the volume's object is written");
    return written;
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const there = await api.get(persistentVolumes, { name: plan.name });
    volumes.put(there);
    return there;
  }
}

const subject = ({ name, claim }: { readonly name: string; readonly claim?: Plan["claim"] }) => ({
  ...(claim && { claim: `${claim.namespace}/${claim.name}` }),
  volume: name,
});

export const since = (began: number): number => Math.round((performance.now() - began) * 10) / 10;

/** Runs an RPC, with its one line in the log. */
async function told<T>(
  { log }: Provisioner,
  about: { readonly name: string; readonly claim?: Plan["claim"] },
  rpc: string,
  call: () => Promise<T>,
): Promise<T> {
  const began = performance.now();
  try {
    const answer = await call();
    log.info({ ...subject(about), rpc, ms: since(began) }, "the driver has done it");
    return answer;
  } catch (error) {
    const code = error instanceof CsiError ? error.code : undefined;
    log.warn({ ...subject(about), rpc, ms: since(began), code, why: explain(error) }, "the driver has not done it");
    throw error;
  }
}
