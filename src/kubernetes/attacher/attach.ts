/**
 * One turn of an attachment: towards attached, or, when it is being deleted, towards detached. Its finalizer is on it from
 * before the first call until the volume is surely detached, and so is one on the volume.
 */
import type { VolumeAttachment } from "kubernetes-types/storage/v1.js";
import { CsiError } from "../../csi/client.ts";
import { isNotFound } from "../api/api-error.ts";
import type { Informer } from "../api/informer.ts";
import { persistentVolumes, volumeAttachments } from "../api/resources.ts";
import type { HelperContext } from "../helper.ts";
import { explain } from "../outcome.ts";
import { secretValues } from "../secret-values.ts";
import { capabilityOf } from "../volume-capability.ts";
import { type Attachable, attachableOf } from "./attachable.ts";
import { withFinalizer, withoutFinalizer } from "./finalizers.ts";
import { attacherFinalizer, nodeIdAnnotation, numberOfCode } from "./names.ts";
import type { NodeIds } from "./node-ids.ts";

export interface Turns {
  /** Throws what went wrong, which the attachment's status then says too. `forced`: also when the status says that it is done. */
  turn(attachment: VolumeAttachment, forced: boolean): Promise<void>;
}

export function makeTurns(
  context: HelperContext,
  informer: Informer<VolumeAttachment>,
  nodeIds: NodeIds,
  timeoutMs: number,
): Turns {
  const { api, csi, driver, log, signal } = context;
  const finalizer = attacherFinalizer(driver.name);

  const attach = async (attachment: VolumeAttachment, told: Told): Promise<void> => {
    const what = await attachableOf(api, attachment, { signal });
    noteVolume(told, what);
    if (what.volume !== undefined) {
      if (what.volume.metadata?.deletionTimestamp !== undefined) {
        throw new Error(`volume ${what.volume.metadata.name} is being deleted: it is not attached any more`);
      }
      await withFinalizer(api, persistentVolumes, what.volume, finalizer);
    }
    const request = {
      volumeId: what.source.volumeHandle,
      nodeId: await nodeIds.ofNode(attachment.spec.nodeName, { signal }),
      volumeCapability: capabilityOf(what.spec, driver),
      // CSI specification, ControllerPublishVolumeRequest: false where the driver lacks PUBLISH_READONLY.
      readonly: driver.controller.has("PUBLISH_READONLY") && what.source.readOnly === true,
      volumeContext: { ...what.source.volumeAttributes },
      secrets: await secretValues(api, what.source.controllerPublishSecretRef, { signal }),
    };
    informer.put(
      await withFinalizer(api, volumeAttachments, attachment, finalizer, { [nodeIdAnnotation]: request.nodeId }),
    );
    signal.throwIfAborted();
    const { publishContext } = await timed(told, "ControllerPublishVolume", () =>
      csi.controller.controllerPublishVolume(request, { timeoutMs }),
    );
    const metadata = Object.keys(publishContext).length > 0 ? publishContext : null;
    const now = await write(attachment, { attached: true, attachmentMetadata: metadata, attachError: null }).catch(
      unlessGone,
    );
    if (now !== undefined) informer.put(now);
    if (now === undefined || now.metadata?.deletionTimestamp !== undefined) {
      // Another attacher, that led before us or does still, may have undone it already: then nobody would do it again.
      const { volumeId, nodeId, secrets } = request;
      await timed(told, "ControllerUnpublishVolume", () =>
        csi.controller.controllerUnpublishVolume({ volumeId, nodeId, secrets }, { timeoutMs }),
      );
      log.info(told, "the attachment ended while the volume was attached: it is detached again");
      return;
    }
    log.info(told, "the volume is attached");
  };

  const detach = async (attachment: VolumeAttachment, told: Told): Promise<void> => {
    const what = await attachableOf(api, attachment, { signal });
    noteVolume(told, what);
    const secrets = await secretValues(api, what.source.controllerPublishSecretRef, { signal });
    const nodeId = nodeIds.ofAttachment(attachment);
    if (nodeId === undefined) {
      throw new Error(`node ${attachment.spec.nodeName} is gone, and what ${driver.name} called it was not noted`);
    }
    const request = { volumeId: what.source.volumeHandle, nodeId, secrets };
    signal.throwIfAborted();
    await timed(told, "ControllerUnpublishVolume", () =>
      csi.controller.controllerUnpublishVolume(request, { timeoutMs }),
    );
    // In this order: without the finalizer it is detached for everybody, whatever its status still says.
    const rest = await withoutFinalizer(api, volumeAttachments, attachment, finalizer);
    if (rest !== undefined) {
      informer.put(rest);
      await write(attachment, { attached: false, attachmentMetadata: null, detachError: null }).catch(unlessGone);
    }
    log.info(told, "the volume is detached");
  };

  const isStillThere = async ({ metadata }: VolumeAttachment): Promise<boolean> => {
    // The write of the finalizer finds it out too, and costs no read.
    if (metadata?.deletionTimestamp === undefined && !metadata?.finalizers?.includes(finalizer)) return true;
    const now = await api.find(volumeAttachments, { name: metadata.name ?? "" }, { signal });
    return now?.metadata?.uid === metadata.uid;
  };

  const write = ({ metadata }: VolumeAttachment, status: object): Promise<VolumeAttachment> =>
    api.patch(
      volumeAttachments,
      { name: metadata?.name ?? "" },
      { metadata: { uid: metadata?.uid }, status },
      { subresource: "status" },
    );

  return {
    async turn(attachment, forced) {
      const { metadata, spec, status } = attachment;
      const leaving = metadata?.deletionTimestamp !== undefined;
      const done = leaving ? !metadata?.finalizers?.includes(finalizer) : status?.attached === true;
      if (done && !forced) return;
      // Another attacher may have ended this one, and another attachment of the volume to the node may have begun.
      if (!(await isStillThere(attachment))) return;
      const told: Told = { attachment: metadata?.name, node: spec.nodeName };
      try {
        await (leaving ? detach(attachment, told) : attach(attachment, told));
      } catch (error) {
        // Interrupted before the driver was asked: nothing failed.
        if (signal.aborted && !(error instanceof CsiError)) throw error;
        const text = leaving ? "a volume could not be detached" : "a volume could not be attached";
        log.warn({ ...told, error: explain(error) }, text);
        const wrong = leaving ? { detachError: volumeError(error) } : { attachError: volumeError(error, true) };
        await write(attachment, wrong).then(
          (now) => informer.put(now),
          (failure: unknown) =>
            log.debug({ ...told, error: explain(failure) }, "the attachment's error could not be written"),
        );
        throw error;
      }
    },
  };
}

/** For the log; filled as more of it is known. */
interface Told {
  readonly attachment: string | undefined;
  readonly node: string;
  claim?: string;
  volume?: string | undefined;
  rpc?: string;
  ms?: number;
}

function noteVolume(told: Told, { volume, source }: Attachable): void {
  const { name, namespace } = volume?.spec?.claimRef ?? {};
  if (name !== undefined) told.claim = `${namespace}/${name}`;
  told.volume = volume?.metadata?.name ?? source.volumeHandle;
}

async function timed<T>(told: Told, rpc: string, call: () => Promise<T>): Promise<T> {
  const began = performance.now();
  told.rpc = rpc;
  try {
    return await call();
  } finally {
    told.ms = Math.round(performance.now() - began);
  }
}

function volumeError(error: unknown, withCode = false): object {
  const errorCode = withCode && error instanceof CsiError ? numberOfCode(error.code) : undefined;
  return {
    message: explain(error),
    time: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    ...(errorCode !== undefined && { errorCode }),
  };
}

function unlessGone(error: unknown): void {
  if (!isNotFound(error)) throw error;
}
