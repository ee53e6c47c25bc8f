/** One turn of a claim whose volume is to have another VolumeAttributesClass. */
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { CsiError } from "../../csi/client.ts";
import { actsFor } from "../acts-for.ts";
import type { Informer } from "../api/informer.ts";
import { Later } from "../api/queue.ts";
import { claims, persistentVolumes, type VolumeAttributesClass } from "../api/resources.ts";
import type { HelperContext } from "../helper.ts";
import { explain, mayStillRun } from "../outcome.ts";
import { secretValues } from "../secret-values.ts";
import { belongsTo } from "./claim-sizes.ts";
import { type ClaimPatch, refOf, writeStatus } from "./claim-writer.ts";
import {
  markModified,
  markModifyCancelled,
  markModifyFailed,
  markModifying,
  markModifyPending,
  modifyStatusOf,
} from "./modify-marks.ts";
import { nextModify } from "./next-modify.ts";

export interface ModifierOptions {
  /** Of a call of the driver, in milliseconds. */
  readonly timeoutMs: number;
  /** How long a class that the driver called impossible is left alone, in milliseconds. */
  readonly infeasibleMs: number;
  /** The claim's and the volume's names go to the driver too. */
  readonly extraMetadata: boolean;
}

export interface Modifier {
  /** Does what is to be done now; answers when to look again. Throws to be called again later. */
  turn(claim: PersistentVolumeClaim, volume: PersistentVolume): Promise<number | undefined>;
  /** The claim is no more. */
  forget(uid: string): void;
}

interface Memory {
  failedFinally?: boolean;
  infeasible?: { readonly target: string; readonly until: number };
}

/** Where the upstream provisioner notes the secret of its parameters `controller-modify-secret-…`. */
const secretName = "volume.kubernetes.io/controller-modify-secret-name";
const secretNamespace = "volume.kubernetes.io/controller-modify-secret-namespace";

export function makeModifier(
  context: HelperContext,
  informer: Informer<PersistentVolumeClaim>,
  volumes: Informer<PersistentVolume>,
  classes: Informer<VolumeAttributesClass>,
  options: ModifierOptions,
): Modifier {
  const { api, csi, driver, events, log, signal } = context;
  const memories = new Map<string, Memory>();

  /** Absent: the event says why there is none to use. */
  const findClass = (claim: PersistentVolumeClaim, name: string): VolumeAttributesClass | undefined => {
    const found = classes.get(name);
    if (found?.driverName === driver.name) return found;
    const why = found === undefined ? "does not exist" : `is for driver ${found.driverName}, not for ${driver.name}`;
    events.warning(claims, claim, "VolumeModifyFailed", `VolumeAttributesClass ${name} ${why}`);
    return undefined;
  };

  const call = async (claim: PersistentVolumeClaim, volume: PersistentVolume, found: VolumeAttributesClass) => {
    const { annotations = {}, name = "" } = volume.metadata ?? {};
    const noted = annotations[secretName] && annotations[secretNamespace];
    const secrets = await secretValues(
      api,
      noted
        ? { name: annotations[secretName] ?? "", namespace: annotations[secretNamespace] ?? "" }
        : volume.spec?.csi?.controllerExpandSecretRef,
      { signal },
    );
    const mutableParameters = {
      ...found.parameters,
      ...(options.extraMetadata && {
        "csi.storage.k8s.io/pvc/name": claim.metadata?.name ?? "",
        "csi.storage.k8s.io/pvc/namespace": claim.metadata?.namespace ?? "",
        "csi.storage.k8s.io/pv/name": name,
      }),
    };
    const request = { volumeId: volume.spec?.csi?.volumeHandle ?? "", secrets, mutableParameters };
    signal.throwIfAborted();
    await csi.controller.controllerModifyVolume(request, { timeoutMs: options.timeoutMs });
  };

  const noteOnVolume = async (volume: PersistentVolume, target: string) => {
    if (volume.spec?.volumeAttributesClassName === target) return;
    const { name = "", uid } = volume.metadata ?? {};
    const patch = { metadata: { uid }, spec: { volumeAttributesClassName: target } };
    volumes.put(await api.patch(persistentVolumes, { name }, patch));
  };

  return {
    forget: (uid) => memories.delete(uid),

    async turn(claim, volume) {
      if (!actsFor(context, volume) || !belongsTo(volume, claim)) return undefined;
      const uid = claim.metadata?.uid ?? "";
      const memory = memories.get(uid) ?? {};
      const next = nextModify(claim, memory.failedFinally ?? false);
      if (next.act === "nothing") {
        memories.delete(uid);
        return undefined;
      }
      memories.set(uid, memory);
      const told = {
        claim: `${claim.metadata?.namespace}/${claim.metadata?.name}`,
        volume: volume.metadata?.name,
      };
      let current = claim;
      // Only the claim's own status decides what is under way: whoever else wrote it is heard first.
      const ours = (now: PersistentVolumeClaim) =>
        JSON.stringify(modifyStatusOf(now)) === JSON.stringify(modifyStatusOf(current));
      const write = async (patch: ClaimPatch, stillTrue = ours) => {
        current = await writeStatus(api, informer, current, patch, stillTrue);
      };

      if (next.act === "cancel") {
        await write(markModifyCancelled());
        log.info(told, "the change of the volume's class was taken back");
        events.normal(claims, current, "VolumeModifyCanceled", `volume ${told.volume} keeps the class that it has`);
        return undefined;
      }
      const { target } = next;
      const left = memory.infeasible?.target === target ? memory.infeasible.until - performance.now() : 0;
      if (left > 0) return left;
      const found = findClass(current, target);
      if (found === undefined) {
        if (next.begun) throw new Later(`waits for VolumeAttributesClass ${target}, to which it was being changed`);
        if (modifyStatusOf(claim)?.status !== "Pending") await write(markModifyPending(), () => false);
        return undefined;
      }
      if (next.begun) {
        const now = await api.get(claims, refOf(claim), { signal });
        if (now.metadata?.resourceVersion !== claim.metadata?.resourceVersion) {
          informer.put(now);
          throw new Later("the claim was changed meanwhile", 50);
        }
      } else {
        await write(markModifying(current, target), () => false);
        events.normal(claims, current, "VolumeModify", `changing volume ${told.volume} to class ${target}`);
      }

      const began = performance.now();
      const step = () => ({
        ...told,
        class: target,
        rpc: "ControllerModifyVolume",
        ms: Math.round(performance.now() - began),
      });
      try {
        await call(current, volume, found);
      } catch (error) {
        // Interrupted before the driver was asked: nothing failed.
        if (signal.aborted && !(error instanceof CsiError)) throw error;
        const final = !mayStillRun(error);
        const infeasible = error instanceof CsiError && error.code === "INVALID_ARGUMENT";
        log.warn({ ...step(), final, infeasible, error: explain(error) }, "a volume's class could not be changed");
        const event = `changing volume ${told.volume} to class ${target}: ${explain(error)}`;
        events.warning(claims, current, "VolumeModifyFailed", event);
        memory.failedFinally = final;
        if (infeasible) memory.infeasible = { target, until: performance.now() + options.infeasibleMs };
        if (error instanceof CsiError) await write(markModifyFailed(current, target, error, { final, infeasible }));
        if (infeasible) return options.infeasibleMs;
        throw error;
      }
      memories.delete(uid);
      await noteOnVolume(volume, target);
      await write(markModified(target));
      log.info(step(), "the volume's class is changed");
      events.normal(claims, current, "VolumeModifySuccessful", `volume ${told.volume} has class ${target}`);
      return undefined;
    },
  };
}
