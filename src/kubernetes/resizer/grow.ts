/**
 * One turn of a claim that wants to grow: note the size, call the driver, note what came of it. Killed anywhere, the next
 * turn finds on the claim where it was, and repeats the call, which CSI allows (ControllerExpandVolume is idempotent).
 */
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { CsiError } from "../../csi/client.ts";
import { actsFor } from "../acts-for.ts";
import { isConflict } from "../api/api-error.ts";
import type { Informer } from "../api/informer.ts";
import { Later } from "../api/queue.ts";
import { claims, persistentVolumes } from "../api/resources.ts";
import type { HelperContext } from "../helper.ts";
import { explain, mayStillRun } from "../outcome.ts";
import { bytesOf, quantityOf } from "../quantity.ts";
import { secretValues } from "../secret-values.ts";
import { capabilityOf } from "../volume-capability.ts";
import { allocatedOf, belongsTo, growthStatusOf, volumeSizeOf, wantsGrowth } from "./claim-sizes.ts";
import { type ClaimPatch, refOf, writeStatus } from "./claim-writer.ts";
import { markBegun, markFailed, markGrown, markPendingOnNode, noNodePartAnnotation } from "./growth-marks.ts";
import { usersOf } from "./in-use.ts";
import { isInfeasible, isInUse } from "./infeasible.ts";
import { nextGrowth } from "./next-growth.ts";

export interface GrowerOptions {
  /** Of a call of the driver, in milliseconds. */
  readonly timeoutMs: number;
  /** How long a size that the driver called impossible is left alone, in milliseconds. */
  readonly infeasibleMs: number;
  /** How often it is looked whether a volume that can't grow while used is still used, in milliseconds. */
  readonly inUseMs: number;
}

export interface Grower {
  /** Does what is to be done now; answers when to look again. Throws to be called again later. */
  turn(claim: PersistentVolumeClaim, volume: PersistentVolume): Promise<number | undefined>;
  /** The claim is no more. */
  forget(uid: string): void;
}

/** What this process knows beyond the objects; losing it costs a call more. */
interface Memory {
  failedFinally?: boolean;
  infeasibleUntil?: number;
  refusedInUse?: boolean;
}

export function makeGrower(
  context: HelperContext,
  informer: Informer<PersistentVolumeClaim>,
  volumes: Informer<PersistentVolume>,
  options: GrowerOptions,
): Grower {
  const { api, csi, driver, events, log, signal } = context;
  const memories = new Map<string, Memory>();
  const controllerExpands = driver.controller.has("EXPAND_VOLUME");

  /** Sees to it that the claim says what is being done, and that what we decided by is not stale. */
  const begin = async (claim: PersistentVolumeClaim, size: string, newly: boolean) => {
    if (!newly && saysResizing(claim)) {
      const now = await api.get(claims, refOf(claim), { signal });
      if (now.metadata?.resourceVersion === claim.metadata?.resourceVersion) return claim;
      informer.put(now);
      throw new Later("the claim was changed meanwhile", 50);
    }
    return writeStatus(api, informer, claim, markBegun(size, newly), () => false);
  };

  const expand = async (volume: PersistentVolume, size: string): Promise<{ size: string; onNode: boolean }> => {
    if (!controllerExpands) return { size, onNode: true };
    const { csi: source } = volume.spec ?? {};
    const secrets = await secretValues(api, source?.controllerExpandSecretRef, { signal });
    signal.throwIfAborted();
    const answer = await csi.controller.controllerExpandVolume(
      {
        volumeId: source?.volumeHandle ?? "",
        capacityRange: { requiredBytes: bytesOf(size) },
        secrets,
        volumeCapability: capabilityOf(volume.spec ?? {}, driver),
      },
      // Not ended by our own end: what was begun may come to its end, within the time it has anyway.
      { timeoutMs: options.timeoutMs },
    );
    if (answer.capacityBytes < bytesOf(size)) {
      throw new Error(
        `the driver said that it grew the volume to ${answer.capacityBytes} bytes, and ${size} were asked for`,
      );
    }
    return { size: quantityOf(answer.capacityBytes), onNode: answer.nodeExpansionRequired };
  };

  /** Only over the size that was decided by: another resizer, that led before us, may have gone further since. */
  const growVolume = async (volume: PersistentVolume, size: string) => {
    const was = volumeSizeOf(volume);
    if (was === size) return;
    const { name = "", uid } = volume.metadata ?? {};
    let current = volume;
    for (let attempt = 1; ; attempt++) {
      const metadata = { uid, resourceVersion: current.metadata?.resourceVersion };
      try {
        volumes.put(await api.patch(persistentVolumes, { name }, { metadata, spec: { capacity: { storage: size } } }));
        return;
      } catch (error) {
        if (!isConflict(error) || attempt === 5) throw error;
      }
      current = await api.get(persistentVolumes, { name });
      volumes.put(current);
      if (current.metadata?.uid !== uid || volumeSizeOf(current) !== was) {
        throw new Later("the volume was changed meanwhile", 50);
      }
    }
  };

  return {
    forget: (uid) => memories.delete(uid),

    async turn(claim, volume) {
      const uid = claim.metadata?.uid ?? "";
      if (!wantsGrowth(claim) || !actsFor(context, volume) || !belongsTo(volume, claim)) {
        memories.delete(uid);
        return undefined;
      }
      const memory = memories.get(uid) ?? {};
      memories.set(uid, memory);
      const next = nextGrowth(claim, volume, { failedFinally: memory.failedFinally ?? false, controllerExpands });
      if (!next.grow) return undefined;
      const left = (memory.infeasibleUntil ?? 0) - performance.now();
      if (next.begun && left > 0) return left;

      const told = {
        claim: `${claim.metadata?.namespace}/${claim.metadata?.name}`,
        volume: volume.metadata?.name,
        from: volumeSizeOf(volume),
        to: next.size,
      };
      const rpc = controllerExpands ? { rpc: "ControllerExpandVolume" } : {};
      let current = await begin(claim, next.size, !next.begun);
      const ours = (now: PersistentVolumeClaim) =>
        allocatedOf(now) === allocatedOf(current) && growthStatusOf(now) === growthStatusOf(current);
      const write = async (patch: ClaimPatch) => {
        current = await writeStatus(api, informer, current, patch, ours);
      };
      if (memory.refusedInUse) {
        const users = await usersOf(api, claim, { signal });
        if (users.length > 0) {
          const why = `${driver.name} grows this volume only while it is not in use, and it is used by ${users.join(", ")}`;
          events.warning(claims, current, "VolumeResizeFailed", why);
          throw new Later("waits until no pod uses the volume", options.inUseMs);
        }
        delete memory.refusedInUse;
      }
      if (!next.begun) {
        events.normal(claims, current, "Resizing", `growing volume ${told.volume} from ${told.from} to ${told.to}`);
      }

      const began = performance.now();
      const ms = () => Math.round(performance.now() - began);
      let grown: { size: string; onNode: boolean };
      try {
        grown = await expand(volume, next.size);
      } catch (error) {
        // Interrupted before the driver was asked: nothing failed.
        if (signal.aborted && !(error instanceof CsiError)) throw error;
        const final = !mayStillRun(error);
        const infeasible = final && isInfeasible(error);
        log.warn(
          { ...told, ...rpc, ms: ms(), final, infeasible, error: explain(error) },
          "a volume could not be grown",
        );
        events.warning(
          claims,
          current,
          "VolumeResizeFailed",
          `growing volume ${told.volume} to ${told.to}: ${explain(error)}`,
        );
        memory.failedFinally = final;
        if (isInUse(error)) memory.refusedInUse = true;
        if (infeasible) memory.infeasibleUntil = performance.now() + options.infeasibleMs;
        else delete memory.infeasibleUntil;
        if (final) await write(markFailed(explain(error), infeasible));
        if (infeasible) return options.infeasibleMs;
        throw error;
      }
      memories.delete(uid);
      const after = { ...told, ...rpc, ms: ms(), size: grown.size };
      log.info(after, "the volume has grown");
      await growVolume(volume, grown.size);
      if (grown.onNode) {
        await write(markPendingOnNode());
        log.info(after, "the claim waits for its file system to grow on a node");
        events.normal(
          claims,
          current,
          "FileSystemResizeRequired",
          `volume ${told.volume} has ${grown.size}; its file system grows on the node that uses it`,
        );
      } else {
        await write(markGrown(grown.size));
        log.info(after, "the claim has grown");
        events.normal(claims, current, "VolumeResizeSuccessful", `volume ${told.volume} has ${grown.size}`);
      }
      return undefined;
    },
  };
}

const saysResizing = ({ metadata, status }: PersistentVolumeClaim): boolean =>
  metadata?.annotations?.[noNodePartAnnotation] === undefined &&
  (status?.conditions ?? []).some(({ type, status: is }) => type === "Resizing" && is === "True");
