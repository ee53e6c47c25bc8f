/** The layers of Node and of our program: the sources without their types, and what they import. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Architecture } from "./packages.ts";
import { addBelow, addCopy, addText, type Tree } from "./tree.ts";

export interface Manifest {
  readonly version: string;
  readonly description: string;
  readonly license: string;
}

/** Where the program lies in the image. */
export const home = "opt/holdfast";

const nodeNames = { amd64: "x64", arm64: "arm64" } as const;

export function manifestOf(repository: string): Manifest {
  return JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as Manifest;
}

export function nodeTree(repository: string, architecture: Architecture): Tree {
  const folder = `node_modules/node-linux-${nodeNames[architecture]}`;
  if (!existsSync(join(repository, folder)))
    throw new Error(`${folder} is missing: run npm install on that architecture`);
  const tree: Tree = new Map();
  for (const file of ["bin/node", "LICENSE", "package.json"]) {
    addCopy(tree, `${home}/${folder}/${file}`, join(repository, folder, file));
  }
  return tree;
}

/** The types are taken off into `scratch`, which must stay until the layer is written. */
export function programTree(repository: string, scratch: string): Tree {
  const tree: Tree = new Map();
  const compiled = join(scratch, "src");
  takeTypesOff(repository, compiled, scratch);
  addBelow(tree, `${home}/src`, compiled, () => true);
  for (const file of ["bin/holdfast", "bin/holdfast-node", "LICENSE"])
    addCopy(tree, `${home}/${file}`, join(repository, file));
  addText(tree, `${home}/package.json`, packageJson(repository));
  tree.set("usr/bin/holdfast", { kind: "link", target: `/${home}/bin/holdfast` });
  for (const folder of productionPackages(repository)) {
    // Of others' packages only what runs: no types, sources, maps, manuals, tests.
    addBelow(tree, `${home}/${folder}`, join(repository, folder), (path) => !superfluous(path));
  }
  return tree;
}

/**
 * Node takes types off at each start, which costs 15 MB and a third of the time to ready; its compile cache mends that,
 * but is bound to the features of the CPU that made it and never comes out the same twice. Plain JavaScript is both.
 */
function takeTypesOff(repository: string, into: string, scratch: string): void {
  const settings = join(scratch, "tsconfig.json");
  writeFileSync(
    settings,
    JSON.stringify({
      extends: join(repository, "tsconfig.json"),
      compilerOptions: {
        noEmit: false,
        rewriteRelativeImportExtensions: true,
        removeComments: true,
        noCheck: true,
        rootDir: join(repository, "src"),
        outDir: into,
        typeRoots: [join(repository, "node_modules/@types")],
      },
      include: [join(repository, "src")],
      exclude: [join(repository, "src/**/*.test.ts"), join(repository, "src/**/test-*.ts")],
    }),
  );
  execFileSync(join(repository, "node_modules/.bin/tsc"), ["-p", settings], { stdio: "inherit" });
}

/** As ours, with JavaScript where it names a source. */
function packageJson(repository: string): string {
  const { name, version, description, license, type, exports } = JSON.parse(
    readFileSync(join(repository, "package.json"), "utf8"),
  ) as Record<string, unknown>;
  const text = JSON.stringify({ name, version, description, license, private: true, type, exports }, null, 2);
  return `${text.replaceAll('.ts"', '.js"')}\n`;
}

interface Needs {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** The folders of what the program imports, of what these import, and so on. Peers are left out: none of ours needs one. */
function productionPackages(repository: string): string[] {
  const found = new Set<string>();
  const follow = (folder: string) => {
    const file = readFileSync(join(repository, folder, "package.json"), "utf8");
    const { dependencies, optionalDependencies } = JSON.parse(file) as Needs;
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      if (/^(@types\/|undici-types$|node-linux-)/.test(name)) continue;
      const place = nearest(repository, folder, name);
      // An optional one may be missing, as koffi's builds for other platforms are.
      if (place === undefined && optionalDependencies?.[name] === undefined)
        throw new Error(`${name} is not installed`);
      if (place === undefined || found.has(place)) continue;
      found.add(place);
      follow(place);
    }
  };
  follow("");
  return [...found];
}

/** Where Node would find it from `folder`: in the nearest node_modules upwards. */
function nearest(repository: string, folder: string, name: string): string | undefined {
  for (let at = folder; ; at = at.slice(0, Math.max(0, at.lastIndexOf("/node_modules/")))) {
    const place = join(at, "node_modules", name);
    if (existsSync(join(repository, place))) return place;
    if (at === "") return undefined;
  }
}

/** `path` within its package. Folders only at its top: deeper ones of these names hold what runs, as dist/doc of yaml. */
function superfluous(path: string): boolean {
  const name = basename(path);
  if (/^licen[cs]e/i.test(name)) return false;
  if (path === name && /^(node_modules|test|tests|docs?|benchmarks?|examples?|vendor|musl_.*|\..*)$/.test(name))
    return true;
  return /\.(ts|mts|cts|map|md|markdown|c|cc|h|inc|html|ico|sh|flow|lock|gyp|gypi)$/.test(name);
}
