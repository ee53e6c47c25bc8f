/** A volume and its claim, bound by hand: for tests of what comes after provisioning. */
import type { Claim, Space, Volume } from "./claims.ts";

export interface StaticOptions {
  readonly driver: string;
  /** The class that the claim is of, which must allow growth. */
  readonly class: string;
  /** Absent: `NAMESPACE-NAME`. */
  readonly handle?: string;
  /** Absent: 64Mi. */
  readonly size?: string;
  /** Its affinity: a segment. Absent: none. */
  readonly topology?: Readonly<Record<string, string>>;
  /** Merged into the volume's spec. */
  readonly spec?: object;
  /** Merged into the volume's source. */
  readonly source?: object;
  /** Of the claim. */
  readonly annotations?: Readonly<Record<string, string>>;
  readonly mode?: string;
  readonly block?: boolean;
}

/** Waits until it is bound; answers the claim and its volume. */
export async function staticVolume(space: Space, name: string, options: StaticOptions): Promise<[Claim, Volume]> {
  const volumeName = `${space.name}-${name}`;
  const terms = Object.entries(options.topology ?? {}).map(([key, value]) => ({
    key,
    operator: "In",
    values: [value],
  }));
  const common = { accessModes: [options.mode ?? "ReadWriteOnce"], volumeMode: options.block ? "Block" : "Filesystem" };
  const storage = options.size ?? "64Mi";
  const claims = `/api/v1/namespaces/${space.name}/persistentvolumeclaims`;
  const claim = await space.api.create<Claim>(claims, {
    metadata: { name, annotations: { "pv.kubernetes.io/bind-completed": "yes", ...options.annotations } },
    spec: { ...common, storageClassName: options.class, volumeName, resources: { requests: { storage } } },
  });
  const { uid } = claim.metadata;
  await space.api.create("/api/v1/persistentvolumes", {
    metadata: { name: volumeName },
    spec: {
      ...common,
      capacity: { storage },
      storageClassName: options.class,
      persistentVolumeReclaimPolicy: "Retain",
      csi: { driver: options.driver, volumeHandle: options.handle ?? volumeName, ...options.source },
      claimRef: { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace: space.name, name, uid },
      ...(terms.length > 0 && { nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: terms }] } } }),
      ...options.spec,
    },
  });
  // As the controller-manager does it, which looks at such a pair only every 15 seconds.
  await space.api.merge(`/api/v1/persistentvolumes/${volumeName}/status`, { status: { phase: "Bound" } });
  const status = { phase: "Bound", capacity: { storage }, accessModes: common.accessModes };
  await space.api.merge(`${claims}/${name}/status`, { status });
  return [await space.getClaim(name), await space.bound(name)];
}
