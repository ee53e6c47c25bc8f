/** What the driver's places have left, for the scheduler and for the controller that picks nodes: CSIStorageCapacity objects. */
import { once } from "node:events";
import type { OwnerReference } from "kubernetes-types/meta/v1.js";
import type { StorageClass } from "kubernetes-types/storage/v1.js";
import { isAlreadyExists } from "../api/api-error.ts";
import { keyOf } from "../api/informer.ts";
import { openQueue } from "../api/queue.ts";
import { nodes, storageCapacities, storageClasses } from "../api/resources.ts";
import type { HelperContext } from "../helper.ts";
import { driverParameters } from "../provisioner/parameters.ts";
import { placesOf } from "../provisioner/places.ts";
import { distinct, type Segment } from "../provisioner/topology.ts";
import { allSynced } from "../synced.ts";
import { watchVolumes, withoutManagedFields } from "../watched.ts";
import { capacityObject, isNews, nameOf, type Room, type Spot, selectorOf } from "./object.ts";

export interface CapacityOptions {
  /** Where the objects are. Absent: the pod's, else `default`. */
  readonly namespace?: string;
  /** Also for classes that wait for no pod, which the scheduler does not look at, but the controller that picks nodes does. Absent: true. */
  readonly immediate?: boolean;
  /** Only for the whole cluster: whose end is theirs. For one node it is the Node. Absent: nobody's. */
  readonly owner?: OwnerReference;
  /** How often the driver is asked, in milliseconds. Absent: 60,000. */
  readonly everyMs?: number;
  /** How often what did not change is written anyway, in case somebody removed it, in milliseconds. Absent: 600,000. */
  readonly renewMs?: number;
  /** How long after a volume came or went it is asked, in milliseconds. Absent: 2,000. */
  readonly settleMs?: number;
}

interface Published extends Room {
  readonly at: number;
}

/** Keeps them true until the context's signal. A driver that tells no capacity (GET_CAPACITY) has none. */
export async function runCapacity(context: HelperContext, options: CapacityOptions = {}): Promise<void> {
  const { api, csi, driver, informers, log, node, signal } = context;
  if (!driver.controller.has("GET_CAPACITY")) {
    log.info({ driver: driver.name }, "the driver tells no capacity: none is published");
    if (!signal.aborted) await once(signal, "abort");
    return;
  }
  const classes = informers.of(storageClasses, { keep: withoutManagedFields });
  const volumes = watchVolumes(context);
  const places = placesOf(context);
  const withTopology = driver.plugin.has("VOLUME_ACCESSIBILITY_CONSTRAINTS");
  const everyMs = options.everyMs ?? 60_000;
  const spotOf = (segment: Segment): Spot => ({
    driver: driver.name,
    segment,
    namespace: options.namespace ?? api.cluster.namespace ?? "default",
    manager: node ?? "holdfast-controller",
  });
  /** By the objects' names. */
  const published = new Map<string, Published>();
  const isWanted = ({ provisioner, volumeBindingMode }: StorageClass) =>
    provisioner === driver.name && (volumeBindingMode === "WaitForFirstConsumer" || options.immediate !== false);
  const segments = (): readonly Segment[] => (withTopology ? distinct(places.all()) : [{}]);

  const owner = async (): Promise<OwnerReference | undefined> => {
    if (node === undefined) return options.owner;
    const { metadata } = await api.get(nodes, { name: node });
    return { apiVersion: "v1", kind: "Node", name: node, uid: metadata?.uid ?? "" };
  };

  const write = async (spot: Spot, storageClass: StorageClass, room: Room): Promise<void> => {
    const object = capacityObject(spot, storageClass, room, await owner());
    const ref = { name: object.metadata?.name ?? "", namespace: spot.namespace };
    const { capacity, maximumVolumeSize = null } = object;
    const patch = {
      metadata: { ownerReferences: object.metadata?.ownerReferences ?? null },
      capacity,
      maximumVolumeSize,
    };
    try {
      await api.create(storageCapacities, object);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      await api.patch(storageCapacities, ref, patch);
    }
    log.debug({ class: object.storageClassName, capacity: object.capacity }, "what is left is published");
  };

  const publish = async (storageClass: StorageClass, segment: Segment): Promise<void> => {
    const spot = spotOf(segment);
    const parameters = driverParameters(storageClass.parameters ?? {});
    const answer = await csi.controller.getCapacity(
      { parameters, ...(withTopology && { accessibleTopology: { segments: { ...segment } } }) },
      { timeoutMs: 10_000, signal },
    );
    const { availableCapacity: bytes, maximumVolumeSize: largest } = answer;
    const room: Room = { bytes, ...(largest !== undefined && { largest }) };
    const name = nameOf(spot, storageClass.metadata?.name ?? "");
    const before = published.get(name);
    const old = before === undefined || performance.now() - before.at > (options.renewMs ?? 600_000);
    if (!old && !isNews(before, room)) return;
    await write(spot, storageClass, room);
    published.set(name, { ...room, at: performance.now() });
  };

  /** Those of classes and places that are no more. */
  const sweep = async (): Promise<void> => {
    const wanted = new Set<string>();
    for (const storageClass of classes.all()) {
      if (!isWanted(storageClass)) continue;
      for (const segment of segments()) wanted.add(nameOf(spotOf(segment), storageClass.metadata?.name ?? ""));
    }
    const { namespace, ...spot } = spotOf({});
    for (const { metadata } of await api.list(storageCapacities, { namespace, labelSelector: selectorOf(spot) })) {
      const { name = "" } = metadata ?? {};
      if (wanted.has(name)) continue;
      await api.delete(storageCapacities, { name, namespace });
      published.delete(name);
    }
  };

  if (!(await allSynced([classes, volumes, places], signal))) return;
  const queue = openQueue(
    {
      name: "capacity",
      workers: 1,
      longestWaitMs: everyMs,
      fields: (key) => ({ class: key }),
      run: async (key) => {
        if (key === "") {
          await sweep();
          return undefined;
        }
        const storageClass = classes.get(key);
        if (storageClass === undefined || !isWanted(storageClass)) return undefined;
        for (const segment of segments()) await publish(storageClass, segment);
        return everyMs * (0.9 + Math.random() / 5);
      },
    },
    log,
  );
  classes.on(({ kind, object }) => {
    if (object.provisioner === driver.name) queue.add(kind === "removed" ? "" : (object.metadata?.name ?? ""));
  });
  volumes.on(() => {
    for (const storageClass of classes.all()) {
      if (isWanted(storageClass)) queue.add(keyOf(storageClass.metadata?.name ?? ""), options.settleMs ?? 2_000);
    }
  });
  queue.add("");
  if (!signal.aborted) await once(signal, "abort");
  await queue.stop();
}
