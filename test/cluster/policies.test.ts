/** What somebody can do who stole the token of one node's pod, on a real API server with the chart's policies. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Api, ApiError, openApi } from "../support/cluster/api.ts";
import { renderChart } from "../support/cluster/chart.ts";
import { type ControlPlane, startControlPlane } from "../support/cluster/control-plane.ts";
import { ensure, installDefinitions, makeNode, tokenFor } from "../support/cluster/objects.ts";
import { snapshotDefinitions } from "../support/cluster/upstream.ts";
import { makeScratch, type Scratch } from "../support/scratch.ts";

const driver = "local.csi.holdfast";
const selectedNode = "volume.kubernetes.io/selected-node";
const managedBy = "snapshot.storage.kubernetes.io/managed-by";

const volumes = "/api/v1/persistentvolumes";
const claims = "/api/v1/namespaces/users/persistentvolumeclaims";
const capacities = "/apis/storage.k8s.io/v1/namespaces/holdfast/csistoragecapacities";
const contents = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents";
const leases = "/apis/coordination.k8s.io/v1/namespaces/holdfast/leases";
const attachments = "/apis/storage.k8s.io/v1/volumeattachments";

const nameOf = (uid: string) => `${driver}-${uid}`;

/** The only Secret that the chart's values name. */
const named = { namespace: "keys", name: "pool-key" };

/** A PV as the provisioner of a node makes it; `spec` replaces parts of its spec. */
function volume(uid: string, node: string, spec: object = {}, name = nameOf(uid)): object {
  return {
    metadata: { name },
    spec: {
      capacity: { storage: "64Mi" },
      accessModes: ["ReadWriteOnce"],
      persistentVolumeReclaimPolicy: "Retain",
      storageClassName: "holdfast",
      claimRef: { kind: "PersistentVolumeClaim", apiVersion: "v1", namespace: "users", name: `c-${uid}`, uid },
      csi: { driver, volumeHandle: `handle-${uid}` },
      nodeAffinity: on(node),
      ...spec,
    },
  };
}

function on(...nodes: string[]): object {
  const matchExpressions = [{ key: `${driver}/node`, operator: "In", values: nodes }];
  return { required: { nodeSelectorTerms: [{ matchExpressions }] } };
}

function capacity(node: string, more: object = {}): object {
  return {
    metadata: { generateName: "holdfast-" },
    nodeTopology: { matchLabels: { [`${driver}/node`]: node } },
    storageClassName: "holdfast",
    capacity: "1Gi",
    ...more,
  };
}

function content(name: string, node: string, of = driver): object {
  return {
    apiVersion: "snapshot.storage.k8s.io/v1",
    kind: "VolumeSnapshotContent",
    metadata: { name, labels: { [managedBy]: node } },
    spec: {
      driver: of,
      deletionPolicy: "Delete",
      source: { volumeHandle: "handle" },
      volumeSnapshotRef: { namespace: "users", name: "s" },
    },
  };
}

/** Refused by a policy, with these words. */
function forbidden(answer: Promise<unknown>, words: RegExp): Promise<void> {
  return assert.rejects(answer, (error) => {
    assert.ok(error instanceof ApiError, String(error));
    assert.match(error.message, /ValidatingAdmissionPolicy/);
    assert.match(error.message, words);
    return true;
  });
}

/** Refused by a policy or already by the API server's own rules of what can change. */
function refused(answer: Promise<unknown>, words: RegExp): Promise<void> {
  return assert.rejects(answer, (error) => {
    assert.ok(error instanceof ApiError, String(error));
    assert.match(error.message, words);
    return true;
  });
}

/** Refused before any policy. */
function notGranted(answer: Promise<unknown>): Promise<void> {
  return assert.rejects(answer, (error) => {
    assert.ok(error instanceof ApiError, String(error));
    assert.equal(error.status, 403);
    assert.doesNotMatch(error.message, /ValidatingAdmissionPolicy/);
    return true;
  });
}

describe("the token of a pod on n1", () => {
  let scratch: Scratch;
  let plane: ControlPlane;
  let admin: Api;
  let thief: Api;
  let unbound: Api;

  const as = async (node?: string) => {
    const token = await tokenFor(plane, "holdfast", "holdfast-node", node === undefined ? {} : { node });
    const api = openApi(plane.server, plane.authority.certificate, { token });
    scratch.later(() => api.close());
    return api;
  };
  const claim = (name: string, node?: string, more: object = {}) =>
    admin.create(claims, {
      metadata: { name, annotations: { theirs: "1", ...(node ? { [selectedNode]: node } : {}) }, ...more },
      spec: {
        storageClassName: "holdfast",
        accessModes: ["ReadWriteOnce"],
        resources: { requests: { storage: "64Mi" } },
      },
    });

  before(async () => {
    scratch = makeScratch();
    plane = await startControlPlane(scratch);
    admin = plane.api;
    await installDefinitions(plane, snapshotDefinitions);
    for (const name of ["holdfast", "users", "keys"]) await ensure(admin, "/api/v1/namespaces", name);
    await plane.apply(await renderChart({ "snapshots.enabled": true, secrets: [named] }));
    for (const name of ["n1", "n2"]) await makeNode(plane, name);
    for (const [name, provisioner] of Object.entries({ foreign: "other.example", "foreign-too": "other.example" })) {
      await admin.create("/apis/storage.k8s.io/v1/storageclasses", { metadata: { name }, provisioner });
    }
    thief = await as("n1");
    unbound = await as();
    // Policies work some moments after they were written, each by itself.
    const probes = [
      () => unbound.create(volumes, volume("probe", "n1")),
      () => unbound.create(capacities, capacity("n1")),
      () => thief.create(volumes, volume("probe", "n1", { storageClassName: "foreign" })),
      () => thief.create(capacities, capacity("n1", { storageClassName: "foreign" })),
    ];
    for (const probe of probes) {
      await plane.until("the policies work", async () => {
        const made = await probe().catch((error: unknown) => {
          if (!(error instanceof ApiError)) throw error;
          return undefined;
        });
        if (made === undefined) return true;
        const { metadata } = made as { metadata: { name: string; namespace?: string } };
        await admin.remove(`${metadata.namespace ? capacities : volumes}/${metadata.name}`);
        return undefined;
      });
    }
  });
  after(() => scratch.end());

  describe("does its node's work with nothing but the chart's roles:", () => {
    test("a volume from its making to its end", async () => {
      await thief.create(volumes, volume("u1", "n1"));
      await thief.merge(`${volumes}/${nameOf("u1")}`, {
        metadata: { finalizers: ["kubernetes.io/pv-protection", "x.example/y"] },
      });
      await thief.merge(`${volumes}/${nameOf("u1")}`, { metadata: { annotations: { "x.example/y": "1" } } });
      await thief.merge(`${volumes}/${nameOf("u1")}`, { spec: { capacity: { storage: "128Mi" } } });
      await thief.merge(`${volumes}/${nameOf("u1")}`, { metadata: { finalizers: null } });
      await thief.remove(`${volumes}/${nameOf("u1")}`);
    });

    test("a claim that selected it: annotations, finalizers, the status of a growth, and the selection given back", async () => {
      await claim("mine", "n1");
      const path = `${claims}/mine`;
      await thief.merge(path, { metadata: { annotations: { [`${driver}/note`]: "1" } } });
      await thief.merge(path, {
        metadata: {
          finalizers: ["kubernetes.io/pvc-protection", "provisioner.storage.kubernetes.io/cloning-protection"],
        },
      });
      await thief.merge(`${path}/status`, {
        status: {
          allocatedResources: { storage: "64Mi" },
          allocatedResourceStatuses: { storage: "NodeResizePending" },
          conditions: [{ type: "FileSystemResizePending", status: "True" }],
        },
      });
      await thief.merge(path, { metadata: { finalizers: ["kubernetes.io/pvc-protection"] } });
      await thief.merge(path, { metadata: { annotations: { [selectedNode]: null } } });
    });

    test("its capacity, the status of its snapshots, and events", async () => {
      const { uid } = (await admin.get<{ metadata: { uid: string } }>("/api/v1/nodes/n1")).metadata;
      const owner = { apiVersion: "v1", kind: "Node", name: "n1", uid };
      const made = await thief.create<{ metadata: { name: string } }>(
        capacities,
        capacity("n1", { metadata: { generateName: "holdfast-", ownerReferences: [owner] } }),
      );
      await thief.merge(`${capacities}/${made.metadata.name}`, { capacity: "2Gi" });
      await thief.remove(`${capacities}/${made.metadata.name}`);

      await admin.create(contents, content("mine", "n1"));
      await thief.merge(`${contents}/mine`, { metadata: { finalizers: ["x.example/y"], annotations: { a: "1" } } });
      await thief.merge(`${contents}/mine/status`, { status: { snapshotHandle: "h", readyToUse: true } });
      await thief.merge(`${contents}/mine`, { metadata: { finalizers: null } });

      await thief.create("/api/v1/namespaces/users/events", {
        metadata: { generateName: "e-" },
        involvedObject: { kind: "PersistentVolumeClaim", namespace: "users", name: "mine" },
        reason: "Provisioning",
        type: "Normal",
      });
    });
  });

  test("is given nothing else: no Secret, no pod, no Lease, no attachment, no class", async () => {
    await notGranted(thief.get("/api/v1/namespaces/users/secrets/s"));
    await notGranted(thief.get("/api/v1/secrets"));
    await notGranted(thief.get("/api/v1/pods"));
    await notGranted(thief.get("/api/v1/nodes"));
    await notGranted(thief.merge("/api/v1/nodes/n1", { metadata: { labels: { a: "b" } } }));
    await notGranted(thief.get(leases));
    await notGranted(thief.create(leases, { metadata: { name: "l" } }));
    await notGranted(thief.get(attachments));
    await notGranted(thief.create(claims, { metadata: { name: "x" } }));
    await notGranted(thief.remove(`${claims}/mine`));
    await notGranted(thief.create(contents, content("new", "n1")));
    await notGranted(thief.remove(`${contents}/mine`));
    await notGranted(
      thief.create("/apis/storage.k8s.io/v1/storageclasses", { metadata: { name: "x" }, provisioner: driver }),
    );
  });

  test("what a node can read: every PV and claim", async () => {
    assert.ok(Array.isArray(await thief.list(volumes)));
    assert.ok(Array.isArray(await thief.list("/api/v1/persistentvolumeclaims")));
  });

  describe("with all the powers that roles can give, still does not", () => {
    before(async () => {
      await admin.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
        metadata: { name: "too-much" },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
        subjects: [{ kind: "ServiceAccount", name: "holdfast-node", namespace: "holdfast" }],
      });
      await plane.until("the role is granted", () => thief.get("/api/v1/nodes").catch(() => undefined));
    });

    test("write without being bound to a node", async () => {
      await claim("unbound", "n1");
      await admin.create(contents, content("unbound", ""));
      await admin.create(volumes, volume("unbound", "n1"));
      const words = /not bound to a pod on a node/;
      await forbidden(unbound.create(volumes, volume("u2", "n1")), words);
      await forbidden(unbound.create(volumes, volume("u2", "", { nodeAffinity: on("") })), words);
      await forbidden(unbound.remove(`${volumes}/${nameOf("unbound")}`), words);
      await forbidden(
        unbound.merge(`${claims}/unbound`, { metadata: { annotations: { [`${driver}/a`]: "1" } } }),
        words,
      );
      await forbidden(unbound.create(capacities, capacity("n1")), words);
      await forbidden(unbound.merge(`${contents}/unbound`, { metadata: { annotations: { a: "1" } } }), words);
    });

    test("make a volume elsewhere, for nobody, under another name, of another driver or class", async () => {
      const elsewhere = /must be on n1/;
      await forbidden(thief.create(volumes, volume("u3", "n2")), elsewhere);
      await forbidden(thief.create(volumes, volume("u3", "n1", { nodeAffinity: on("n1", "n2") })), elsewhere);
      await forbidden(thief.create(volumes, volume("u3", "n1", { nodeAffinity: undefined })), elsewhere);
      const term = (node: string) => ({
        matchExpressions: [{ key: `${driver}/node`, operator: "In", values: [node] }],
      });
      const two = { required: { nodeSelectorTerms: [term("n1"), term("n2")] } };
      await forbidden(thief.create(volumes, volume("u3", "n1", { nodeAffinity: two })), elsewhere);
      const key = { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: ["n1"] }] };
      const hostname = { required: { nodeSelectorTerms: [key] } };
      await forbidden(thief.create(volumes, volume("u3", "n1", { nodeAffinity: hostname })), elsewhere);

      await forbidden(
        thief.create(volumes, volume("u3", "n1", {}, nameOf("another"))),
        /called local.csi.holdfast- and the claim's UID/,
      );
      await forbidden(thief.create(volumes, volume("u3", "n1", { claimRef: undefined })), /made for one claim/);
      const noUid = { kind: "PersistentVolumeClaim", namespace: "users", name: "c" };
      await forbidden(thief.create(volumes, volume("u3", "n1", { claimRef: noUid })), /made for one claim/);
      const other = { driver: "other.example", volumeHandle: "h" };
      await forbidden(thief.create(volumes, volume("u3", "n1", { csi: other })), /only volumes of local.csi.holdfast/);
      const hostPath = { csi: undefined, hostPath: { path: "/" } };
      await forbidden(thief.create(volumes, volume("u3", "n1", hostPath)), /only volumes of local.csi.holdfast/);
      await forbidden(thief.create(volumes, volume("u3", "n1", { storageClassName: "foreign" })), /of another driver/);
      await forbidden(thief.create(volumes, volume("u3", "n1", { storageClassName: undefined })), /has a StorageClass/);
      assert.equal(await admin.find(`${volumes}/${nameOf("u3")}`), undefined);
    });

    test("have a kubelet read a Secret for it, but for those that are named", async () => {
      const uses = ["nodeStage", "nodePublish", "nodeExpand", "controllerPublish", "controllerExpand"];
      const csi = { driver, volumeHandle: "h" };
      for (const use of uses) {
        for (const ref of [
          { namespace: "kube-system", name: "pool-key" },
          { namespace: "keys", name: "other" },
        ]) {
          const made = thief.create(volumes, volume("u5", "n1", { csi: { ...csi, [`${use}SecretRef`]: ref } }));
          await forbidden(made, /names only the Secrets/);
        }
      }
      await thief.create(volumes, volume("u5", "n1", { csi: { ...csi, nodeStageSecretRef: named } }));
    });

    test("change or delete the volumes of others", async () => {
      await admin.create(volumes, volume("theirs", "n2"));
      await admin.create(volumes, volume("foreign", "n1", { csi: { driver: "other.example", volumeHandle: "h" } }));
      const path = `${volumes}/${nameOf("theirs")}`;
      await forbidden(thief.merge(path, { metadata: { finalizers: null, annotations: { a: "1" } } }), /must be on n1/);
      await refused(thief.merge(path, { spec: { nodeAffinity: on("n1") } }), /must be on n1|immutable/);
      await forbidden(thief.remove(path), /must be on n1/);
      await forbidden(thief.merge(`${path}/status`, { status: { phase: "Failed" } }), /must be on n1/);
      const foreign = `${volumes}/${nameOf("foreign")}`;
      await forbidden(thief.remove(foreign), /only volumes of local/);
      await forbidden(thief.merge(foreign, { metadata: { annotations: { a: "1" } } }), /only volumes of local/);
      await forbidden(thief.remove(`${volumes}?labelSelector=`), /must be on n1|only volumes of local/);
      assert.ok(await admin.find(path));
    });

    test("give its own volume to another claim, take it elsewhere or keep what shall be deleted", async () => {
      await thief.create(volumes, volume("u4", "n1"));
      const path = `${volumes}/${nameOf("u4")}`;
      await forbidden(thief.merge(path, { spec: { claimRef: { uid: "another" } } }), /the claim of a volume stays/);
      await forbidden(thief.merge(path, { spec: { claimRef: null } }), /the claim of a volume stays/);
      await refused(thief.merge(path, { spec: { nodeAffinity: on("n2") } }), /must be on n1|immutable/);
      await forbidden(
        thief.merge(path, { spec: { persistentVolumeReclaimPolicy: "Delete" } }),
        /the capacity and the attributes class/,
      );
      await forbidden(thief.merge(path, { spec: { storageClassName: "foreign" } }), /of another driver|the capacity/);
      await forbidden(thief.merge(`${path}/status`, { status: { phase: "Failed" } }), /status is not a node's/);
    });

    test("offer a volume to a claim of another driver", async () => {
      const victim = await admin.create<{ metadata: { uid: string } }>(claims, {
        metadata: { name: "victim" },
        spec: {
          storageClassName: "foreign",
          accessModes: ["ReadWriteOnce"],
          resources: { requests: { storage: "64Mi" } },
        },
      });
      const { uid } = victim.metadata;
      const claimRef = { kind: "PersistentVolumeClaim", apiVersion: "v1", namespace: "users", name: "victim", uid };
      await forbidden(
        thief.create(volumes, volume(uid, "n1", { claimRef, storageClassName: "foreign" })),
        /of another driver/,
      );
      await forbidden(
        thief.create(volumes, volume(uid, "n1", { claimRef }, `pvc-${uid}`)),
        /called local.csi.holdfast-/,
      );
      // With a class of ours it can be made, and Kubernetes would bind it all the same: the classes need not agree.
      await thief.create(volumes, volume(uid, "n1", { claimRef }));
      const bind = admin.merge(`${claims}/victim`, { spec: { volumeName: nameOf(uid) } });
      await forbidden(bind, /the StorageClass foreign is not of local.csi.holdfast/);
      await sleep(2000);
      assert.equal((await admin.get<{ status: { phase: string } }>(`${claims}/victim`)).status.phase, "Pending");
    });

    test("touch claims that did not select it, nor more of its own than it needs", async () => {
      await claim("theirs", "n2");
      await claim("nobodys");
      await claim("own", "n1", { labels: { l: "1" } });
      const note = { metadata: { annotations: { [`${driver}/note`]: "1" } } };
      for (const name of ["theirs", "nobodys"]) {
        const path = `${claims}/${name}`;
        await forbidden(thief.merge(path, note), /has not selected n1/);
        await forbidden(
          thief.merge(path, { metadata: { annotations: { [selectedNode]: "n1" } } }),
          /has not selected n1/,
        );
        await forbidden(
          thief.merge(`${path}/status`, { status: { capacity: { storage: "1Ti" } } }),
          /has not selected n1/,
        );
        await forbidden(thief.remove(path), /neither makes nor deletes/);
      }
      const path = `${claims}/own`;
      await thief.merge(path, note);
      await forbidden(thief.merge(path, { spec: { volumeName: nameOf("u4") } }), /spec is its owner's/);
      const { uid } = (await admin.get<{ metadata: { uid: string } }>(path)).metadata;
      const claimRef = { kind: "PersistentVolumeClaim", apiVersion: "v1", namespace: "users", name: "own", uid };
      await thief.create(volumes, volume(uid, "n1", { claimRef }));
      await plane.until("the claim is bound", async () => {
        const { status } = await admin.get<{ status: { phase: string } }>(path);
        return status.phase === "Bound" || undefined;
      });
      const more = { spec: { resources: { requests: { storage: "1Gi" } } } };
      await forbidden(thief.merge(path, more), /spec is its owner's/);
      await forbidden(thief.merge(path, { metadata: { labels: { l: "2" } } }), /labels and owners stay/);
      await forbidden(thief.merge(path, { metadata: { labels: null } }), /labels and owners stay/);
      const owner = { apiVersion: "v1", kind: "Node", name: "n1", uid: "1" };
      await forbidden(thief.merge(path, { metadata: { ownerReferences: [owner] } }), /labels and owners stay/);
      const annotations = /of a claim's annotations/;
      await forbidden(thief.merge(path, { metadata: { annotations: { theirs: "2" } } }), annotations);
      await forbidden(thief.merge(path, { metadata: { annotations: { theirs: null } } }), annotations);
      await forbidden(thief.merge(path, { metadata: { annotations: { new: "1" } } }), annotations);
      await forbidden(thief.merge(path, { metadata: { annotations: { [selectedNode]: "n2" } } }), annotations);
      await forbidden(thief.merge(path, { metadata: { finalizers: null } }), /of a claim's finalizers/);
      await forbidden(
        thief.merge(path, { metadata: { finalizers: ["kubernetes.io/pvc-protection", "x.example/y"] } }),
        /finalizers/,
      );
      await forbidden(thief.merge(`${path}/status`, { status: { phase: "Lost" } }), /not a node's to say/);
      await forbidden(thief.remove(path), /neither makes nor deletes/);
      await forbidden(
        thief.create(claims, {
          metadata: { name: "new", annotations: { [selectedNode]: "n1" } },
          spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Mi" } } },
        }),
        /neither makes nor deletes/,
      );
    });

    test("tell another node's capacity, or for another driver's class", async () => {
      const own = /only its own capacity/;
      await forbidden(thief.create(capacities, capacity("n2")), own);
      await forbidden(thief.create(capacities, capacity("n1", { nodeTopology: {} })), own);
      await forbidden(thief.create(capacities, capacity("n1", { nodeTopology: undefined })), own);
      const wider = { matchExpressions: [{ key: `${driver}/node`, operator: "Exists" }] };
      await forbidden(thief.create(capacities, capacity("n1", { nodeTopology: wider })), own);
      await forbidden(thief.create(capacities, capacity("n1", { storageClassName: "foreign" })), /of another driver/);
      const owner = { apiVersion: "v1", kind: "Node", name: "n2", uid: "1" };
      await forbidden(
        thief.create(capacities, capacity("n1", { metadata: { generateName: "h-", ownerReferences: [owner] } })),
        /owned by the node/,
      );
      const theirs = await admin.create<{ metadata: { name: string } }>(capacities, capacity("n2"));
      await forbidden(thief.merge(`${capacities}/${theirs.metadata.name}`, { capacity: "9Ti" }), own);
      await forbidden(thief.remove(`${capacities}/${theirs.metadata.name}`), own);
    });

    test("touch the snapshots of others", async () => {
      await admin.create(contents, content("theirs", "n2"));
      await admin.create(contents, content("foreign", "n1", "other.example"));
      const mine = /not managed by n1/;
      await forbidden(thief.merge(`${contents}/theirs`, { metadata: { annotations: { a: "1" } } }), mine);
      await forbidden(thief.merge(`${contents}/theirs`, { metadata: { labels: { [managedBy]: "n1" } } }), mine);
      await forbidden(thief.merge(`${contents}/theirs/status`, { status: { readyToUse: true } }), mine);
      await forbidden(thief.remove(`${contents}/theirs`), /neither makes nor deletes/);
      await forbidden(thief.merge(`${contents}/mine`, { metadata: { labels: { [managedBy]: "n2" } } }), mine);
      await forbidden(
        thief.merge(`${contents}/mine`, { metadata: { labels: { more: "1" } } }),
        /annotations, finalizers/,
      );
      await forbidden(
        thief.merge(`${contents}/mine`, { spec: { deletionPolicy: "Retain" } }),
        /annotations, finalizers/,
      );
      await forbidden(thief.remove(`${contents}/mine`), /neither makes nor deletes/);
      await forbidden(thief.create(contents, content("new", "n1")), /neither makes nor deletes/);
      const foreign = { metadata: { annotations: { a: "1" } } };
      await forbidden(thief.merge(`${contents}/foreign`, foreign), /only contents of local/);
    });

    test("make, delete or change snapshots, but for the finalizer of a restore", async () => {
      const snapshots = "/apis/snapshot.storage.k8s.io/v1/namespaces/users/volumesnapshots";
      const one = (name: string) => ({
        apiVersion: "snapshot.storage.k8s.io/v1",
        kind: "VolumeSnapshot",
        metadata: { name },
        spec: { source: { persistentVolumeClaimName: "mine" } },
      });
      await admin.create(snapshots, one("one"));
      const path = `${snapshots}/one`;
      const restore = "provisioner.storage.kubernetes.io/volumesnapshot-as-source-protection";
      await thief.merge(path, { metadata: { finalizers: [restore] } });
      await thief.merge(path, { metadata: { finalizers: null } });
      const only = /changes the finalizer of a restore/;
      await forbidden(thief.merge(path, { metadata: { finalizers: ["x.example/y"] } }), only);
      await forbidden(thief.merge(path, { metadata: { annotations: { a: "1" } } }), only);
      await forbidden(thief.merge(path, { metadata: { labels: { a: "1" } } }), only);
      const never = /neither makes nor deletes snapshots/;
      await forbidden(thief.merge(`${path}/status`, { status: { readyToUse: true } }), never);
      await forbidden(thief.create(snapshots, one("two")), never);
      await forbidden(thief.remove(path), never);
    });

    test("lead, attach, or change classes, drivers and what nodes have", async () => {
      const never = /never leads, attaches/;
      await forbidden(
        thief.create(leases, { metadata: { name: "holdfast" }, spec: { holderIdentity: "thief" } }),
        never,
      );
      await forbidden(
        thief.create(attachments, {
          metadata: { name: "a" },
          spec: { attacher: driver, nodeName: "n1", source: { persistentVolumeName: nameOf("u4") } },
        }),
        never,
      );
      const classes = "/apis/storage.k8s.io/v1/storageclasses";
      await forbidden(thief.create(classes, { metadata: { name: "x" }, provisioner: driver }), never);
      await forbidden(thief.remove(`${classes}/foreign`), never);
      await forbidden(thief.merge("/apis/storage.k8s.io/v1/csinodes/n2", { metadata: { labels: { a: "1" } } }), never);
      await forbidden(thief.remove(`/apis/storage.k8s.io/v1/csidrivers/${driver}`), never);
    });
  });

  test("others are not held by the policies: the administrator, and the controller's pod", async () => {
    await admin.create(volumes, volume("anything", "n2", { claimRef: undefined }, "by-hand"));
    await admin.remove(`${volumes}/by-hand`);
    const token = await tokenFor(plane, "holdfast", "holdfast-controller", { node: "n1" });
    const controller = openApi(plane.server, plane.authority.certificate, { token });
    scratch.later(() => controller.close());
    await claim("immediate");
    await controller.merge(`${claims}/immediate`, { metadata: { annotations: { [selectedNode]: "n2" } } });
    await controller.create(leases, { metadata: { name: "holdfast" }, spec: { holderIdentity: "controller" } });
    await notGranted(controller.get("/api/v1/secrets"));
    await notGranted(controller.create(volumes, volume("u9", "n1")));
  });
});
