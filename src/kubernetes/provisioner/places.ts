/** The topology segments that the driver's nodes have. */
import type { Node } from "kubernetes-types/core/v1.js";
import type { CSINode } from "kubernetes-types/storage/v1.js";
import { csiNodes, nodes } from "../api/resources.ts";
import type { HelperContext } from "../helper.ts";
import { type Segment, segmentOf } from "./topology.ts";

export interface Places {
  /** When they are known. */
  readonly synced: Promise<unknown>;
  /** Undefined: there is no such node. Throws when the driver is not registered there with its labels. */
  of(node: string): Segment | undefined;
  all(): Segment[];
}

/** Of one node: what its driver says, so that nothing need be watched. Of the cluster: what the kubelets have registered. */
export function placesOf(context: HelperContext): Places {
  const { driver, node, informers } = context;
  if (node !== undefined) {
    const segment = driver.nodeInfo?.topology ?? {};
    return {
      synced: Promise.resolve(),
      of: (name) => (name === node ? segment : undefined),
      all: () => [segment],
    };
  }
  const known = informers.of<Node>(nodes, { metadataOnly: true, keep: onlyLabels }, "labels of nodes");
  const registered = informers.of<CSINode>(csiNodes, { keep: onlyDrivers });
  const keysOf = ({ spec }: CSINode) => spec.drivers.find(({ name }) => name === driver.name)?.topologyKeys ?? [];
  return {
    synced: Promise.all([known.synced, registered.synced]),
    of(name) {
      const [labelled, csiNode] = [known.get(name), registered.get(name)];
      if (labelled === undefined || csiNode === undefined) return undefined;
      const keys = keysOf(csiNode);
      if (keys.length === 0) throw new Error(`the driver has registered no topology on the node ${name}`);
      const segment = segmentOf(labelled.metadata?.labels, keys);
      if (segment === undefined) throw new Error(`the node ${name} lacks the labels ${keys.join(", ")}`);
      return segment;
    },
    all() {
      const keys = [...registered.all()].map(keysOf).find(({ length }) => length > 0) ?? [];
      if (keys.length === 0) return [];
      const segments: Segment[] = [];
      for (const { metadata } of known.all()) {
        const segment = segmentOf(metadata?.labels, keys);
        if (segment) segments.push(segment);
      }
      return segments;
    },
  };
}

const onlyLabels = ({ metadata }: Node): Node => ({
  metadata: {
    ...(metadata?.name !== undefined && { name: metadata.name }),
    ...(metadata?.uid !== undefined && { uid: metadata.uid }),
    ...(metadata?.resourceVersion !== undefined && { resourceVersion: metadata.resourceVersion }),
    ...(metadata?.labels && { labels: metadata.labels }),
  },
});

const onlyDrivers = ({ metadata, spec }: CSINode): CSINode => ({
  metadata: {
    ...(metadata?.name !== undefined && { name: metadata.name }),
    ...(metadata?.uid !== undefined && { uid: metadata.uid }),
    ...(metadata?.resourceVersion !== undefined && { resourceVersion: metadata.resourceVersion }),
  },
  spec,
});
