/** Which capability each of csi-sanity's skips speaks of, checked against what the driver declares over its socket. */

import type { CsiClient } from "../../src/csi/client.ts";
import {
  ControllerServiceCapability_RPC_Type as ControllerRpc,
  NodeServiceCapability_RPC_Type as NodeRpc,
  PluginCapability_Service_Type as PluginService,
} from "../../src/csi/gen/csi_pb.ts";
import type { Spec } from "./junit.ts";

/** By the words of the skip: what is missing when it is right. */
const reasons: Record<string, string> = {
  "GetCapacity not supported": "controller GET_CAPACITY",
  "ListVolumes not supported": "controller LIST_VOLUMES",
  "CreateVolume not supported": "controller CREATE_DELETE_VOLUME",
  "DeleteVolume not supported": "controller CREATE_DELETE_VOLUME",
  "Snapshot not supported": "controller CREATE_DELETE_SNAPSHOT",
  "CreateSnapshot not supported": "controller CREATE_DELETE_SNAPSHOT",
  "DeleteSnapshot not supported": "controller CREATE_DELETE_SNAPSHOT",
  "ListSnapshots not supported": "controller LIST_SNAPSHOTS",
  "GetSnapshot not supported": "controller GET_SNAPSHOT",
  "Volume Cloning not supported": "controller CLONE_VOLUME",
  "Modify volume not supported": "controller MODIFY_VOLUME",
  "Modify Volume not supported": "controller MODIFY_VOLUME",
  "ControllerModifyVolume not supported": "controller MODIFY_VOLUME",
  "ControllerPublishVolume not supported": "controller PUBLISH_UNPUBLISH_VOLUME",
  "ControllerUnpublishVolume not supported": "controller PUBLISH_UNPUBLISH_VOLUME",
  "Controller Publish, UnpublishVolume not supported": "controller PUBLISH_UNPUBLISH_VOLUME",
  "ControllerPublishVolume.readonly field not supported": "controller PUBLISH_READONLY",
  "ControllerExpandVolume not supported": "controller EXPAND_VOLUME",
  "GroupControllerService not supported": "plugin GROUP_CONTROLLER_SERVICE",
  "Service does not have single node multi writer capability": "node SINGLE_NODE_MULTI_WRITER",
  "NodeStageVolume not supported": "node STAGE_UNSTAGE_VOLUME",
  "NodeUnstageVolume not supported": "node STAGE_UNSTAGE_VOLUME",
  "NodeGetVolume not supported": "node GET_VOLUME_STATS",
  "NodeExpandVolume not supported": "node EXPAND_VOLUME",
};

/** As `controller CREATE_DELETE_VOLUME`, `node EXPAND_VOLUME`, `plugin CONTROLLER_SERVICE`. */
export async function declaredCapabilities(ofController: CsiClient, ofNode: CsiClient): Promise<Set<string>> {
  const [plugin, controller, node] = await Promise.all([
    ofNode.identity.getPluginCapabilities({}),
    ofController.controller.controllerGetCapabilities({}),
    ofNode.node.nodeGetCapabilities({}),
  ]);
  const declared = new Set<string>();
  for (const { type } of plugin.capabilities) {
    if (type.case === "service") declared.add(`plugin ${nameOf(PluginService, type.value.type)}`);
  }
  for (const { type } of controller.capabilities) {
    if (type.case === "rpc") declared.add(`controller ${nameOf(ControllerRpc, type.value.type)}`);
  }
  for (const { type } of node.capabilities) {
    if (type.case === "rpc") declared.add(`node ${nameOf(NodeRpc, type.value.type)}`);
  }
  return declared;
}

const everywhere = [
  "plugin CONTROLLER_SERVICE",
  "controller CREATE_DELETE_VOLUME",
  "controller LIST_VOLUMES",
  "controller GET_CAPACITY",
  "controller EXPAND_VOLUME",
  "controller GET_VOLUME",
  "controller SINGLE_NODE_MULTI_WRITER",
  "node STAGE_UNSTAGE_VOLUME",
  "node GET_VOLUME_STATS",
  "node EXPAND_VOLUME",
  "node SINGLE_NODE_MULTI_WRITER",
];
const ofImages = ["CREATE_DELETE_SNAPSHOT", "LIST_SNAPSHOTS", "GET_SNAPSHOT", "CLONE_VOLUME"].map(
  (each) => `controller ${each}`,
);
const ofShared = ["PUBLISH_UNPUBLISH_VOLUME", "PUBLISH_READONLY", "LIST_VOLUMES_PUBLISHED_NODES"].map(
  (each) => `controller ${each}`,
);

/** What a driver over such a pool must declare and does not: a suite that skips all would pass otherwise. */
export function undeclared(pool: { backend: string; shared: boolean }, declared: ReadonlySet<string>): string[] {
  const due = [...everywhere, ...(pool.backend === "image" ? ofImages : []), ...(pool.shared ? ofShared : [])];
  if (!pool.shared) due.push("plugin VOLUME_ACCESSIBILITY_CONSTRAINTS");
  return due.filter((capability) => !declared.has(capability));
}

/** The capability that the skip says is missing, or its own words. */
export function skippedFor(spec: Spec): string {
  const words = wordsOf(spec);
  return reasons[words] ?? words;
}

/** Why the skip is wrong; undefined: the capability that it names is not declared, so the spec does not apply. */
export function wrongSkip(spec: Spec, declared: ReadonlySet<string>): string | undefined {
  const words = wordsOf(spec);
  const capability = reasons[words];
  if (capability === undefined) return `skipped for a reason that is no missing capability: ${words || "none given"}`;
  return declared.has(capability) ? `skipped as '${words}', but the driver declares ${capability}` : undefined;
}

function wordsOf(spec: Spec): string {
  return spec.message.split("\n")[0]?.replace(/^skipped - /, "") ?? "";
}

function nameOf(names: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(names).find((name) => names[name] === value) ?? `${value}`;
}
