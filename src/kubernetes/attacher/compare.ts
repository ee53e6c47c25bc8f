/** Attachments come undone behind our back, as by hand: what the driver says is compared with what they say. */
import { setTimeout as sleep } from "node:timers/promises";
import type { PersistentVolume } from "kubernetes-types/core/v1.js";
import type { VolumeAttachment } from "kubernetes-types/storage/v1.js";
import type { CsiClient } from "../../csi/client.ts";
import type { Informer } from "../api/informer.ts";
import type { HelperContext } from "../helper.ts";
import { explain } from "../outcome.ts";
import type { NodeIds } from "./node-ids.ts";

interface Known {
  readonly attachments: Informer<VolumeAttachment>;
  readonly volumes: Informer<PersistentVolume>;
  readonly nodeIds: NodeIds;
}

/** Until the signal; `force` is told the name of each attachment for which the calls are to be repeated. */
export async function compareAgainAndAgain(
  { csi, log, signal }: HelperContext,
  known: Known,
  times: { readonly everyMs: number; readonly timeoutMs: number },
  force: (name: string) => void,
): Promise<void> {
  for (;;) {
    await sleep(times.everyMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    // What they said before the driver was asked: one that is attached meanwhile is not taken for a difference.
    const before = [...known.attachments.all()];
    if (before.length === 0) continue;
    try {
      const published = await publishedNodes(csi, times.timeoutMs);
      for (const attachment of before) {
        const is = isPublished(attachment, published, known);
        const said = attachment.status?.attached === true;
        if (is === undefined || is === said) continue;
        const name = attachment.metadata?.name ?? "";
        log.warn(
          { attachment: name, node: attachment.spec.nodeName, said, is },
          "the driver contradicts an attachment",
        );
        force(name);
      }
    } catch (error) {
      log.warn({ rpc: "ListVolumes", error: explain(error) }, "attachments could not be compared with the driver");
    }
  }
}

/** Absent: it can't be known. */
function isPublished(
  attachment: VolumeAttachment,
  published: ReadonlyMap<string, ReadonlySet<string>>,
  { volumes, nodeIds }: Known,
): boolean | undefined {
  const { persistentVolumeName = "", inlineVolumeSpec } = attachment.spec.source;
  const handle = (inlineVolumeSpec ?? volumes.get(persistentVolumeName)?.spec)?.csi?.volumeHandle;
  const nodeId = nodeIds.ofAttachment(attachment);
  if (handle === undefined || nodeId === undefined) return undefined;
  return published.get(handle)?.has(nodeId) ?? false;
}

/** The node IDs by volume ID, of all pages. */
async function publishedNodes(csi: CsiClient, timeoutMs: number): Promise<Map<string, ReadonlySet<string>>> {
  const published = new Map<string, ReadonlySet<string>>();
  let startingToken = "";
  do {
    const page = await csi.controller.listVolumes({ startingToken }, { timeoutMs });
    for (const { volume, status } of page.entries) {
      if (volume !== undefined && status !== undefined)
        published.set(volume.volumeId, new Set(status.publishedNodeIds));
    }
    startingToken = page.nextToken;
  } while (startingToken !== "");
  return published;
}
