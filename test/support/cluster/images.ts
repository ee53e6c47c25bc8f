/** Container images without a registry or an engine: a static busybox in the format of `docker save`. */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../run.ts";
import type { Scratch } from "../scratch.ts";

/** What test pods run. */
export const testImage = "holdfast.local/busybox:test";
/** What holds a pod's namespaces open; it needs only to wait. */
export const pauseImage = "holdfast.local/pause:test";

/** Makes an archive with both; for `ctr images import`. */
export async function makeTestImages(scratch: Scratch): Promise<string> {
  const folder = mkdtempSync(join(scratch.path, "images-"));
  const root = join(folder, "root");
  for (const path of ["bin", "etc", "tmp", "proc", "sys", "dev", "data"])
    mkdirSync(join(root, path), { recursive: true });
  const busybox = (await run("sh", ["-c", "command -v busybox"])).trim();
  cpSync(busybox, join(root, "bin/busybox"), { dereference: true });
  for (const name of (await run(busybox, ["--list"])).trim().split("\n")) {
    if (name !== "busybox") symlinkSync("busybox", join(root, "bin", name));
  }
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/:/bin/sh\n");
  await run("tar", ["--create", "--file", join(folder, "layer.tar"), "--owner=0", "--group=0", "-C", root, "."]);
  const sum = createHash("sha256")
    .update(readFileSync(join(folder, "layer.tar")))
    .digest("hex");
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const manifest = [testImage, pauseImage].map((tag) => {
    const command = tag === pauseImage ? ["/bin/sleep", "1000000"] : ["/bin/sh"];
    const config = `${tag.replaceAll(/\W/g, "-")}.json`;
    const image = {
      architecture,
      os: "linux",
      config: { Env: ["PATH=/bin"], Cmd: command },
      rootfs: { type: "layers", diff_ids: [`sha256:${sum}`] },
    };
    writeFileSync(join(folder, config), JSON.stringify(image));
    return { Config: config, RepoTags: [tag], Layers: ["layer.tar"] };
  });
  writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
  const archive = join(folder, "images.tar");
  const files = ["manifest.json", "layer.tar", ...manifest.map((entry) => entry.Config)];
  await run("tar", ["--create", "--file", archive, "-C", folder, ...files]);
  return archive;
}
