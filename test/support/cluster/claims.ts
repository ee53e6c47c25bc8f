/** Claims, classes, pods and snapshots for a test, each in a namespace of its own, and what became of them. */
import type { Api } from "./api.ts";
import type { ControlPlane } from "./control-plane.ts";
import { testImage } from "./images.ts";
import { ensure } from "./objects.ts";

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly deletionTimestamp?: string;
}

/** A claim as a test looks at it. */
export interface Claim {
  readonly metadata: Metadata;
  readonly spec: {
    readonly volumeName?: string;
    readonly resources: { readonly requests: { readonly storage: string } };
  };
  readonly status: {
    readonly phase: string;
    readonly capacity?: { readonly storage: string };
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
    readonly allocatedResourceStatuses?: Readonly<Record<string, string>>;
    readonly currentVolumeAttributesClassName?: string;
    readonly modifyVolumeStatus?: { readonly status: string; readonly targetVolumeAttributesClassName?: string };
  };
}

export interface Volume {
  readonly metadata: Metadata;
  readonly spec: {
    readonly capacity: { readonly storage: string };
    readonly csi?: { readonly driver: string; readonly volumeHandle: string };
    readonly nodeAffinity?: object;
    readonly volumeAttributesClassName?: string;
  };
  readonly status: { readonly phase: string };
}

export interface ClassOptions {
  /** The driver's name. */
  readonly driver: string;
  readonly parameters?: Readonly<Record<string, string>>;
  /** Absent: WaitForFirstConsumer. */
  readonly binding?: "WaitForFirstConsumer" | "Immediate";
  /** Absent: Delete. */
  readonly reclaim?: "Delete" | "Retain";
  readonly mountOptions?: readonly string[];
}

export interface ClaimOptions {
  readonly class: string;
  /** Absent: 64Mi. */
  readonly size?: string;
  readonly mode?: "ReadWriteOnce" | "ReadWriteOncePod" | "ReadOnlyMany" | "ReadWriteMany";
  readonly block?: boolean;
  /** Plays the scheduler: the node that was selected. Absent: left to a pod that comes. */
  readonly selectedNode?: string;
  readonly fromSnapshot?: string;
  readonly fromClaim?: string;
  /** The volume that it wants, which is there. */
  readonly volume?: string;
}

export interface PodOptions {
  /** Claims by their paths in the pod; a raw one under the path of its device. */
  readonly claims?: Readonly<Record<string, string>>;
  readonly devices?: Readonly<Record<string, string>>;
  /** More volumes, as the pod's spec has them, and where each is mounted, by path. */
  readonly volumes?: readonly object[];
  readonly mounts?: Readonly<Record<string, string>>;
  /** What its shell does. Absent: it sleeps. */
  readonly script?: string;
  /** Absent: left to the scheduler. */
  readonly node?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Merged into the spec. */
  readonly spec?: object;
}

/** A namespace and what a test does in it. Nothing waits unless it says so. */
export class Space {
  readonly plane: ControlPlane;
  readonly name: string;
  readonly #core: string;
  readonly #snapshots: string;

  constructor(plane: ControlPlane, name: string) {
    this.plane = plane;
    this.name = name;
    this.#core = `/api/v1/namespaces/${name}`;
    this.#snapshots = `/apis/snapshot.storage.k8s.io/v1/namespaces/${name}/volumesnapshots`;
  }

  get api(): Api {
    return this.plane.api;
  }

  async claim(name: string, options: ClaimOptions): Promise<Claim> {
    const annotations =
      options.selectedNode === undefined ? {} : { "volume.kubernetes.io/selected-node": options.selectedNode };
    const source =
      options.fromSnapshot !== undefined
        ? { kind: "VolumeSnapshot", apiGroup: "snapshot.storage.k8s.io", name: options.fromSnapshot }
        : options.fromClaim !== undefined
          ? { kind: "PersistentVolumeClaim", name: options.fromClaim }
          : undefined;
    return this.api.create(`${this.#core}/persistentvolumeclaims`, {
      metadata: { name, annotations },
      spec: {
        storageClassName: options.class,
        accessModes: [options.mode ?? "ReadWriteOnce"],
        volumeMode: options.block ? "Block" : "Filesystem",
        resources: { requests: { storage: options.size ?? "64Mi" } },
        ...(source ? { dataSource: source } : {}),
        ...(options.volume === undefined ? {} : { volumeName: options.volume }),
      },
    });
  }

  getClaim(name: string): Promise<Claim> {
    return this.api.get(`${this.#core}/persistentvolumeclaims/${name}`);
  }

  /** Asks for another size. */
  resize(name: string, size: string): Promise<Claim> {
    const spec = { resources: { requests: { storage: size } } };
    return this.api.merge(`${this.#core}/persistentvolumeclaims/${name}`, { spec });
  }

  /** Waits until it is bound; answers its volume. */
  bound(name: string, withinMs?: number): Promise<Volume> {
    const ask = async () => {
      const { spec, status } = await this.getClaim(name);
      if (status.phase !== "Bound" || spec.volumeName === undefined) return undefined;
      return this.api.get<Volume>(`/api/v1/persistentvolumes/${spec.volumeName}`);
    };
    return this.#until(`claim ${name} is bound`, ask, withinMs);
  }

  /** Waits until its size is this one and nothing of the growth is pending. */
  async grown(name: string, size: string, withinMs?: number): Promise<void> {
    const ask = async () => {
      const { status } = await this.getClaim(name);
      return (status.capacity?.storage === size && (status.conditions ?? []).length === 0) || undefined;
    };
    await this.#until(`claim ${name} has ${size}`, ask, withinMs);
  }

  /** Deletes a claim and waits until it and its volume are gone; not for volumes that are retained. */
  async removeClaim(name: string, withinMs?: number): Promise<void> {
    const path = `${this.#core}/persistentvolumeclaims/${name}`;
    const volume = (await this.api.find<Claim>(path))?.spec.volumeName;
    await this.api.remove(path);
    await this.gone(`claim ${name}`, path, withinMs);
    if (volume !== undefined) await this.gone(`volume ${volume}`, `/api/v1/persistentvolumes/${volume}`, withinMs);
  }

  snapshot(name: string, claim: string, snapshotClass: string): Promise<object> {
    return this.api.create(this.#snapshots, {
      apiVersion: "snapshot.storage.k8s.io/v1",
      kind: "VolumeSnapshot",
      metadata: { name },
      spec: { volumeSnapshotClassName: snapshotClass, source: { persistentVolumeClaimName: claim } },
    });
  }

  /** A snapshot that exists at the driver, and its content of the same name; `node` labels the content. */
  async existing(
    name: string,
    handle: string,
    driver: string,
    options: { readonly deletionPolicy?: "Delete" | "Retain"; readonly node?: string } = {},
  ): Promise<void> {
    const labels = options.node === undefined ? {} : { "snapshot.storage.kubernetes.io/managed-by": options.node };
    await this.api.create("/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents", {
      apiVersion: "snapshot.storage.k8s.io/v1",
      kind: "VolumeSnapshotContent",
      metadata: { name, labels },
      spec: {
        driver,
        deletionPolicy: options.deletionPolicy ?? "Retain",
        source: { snapshotHandle: handle },
        volumeSnapshotRef: { name, namespace: this.name },
      },
    });
    await this.api.create(this.#snapshots, {
      apiVersion: "snapshot.storage.k8s.io/v1",
      kind: "VolumeSnapshot",
      metadata: { name },
      spec: { source: { volumeSnapshotContentName: name } },
    });
  }

  /** Waits until it is ready to use; answers its content's name. */
  snapshotReady(name: string, withinMs?: number): Promise<string> {
    type Snapshot = { status?: { readyToUse?: boolean; boundVolumeSnapshotContentName?: string } };
    const ask = async () => {
      const { status } = await this.api.get<Snapshot>(`${this.#snapshots}/${name}`);
      return status?.readyToUse ? status.boundVolumeSnapshotContentName : undefined;
    };
    return this.#until(`snapshot ${name} is ready`, ask, withinMs);
  }

  /** Deletes a snapshot and waits until it and its content are gone; not for contents that are retained. */
  async removeSnapshot(name: string): Promise<void> {
    const path = `${this.#snapshots}/${name}`;
    type Snapshot = { status?: { boundVolumeSnapshotContentName?: string } };
    const content = (await this.api.find<Snapshot>(path))?.status?.boundVolumeSnapshotContentName;
    await this.api.remove(path);
    await this.gone(`snapshot ${name}`, path);
    const contents = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents";
    if (content !== undefined) await this.gone(`snapshot content ${content}`, `${contents}/${content}`);
  }

  pod(name: string, options: PodOptions = {}): Promise<object> {
    return this.api.create(`${this.#core}/pods`, { metadata: { name }, spec: podSpec(options) });
  }

  /** Waits until all its containers are ready. */
  async running(name: string, withinMs = 60_000): Promise<void> {
    type Pod = { status: { conditions?: { type: string; status: string }[] } };
    const ask = async () => {
      const pod = await this.api.get<Pod>(`${this.#core}/pods/${name}`);
      return pod.status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") || undefined;
    };
    await this.#until(`pod ${name} runs`, ask, withinMs);
  }

  /** How often its containers were started again. */
  async restarts(name: string): Promise<number> {
    type Pod = { status: { containerStatuses?: { restartCount: number }[] } };
    const { status } = await this.api.get<Pod>(`${this.#core}/pods/${name}`);
    return (status.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);
  }

  /** Runs a shell line in a pod's first container; answers its standard output. */
  sh(pod: string, script: string): Promise<string> {
    return this.plane.kubectl("exec", `--namespace=${this.name}`, pod, "--", "sh", "-c", script);
  }

  /** Deletes a pod, with a second of grace, and waits until its kubelet let it go. */
  async removePod(name: string, withinMs = 60_000): Promise<void> {
    await this.api.remove(`${this.#core}/pods/${name}?gracePeriodSeconds=1`);
    await this.gone(`pod ${name}`, `${this.#core}/pods/${name}`, withinMs);
  }

  /** What the events of this namespace say, the oldest first: one line each. */
  async events(): Promise<string[]> {
    type Event = {
      metadata: { resourceVersion: string };
      reason: string;
      message: string;
      lastTimestamp: string | null;
      involvedObject: { kind: string; name: string };
    };
    const events = await this.api.list<Event>(`${this.#core}/events`);
    return (
      events
        // Timestamps are whole seconds.
        .sort((one, other) => Number(one.metadata.resourceVersion) - Number(other.metadata.resourceVersion))
        .map(({ involvedObject: { kind, name }, reason, message }) => `${kind}/${name} ${reason}: ${message}`)
    );
  }

  /** Waits until an event of this namespace has these words. */
  async said(words: RegExp, withinMs?: number): Promise<string> {
    return this.#until(
      `an event says ${words}`,
      async () => (await this.events()).find((line) => words.test(line)),
      withinMs,
    );
  }

  /** Waits until an object of the API is gone. */
  async gone(what: string, path: string, withinMs?: number): Promise<void> {
    await this.#until(
      `${what} is gone`,
      async () => ((await this.api.find(path)) === undefined ? true : undefined),
      withinMs,
    );
  }

  /** With the namespace's events in the error. */
  #until<T>(what: string, ask: () => Promise<T | undefined>, withinMs?: number): Promise<T> {
    const hint = async () => {
      const events = (await this.events().catch(() => [])).slice(-20);
      return `--- events of ${this.name}\n${events.join("\n")}`;
    };
    return this.plane.until(`${this.name}: ${what}`, ask, { hint, ...(withinMs === undefined ? {} : { withinMs }) });
  }
}

/** A namespace of its own, made when its service account is there; pods need that. */
export async function makeSpace(plane: ControlPlane, name: string): Promise<Space> {
  await ensure(plane.api, "/api/v1/namespaces", name);
  await plane.until(`namespace ${name} has its service account`, () =>
    plane.api.find(`/api/v1/namespaces/${name}/serviceaccounts/default`),
  );
  return new Space(plane, name);
}

export async function makeClass(plane: ControlPlane, name: string, options: ClassOptions): Promise<void> {
  await plane.api.create("/apis/storage.k8s.io/v1/storageclasses", {
    metadata: { name },
    provisioner: options.driver,
    parameters: { ...options.parameters },
    volumeBindingMode: options.binding ?? "WaitForFirstConsumer",
    reclaimPolicy: options.reclaim ?? "Delete",
    allowVolumeExpansion: true,
    mountOptions: [...(options.mountOptions ?? [])],
  });
}

export interface DriverObjectOptions {
  readonly attach?: boolean;
  readonly ephemeral?: boolean;
  readonly storageCapacity?: boolean;
}

/** The CSIDriver object. */
export async function makeDriverObject(
  plane: ControlPlane,
  name: string,
  options: DriverObjectOptions = {},
): Promise<void> {
  await plane.api.create("/apis/storage.k8s.io/v1/csidrivers", {
    metadata: { name },
    spec: {
      attachRequired: options.attach ?? false,
      podInfoOnMount: true,
      storageCapacity: options.storageCapacity ?? false,
      fsGroupPolicy: "File",
      volumeLifecycleModes: ["Persistent", ...(options.ephemeral ? ["Ephemeral"] : [])],
    },
  });
}

/** Needs the snapshot definitions, see `installDefinitions`. */
export async function makeSnapshotClass(
  plane: ControlPlane,
  name: string,
  driver: string,
  deletionPolicy: "Delete" | "Retain" = "Delete",
): Promise<void> {
  await plane.api.create("/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses", {
    apiVersion: "snapshot.storage.k8s.io/v1",
    kind: "VolumeSnapshotClass",
    metadata: { name },
    driver,
    deletionPolicy,
  });
}

/** Ends at once when it is told to: as the first process of its container it gets no signal that it does not handle. */
const idle = "trap exit TERM; sleep 1000000 & wait";

/** A pod's spec with one container of the test image. */
export function podSpec(options: PodOptions): object {
  const mounts = Object.entries(options.claims ?? {});
  const devices = Object.entries(options.devices ?? {});
  const claims = [...new Set([...mounts, ...devices].map(([, claim]) => claim))];
  return {
    ...(options.node === undefined ? {} : { nodeSelector: { "kubernetes.io/hostname": options.node } }),
    terminationGracePeriodSeconds: 1,
    automountServiceAccountToken: false,
    volumes: [
      ...claims.map((claim) => ({ name: claim, persistentVolumeClaim: { claimName: claim } })),
      ...(options.volumes ?? []),
    ],
    containers: [
      {
        name: "main",
        image: testImage,
        imagePullPolicy: "IfNotPresent",
        command: ["sh", "-c", options.script ?? idle],
        env: Object.entries(options.environment ?? {}).map(([name, value]) => ({ name, value })),
        volumeMounts: [...mounts, ...Object.entries(options.mounts ?? {})].map(([mountPath, name]) => ({
          name,
          mountPath,
        })),
        volumeDevices: devices.map(([devicePath, name]) => ({ name, devicePath })),
      },
    ],
    ...options.spec,
  };
}
