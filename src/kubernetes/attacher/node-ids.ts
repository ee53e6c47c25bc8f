/** What the driver calls a node. */
import type { CSINode, VolumeAttachment } from "kubernetes-types/storage/v1.js";
import type { ApiClient, CallLimits } from "../api/client.ts";
import type { Informer } from "../api/informer.ts";
import { csiNodes } from "../api/resources.ts";
import { nodeIdAnnotation } from "./names.ts";

export interface NodeIds {
  /** Throws while the driver is not registered on the node. */
  ofNode(node: string, limits: CallLimits): Promise<string>;
  /** A node that is gone, or on which the driver is not, is known by what was noted when it was attached to. */
  ofAttachment(attachment: VolumeAttachment): string | undefined;
}

export function nodeIdsOf(api: ApiClient, informer: Informer<CSINode>, driver: string): NodeIds {
  // A node without drivers has null there, whatever the type says.
  const idIn = (node: CSINode | undefined) =>
    (node?.spec.drivers as CSINode["spec"]["drivers"] | null | undefined)?.find(({ name }) => name === driver)?.nodeID;
  return {
    async ofNode(name, limits) {
      // The informer may not have seen a node that has just been registered.
      const id = idIn(informer.get(name)) ?? idIn(await api.find(csiNodes, { name }, limits));
      if (id === undefined) throw new Error(`node ${name} has no driver ${driver}: its CSINode does not name it`);
      return id;
    },
    ofAttachment: ({ metadata, spec }) =>
      idIn(informer.get(spec.nodeName)) ?? metadata?.annotations?.[nodeIdAnnotation],
  };
}
