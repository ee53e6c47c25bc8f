/**
 * Builds the container image without a container engine: `npm run image`, or
 * `npm run image -- [--output FILE] [--reference NAME:TAG] [--packages FILE]`.
 * The same sources, npm packages and Debian packages give the same digest. `--packages` takes the list that an earlier
 * build left beside its archive (also in the image, /usr/share/holdfast/packages) and demands exactly these.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { arch } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { writeImage } from "./oci.ts";
import { type Architecture, download, exactPackages, listOf } from "./packages.ts";
import { manifestOf, nodeTree, programTree } from "./program.ts";
import { packageNames, suite, systemTree } from "./system.ts";
import { bytesOf } from "./tree.ts";

const repository = join(import.meta.dirname, "../..");
const cache = join(repository, ".cache/image");

const { values } = parseArgs({
  options: { output: { type: "string" }, reference: { type: "string" }, packages: { type: "string" } },
});
const manifest = manifestOf(repository);
const reference = values.reference ?? `localhost/holdfast:${manifest.version}`;
const output = resolve(values.output ?? join(cache, "holdfast.tar"));

const architecture: Architecture = arch() === "arm64" ? "arm64" : "amd64";
const exact = values.packages === undefined ? undefined : exactPackages(readFileSync(values.packages, "utf8"));
mkdirSync(dirname(output), { recursive: true });
mkdirSync(cache, { recursive: true });
// Two builds at once must not meet: apt's state and the layers lie in a folder of this one.
const scratch = mkdtempSync(join(cache, "build-"));
try {
  const packages = download(join(scratch, "apt"), suite, architecture, packageNames, exact);
  const layers = [
    {
      about: `${packages.length} packages of Debian ${suite}`,
      tree: systemTree(packages, architecture, join(scratch, "unpacked")),
    },
    { about: "Node", tree: nodeTree(repository, architecture) },
    { about: `Holdfast ${manifest.version}`, tree: programTree(repository, scratch) },
  ];
  const part = `${output}.part`;
  const digest = await writeImage(
    {
      reference,
      architecture,
      seconds: sourceDate(),
      labels: labels(),
      environment: [
        "PATH=/usr/sbin:/usr/bin",
        // There are no types to take off, and the root is read-only.
        "NODE_DISABLE_COMPILE_CACHE=1",
      ],
      entrypoint: ["/usr/bin/holdfast"],
      layers,
    },
    part,
    scratch,
  );
  writeFileSync(`${output}.packages`, listOf(packages));
  renameSync(part, output);
  const bytes = layers.reduce((sum, { tree }) => sum + bytesOf(tree), 0);
  const mb = (count: number) => `${(count / 1e6).toFixed(1)} MB`;
  console.log(`image    ${reference}`);
  console.log(`digest   ${digest}`);
  console.log(`archive  ${output} (${mb(statSync(output).size)})`);
  console.log(`unpacked ${mb(bytes)}`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** SOURCE_DATE_EPOCH, else the time of the commit, else the beginning of time. */
function sourceDate(): number {
  const given = process.env["SOURCE_DATE_EPOCH"] ?? git("log", "-1", "--format=%ct");
  return given === undefined ? 0 : Number(given);
}

function labels(): Record<string, string> {
  const changed = git("status", "--porcelain", "--", "src", "bin", "deploy/image", "package-lock.json");
  const revision = git("rev-parse", "HEAD");
  return {
    "org.opencontainers.image.title": "Holdfast",
    "org.opencontainers.image.description": manifest.description,
    "org.opencontainers.image.version": manifest.version,
    ...(revision === undefined
      ? {}
      : { "org.opencontainers.image.revision": changed ? `${revision}-changed` : revision }),
    "org.opencontainers.image.licenses": manifest.license,
  };
}

/** Absent: no git, or not in a repository. */
function git(...args: string[]): string | undefined {
  try {
    return execFileSync("git", args, { cwd: repository, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined;
  }
}
