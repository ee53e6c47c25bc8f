/**
 * The archive: an OCI image layout (image-spec v1.1, "OCI Image Layout") in a tar, with the manifest.json that
 * `docker load` wants beside it. containerd, podman, skopeo and docker take it.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Architecture } from "./packages.ts";
import { tar } from "./tar.ts";
import { addText, type Tree } from "./tree.ts";

export interface Image {
  /** As `localhost/holdfast:0.1.0`. */
  readonly reference: string;
  readonly architecture: Architecture;
  /** Seconds since 1970: the time of everything in it. */
  readonly seconds: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly environment: readonly string[];
  readonly entrypoint: readonly string[];
  /** From the one that changes least. */
  readonly layers: readonly { readonly about: string; readonly tree: Tree }[];
}

interface Layer {
  readonly file: string;
  readonly size: number;
  readonly digest: string;
  /** Of the tar before it was compressed. */
  readonly diffId: string;
}

/** Writes the archive to `file`; `scratch` is for the layers. Answers the manifest's digest. */
export async function writeImage(image: Image, file: string, scratch: string): Promise<string> {
  const created = new Date(image.seconds * 1000).toISOString().replace(".000Z", "Z");
  const layers = await Promise.all(
    image.layers.map(({ tree }, index) => compressed(tree, image.seconds, join(scratch, `layer-${index}`))),
  );
  const archive: Tree = new Map();
  const blob = (content: unknown) => {
    const text = JSON.stringify(content);
    const digest = createHash("sha256").update(text).digest("hex");
    addText(archive, `blobs/sha256/${digest}`, text);
    return { digest: `sha256:${digest}`, size: Buffer.byteLength(text) };
  };
  const config = blob({
    created,
    architecture: image.architecture,
    os: "linux",
    config: { Env: image.environment, Entrypoint: image.entrypoint, WorkingDir: "/", Labels: image.labels },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: image.layers.map(({ about }) => ({ created, created_by: about })),
  });
  const manifest = blob({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
    layers: layers.map(({ digest, size }) => ({
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      digest,
      size,
    })),
    annotations: image.labels,
  });
  for (const layer of layers) {
    archive.set(blobPath(layer.digest), { kind: "file", executable: false, content: layer.file });
  }
  addText(archive, "oci-layout", JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  addText(archive, "index.json", JSON.stringify(indexOf(image, manifest)));
  const docker = [
    {
      Config: blobPath(config.digest),
      RepoTags: [image.reference],
      Layers: layers.map(({ digest }) => blobPath(digest)),
    },
  ];
  addText(archive, "manifest.json", JSON.stringify(docker));
  await pipeline(Readable.from(tar(archive, image.seconds)), createWriteStream(file));
  return manifest.digest;
}

function indexOf(image: Image, manifest: { readonly digest: string; readonly size: number }): unknown {
  return {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [
      {
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        ...manifest,
        platform: { architecture: image.architecture, os: "linux" },
        // The first is containerd's for the whole name, the second the specification's.
        annotations: {
          "io.containerd.image.name": image.reference,
          "org.opencontainers.image.ref.name": image.reference.slice(image.reference.lastIndexOf(":") + 1),
        },
      },
    ],
  };
}

const blobPath = (digest: string) => `blobs/sha256/${digest.replace("sha256:", "")}`;

/** By gzip(1), whose bytes do not depend on the CPU as those of Node's zlib may; -n keeps name and time out. */
async function compressed(tree: Tree, seconds: number, file: string): Promise<Layer> {
  const plain = createHash("sha256");
  const gzip = spawn("gzip", ["-n", "-6"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(gzip, "close");
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      plain.update(chunk);
      done(null, chunk);
    },
  });
  const [, , [code]] = await Promise.all([
    pipeline(Readable.from(tar(tree, seconds)), hashing, gzip.stdin),
    pipeline(gzip.stdout, createWriteStream(file)),
    ended,
  ]);
  if (code !== 0) throw new Error(`gzip ended with code ${code}`);
  const packed = createHash("sha256");
  let size = 0;
  for await (const chunk of createReadStream(file)) {
    packed.update(chunk);
    size += chunk.length;
  }
  return { file, size, digest: `sha256:${packed.digest("hex")}`, diffId: `sha256:${plain.digest("hex")}` };
}
