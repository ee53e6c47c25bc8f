/**
 * Snapshot contents without the label that says which node serves them get it from the controller pod. A snapshot-controller
 * sets it only when it was told to (--enable-distributed-snapshotting), and never on contents for snapshots that exist
 * already or for groups; an unlabelled content of a local pool would wait for ever.
 */
import { once } from "node:events";
import type { PersistentVolume } from "kubernetes-types/core/v1.js";
import { parseId } from "../../pools/ids.ts";
import { isConflict, isNotFound } from "../api/api-error.ts";
import type { Informer } from "../api/informer.ts";
import { Later, openQueue } from "../api/queue.ts";
import { type ApiObject, type Resource, volumeSnapshotContents } from "../api/resources.ts";
import type { VolumeGroupSnapshotContent, VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { nodeOf } from "../nodes/belongings.ts";
import { waitForGroupKinds, waitForSnapshotKinds } from "../snapshots/kinds.ts";
import { managedBy } from "../snapshots/names.ts";
import { watchVolumes, withoutManagedFields } from "../watched.ts";
import type { ClusterRolesContext } from "./context.ts";

type LabellerContext = Omit<ClusterRolesContext, "events">;

/** Labels the contents of a driver with local pools until the context's signal. Waits where the cluster has no snapshots yet. */
export async function runContentLabeller(context: LabellerContext): Promise<void> {
  const { api, driverName, informers, log, signal } = context;
  const volumes = watchVolumes({ informers, driver: { name: driverName } });
  const keep = <T extends ApiObject & { readonly spec: { readonly driver: string } }>(content: T) =>
    content.spec.driver === driverName && !isLabelled(content) ? withoutManagedFields(content) : undefined;
  const single = async () => {
    await waitForSnapshotKinds(api, log, signal);
    const contents = informers.of(volumeSnapshotContents, { keep }, "contents without a node");
    await serve(context, volumes, volumeSnapshotContents, contents, handlesOf);
  };
  const groups = async () => {
    const kinds = await waitForGroupKinds(api, log, signal);
    const contents = informers.of(kinds.contents, { keep }, "group contents without a node");
    await serve(context, volumes, kinds.contents, contents, handlesOfGroup);
  };
  try {
    await volumes.synced;
    await Promise.all([single(), groups()]);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

const isLabelled = ({ metadata }: ApiObject): boolean => metadata?.labels?.[managedBy] !== undefined;

async function serve<T extends ApiObject>(
  { api, driverName, log, signal }: LabellerContext,
  volumes: Informer<PersistentVolume>,
  resource: Resource<T>,
  contents: Informer<T>,
  handles: (content: T) => readonly string[],
): Promise<void> {
  const queue = openQueue(
    {
      name: "content's node",
      workers: 5,
      fields: (content) => ({ content }),
      run: async (name) => {
        const content = contents.get(name);
        if (content === undefined || isLabelled(content)) return undefined;
        const nodes = new Set(handles(content).map((handle) => nodeOfHandle(volumes, driverName, handle)));
        const [node] = nodes;
        if (node === undefined || nodes.size > 1) {
          throw new Later(nodes.size > 1 ? "its volumes lie on several nodes" : "no node is known that has it");
        }
        try {
          const labels = { [managedBy]: node };
          contents.put(await api.patch(resource, { name }, { metadata: { uid: content.metadata?.uid, labels } }));
          log.info({ content: name, node }, "the snapshot's content is given to its node");
        } catch (error) {
          // Gone, or another of the same name: it comes again.
          if (!isNotFound(error) && !isConflict(error)) throw error;
        }
        return undefined;
      },
    },
    log,
  );
  contents.on(({ kind, object }) => {
    if (kind !== "removed") queue.add(object.metadata?.name ?? "");
  });
  if (!signal.aborted) await once(signal, "abort");
  await queue.stop();
}

/**
 * The node that serves a volume or a snapshot: where the volume itself is pinned to, else a volume of the same pool, else the node in
 * the handle. A pool that came back under another node's name keeps its handles; the volumes say where it is now.
 */
export function nodeOfHandle(volumes: Informer<PersistentVolume>, driver: string, handle: string): string | undefined {
  const id = parseId(handle);
  const known = [...volumes.by("handle", handle), ...(id === undefined ? [] : volumes.by("pool", id.pool))];
  for (const volume of known) {
    const node = nodeOf(volume, driver);
    if (node !== undefined) return node;
  }
  return id?.node;
}

function handlesOf({ spec: { source } }: VolumeSnapshotContent): string[] {
  const handle = source.volumeHandle ?? source.snapshotHandle;
  return handle === undefined ? [] : [handle];
}

function handlesOfGroup({ spec: { source } }: VolumeGroupSnapshotContent): readonly string[] {
  return source.volumeHandles ?? source.groupSnapshotHandles?.volumeSnapshotHandles ?? [];
}
