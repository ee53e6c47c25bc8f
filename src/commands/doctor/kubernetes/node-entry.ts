import { connect } from "../../../csi/client.ts";
import { csiNodes, nodes } from "../../../kubernetes/api/resources.ts";
import { error, type Finding, ok } from "../finding.ts";
import type { Looked } from "../kubernetes.ts";
import { asked } from "./asked.ts";

const what = "CSINode";

/** What the kubelet wrote when it registered the driver, compared with what the driver says of this node now. */
export function nodeEntry({ api, role, node, driverName, csiAddress }: Looked): Promise<Finding[]> {
  return asked(what, async () => {
    if (role !== "node") return [];
    if ((await api.find(nodes, { name: node })) === undefined) {
      const fix = "set nodeId, or KUBE_NODE_NAME from the pod's spec.nodeName, to the name of the Node object";
      return [error("Node", `there is no Node ${node}`, fix)];
    }
    const entries = (await api.find(csiNodes, { name: node }))?.spec.drivers ?? [];
    const entry = entries.find((each) => each.name === driverName);
    if (entry === undefined) {
      const others = entries.map((each) => each.name).join(", ") || "none";
      const fix =
        "the driver's log and the kubelet's say why it is not registered; journalctl -u kubelet | grep plugin";
      return [error(what, `${node} has no entry for ${driverName} (it has ${others})`, fix)];
    }
    const keys = (entry.topologyKeys ?? []).join(", ") || "no topology";
    const now = await infoOf(csiAddress);
    const stale = now && (now.nodeId !== entry.nodeID || now.keys !== keys);
    return stale
      ? [
          error(
            what,
            `${node} has ${entry.nodeID}, ${keys}; the driver says ${now.nodeId}, ${now.keys}`,
            "restart the driver's pod: the kubelet asks again",
          ),
        ]
      : [ok(what, `${node}: ${driverName} is ${entry.nodeID}, ${keys}`)];
  });
}

async function infoOf(csiAddress: string): Promise<{ readonly nodeId: string; readonly keys: string } | undefined> {
  const client = connect(csiAddress);
  try {
    const { nodeId, accessibleTopology } = await client.node.nodeGetInfo({}, { timeoutMs: 3000 });
    return { nodeId, keys: Object.keys(accessibleTopology?.segments ?? {}).join(", ") || "no topology" };
  } catch {
    // The socket's own finding says why.
    return undefined;
  } finally {
    client.close();
  }
}
