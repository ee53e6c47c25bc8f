/** The attacher: what VolumeAttachments of the driver ask for is done, and stays so. */
import { once } from "node:events";
import type { VolumeAttachment } from "kubernetes-types/storage/v1.js";
import type { Change, Informer } from "../api/informer.ts";
import { openQueue, type Queue } from "../api/queue.ts";
import { csiNodes, volumeAttachments } from "../api/resources.ts";
import type { HelperContext } from "../helper.ts";
import { allSynced } from "../synced.ts";
import { watchVolumes, withoutManagedFields } from "../watched.ts";
import { makeTurns } from "./attach.ts";
import { compareAgainAndAgain } from "./compare.ts";
import { nodeIdsOf } from "./node-ids.ts";
import { releaseVolumes } from "./release.ts";

export interface AttacherOptions {
  /** How many attachments at once. Absent: 10. */
  readonly workers?: number;
  /** Of a call of the driver, in milliseconds. Absent: 60,000. */
  readonly timeoutMs?: number;
  /** The first wait after a failure, and the longest, in milliseconds. Absent: 1,000 and 300,000. */
  readonly firstWaitMs?: number;
  readonly longestWaitMs?: number;
  /** How often what the driver says is compared with the attachments, in milliseconds. Absent: 60,000. */
  readonly compareMs?: number;
}

/**
 * Runs until `context.signal`, and then until the calls that run have ended. For the whole cluster only: on a node
 * (`context.node`) nothing is attached, and it only waits. Two at once do no harm: the driver's calls may be repeated.
 */
export async function runAttacher(context: HelperContext, options: AttacherOptions = {}): Promise<void> {
  const { api, driver, log, signal } = context;
  if (context.node !== undefined) {
    if (!signal.aborted) await once(signal, "abort");
    return;
  }
  const attachments = watchAttachments(context);
  const attaches = driver.plugin.has("CONTROLLER_SERVICE") && driver.controller.has("PUBLISH_UNPUBLISH_VOLUME");
  const waits = { firstWaitMs: options.firstWaitMs ?? 1_000, longestWaitMs: options.longestWaitMs ?? 300_000 };
  const workers = options.workers ?? 10;
  const timeoutMs = options.timeoutMs ?? 60_000;
  const forced = new Set<string>();
  const ends: (() => unknown)[] = [];
  let work: (attachment: VolumeAttachment) => Promise<void>;

  if (!(await allSynced([attachments], signal))) return;
  if (attaches) {
    const volumes = watchVolumes(context);
    const nodes = context.informers.of(csiNodes, { keep: withoutManagedFields }, "CSINodes");
    if (!(await allSynced([volumes, nodes], signal))) return;
    const nodeIds = nodeIdsOf(api, nodes, driver.name);
    const turns = makeTurns(context, attachments, nodeIds, timeoutMs);
    work = (attachment) => turns.turn(attachment, forced.delete(attachment.metadata?.name ?? ""));
    ends.push(releaseVolumes(context, volumes, attachments, { workers, ...waits }));
    if (driver.controller.has("LIST_VOLUMES") && driver.controller.has("LIST_VOLUMES_PUBLISHED_NODES")) {
      const times = { everyMs: options.compareMs ?? 60_000, timeoutMs };
      void compareAgainAndAgain(context, { attachments, volumes, nodeIds }, times, (name) => {
        forced.add(name);
        queue.add(name);
      });
    }
  } else {
    log.info({ driver: driver.name }, "the driver does not attach: its attachments are marked as done");
    work = (attachment) => markDone(context, attachments, attachment);
  }

  const queue: Queue = openQueue(
    {
      name: "attacher",
      workers,
      ...waits,
      fields: (attachment) => ({ attachment }),
      async run(name) {
        const attachment = attachments.get(name);
        if (attachment !== undefined) await work(attachment);
        return undefined;
      },
    },
    log,
  );
  ends.push(
    attachments.on((change) => {
      if (concerns(change)) queue.add(change.object.metadata?.name ?? "");
    }),
    () => queue.stop(),
  );
  log.info({ driver: driver.name }, "the attacher works");
  if (!signal.aborted) await once(signal, "abort");
  await Promise.all(ends.map((end) => end()));
}

function watchAttachments({ informers, driver }: HelperContext): Informer<VolumeAttachment> {
  return informers.of(
    volumeAttachments,
    {
      keep: (attachment) => (attachment.spec.attacher === driver.name ? withoutManagedFields(attachment) : undefined),
      indexes: { volume: ({ spec }) => (spec.source.persistentVolumeName ? [spec.source.persistentVolumeName] : []) },
    },
    "attachments of the driver",
  );
}

/** What we write ourselves must not begin another turn, else no wait after a failure would last. */
function concerns({ kind, object, before }: Change<VolumeAttachment>): boolean {
  if (kind === "removed") return false;
  if (before === undefined || before.metadata?.uid !== object.metadata?.uid) return true;
  const leaves = object.metadata?.deletionTimestamp !== undefined;
  return (
    leaves !== (before.metadata?.deletionTimestamp !== undefined) ||
    (before.status?.attached === true && object.status?.attached !== true)
  );
}

async function markDone(
  { api, log }: HelperContext,
  informer: Informer<VolumeAttachment>,
  { metadata, spec, status }: VolumeAttachment,
): Promise<void> {
  if (status?.attached || metadata?.deletionTimestamp !== undefined) return;
  const patch = { metadata: { uid: metadata?.uid }, status: { attached: true } };
  const ref = { name: metadata?.name ?? "" };
  informer.put(await api.patch(volumeAttachments, ref, patch, { subresource: "status" }));
  log.info({ attachment: metadata?.name, node: spec.nodeName }, "the attachment is marked as done");
}
