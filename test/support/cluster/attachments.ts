/** VolumeAttachments made by hand, as the controller-manager makes them for a pod. */
import type { Metadata } from "./claims.ts";
import type { ControlPlane } from "./control-plane.ts";

interface VolumeError {
  readonly message: string;
  readonly errorCode?: number;
}

export interface Attachment {
  readonly metadata: Metadata;
  readonly status: {
    readonly attached: boolean;
    readonly attachmentMetadata?: Readonly<Record<string, string>>;
    readonly attachError?: VolumeError;
    readonly detachError?: VolumeError;
  };
}

export interface AttachmentHandle {
  readonly path: string;
  get(): Promise<Attachment | undefined>;
  /** Waits until it is. */
  attached(): Promise<Attachment>;
  /** Waits for that error. */
  failed(error: "attachError" | "detachError"): Promise<VolumeError>;
  /** Deletes it and waits until it is gone. */
  remove(): Promise<void>;
}

/** `source` instead of `volume`: a volume written in the attachment itself. */
export async function makeAttachment(
  plane: ControlPlane,
  name: string,
  options: { readonly attacher: string; readonly node: string; readonly volume?: string; readonly source?: object },
): Promise<AttachmentHandle> {
  const path = `/apis/storage.k8s.io/v1/volumeattachments/${name}`;
  const source = options.source ?? { persistentVolumeName: options.volume };
  await plane.api.create("/apis/storage.k8s.io/v1/volumeattachments", {
    metadata: { name },
    spec: { attacher: options.attacher, nodeName: options.node, source },
  });
  const get = () => plane.api.find<Attachment>(path);
  const until = <T>(what: string, look: (now: Attachment | undefined) => T | undefined) =>
    plane.until(`attachment ${name} ${what}`, async () => look(await get()), {
      hint: async () => JSON.stringify((await get())?.status),
    });
  return {
    path,
    get,
    attached: () => until("is attached", (now) => (now?.status?.attached ? now : undefined)),
    failed: (error) => until(`says ${error}`, (now) => now?.status?.[error]),
    async remove() {
      await plane.api.remove(path);
      await until("is gone", (now) => (now === undefined ? true : undefined));
    },
  };
}
