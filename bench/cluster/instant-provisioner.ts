/**
 * instant-provisioner.ts KUBECONFIG DRIVER [FOLDER]: the floor. It makes a PV for each claim that asks DRIVER as soon as it hears of it, and removes
 * it as soon as it is released: no volume, no record, no check. What is left of a claim's time is the cluster's own. With FOLDER the volumes are folders there on the node, which the kubelet makes and pods can use.
 */
import { join } from "node:path";
import { openClient } from "../../src/kubernetes/api/client.ts";
import { clusterOfKubeconfig } from "../../src/kubernetes/api/cluster.ts";
import { startInformer } from "../../src/kubernetes/api/informer.ts";
import { claims, persistentVolumes } from "../../src/kubernetes/api/resources.ts";
import { createLog } from "../../src/observe/log.ts";

const [kubeconfig = "", driver = "", folder] = process.argv.slice(2);
const log = createLog({ level: "info", format: "json" });
const api = openClient(clusterOfKubeconfig(kubeconfig), "holdfast-bench-instant");
const { signal } = new AbortController();
const told = (error: unknown) => log.error({ error }, "a write failed");

const made = new Set<string>();
startInformer(api, claims, {}, log, signal).on(({ kind, object: { metadata, spec } }) => {
  const { uid = "", name = "", namespace = "", annotations = {} } = metadata ?? {};
  const asks = annotations["volume.kubernetes.io/storage-provisioner"] === driver && spec?.volumeName === undefined;
  if (kind === "removed" || !asks || made.has(uid)) return;
  made.add(uid);
  const node = annotations["volume.kubernetes.io/selected-node"] ?? "";
  const here = { key: `${driver}/node`, operator: "In", values: [node] };
  const volume = {
    metadata: { name: `pvc-${uid}`, annotations: { "pv.kubernetes.io/provisioned-by": driver } },
    spec: {
      capacity: { storage: spec?.resources?.requests?.["storage"] ?? "" },
      accessModes: spec?.accessModes ?? [],
      volumeMode: spec?.volumeMode ?? "Filesystem",
      storageClassName: spec?.storageClassName ?? "",
      persistentVolumeReclaimPolicy: "Delete",
      claimRef: { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace, name, uid },
      ...(folder === undefined
        ? {
            csi: { driver, volumeHandle: uid },
            nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [here] }] } },
          }
        : { hostPath: { path: join(folder, uid), type: "DirectoryOrCreate" } }),
    },
  };
  api.create(persistentVolumes, volume).catch(told);
});

const removed = new Set<string>();
startInformer(api, persistentVolumes, {}, log, signal).on(({ kind, object: { metadata, status } }) => {
  const { name = "", uid = "" } = metadata ?? {};
  if (kind === "removed" || status?.phase !== "Released" || removed.has(uid)) return;
  removed.add(uid);
  api.delete(persistentVolumes, { name }).catch(told);
});
