/**
 * Debian packages by apt, in a state folder of its own: the machine's own packages, sources and pins play no part.
 * apt checks the repository's signature and each package's checksum.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Package {
  readonly name: string;
  readonly version: string;
  /** Of the .deb file, in hex. */
  readonly sha256: string;
  /** The .deb file on this machine. */
  readonly file: string;
  /** Its control file: what dpkg would keep in its status. */
  readonly control: string;
}

/** Named as Debian names them. */
export type Architecture = "amd64" | "arm64";

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/**
 * Downloads the packages into `state`, which may hold those of an earlier run. `exact` gives versions and checksums that
 * they must have, by name; absent: the newest of the suite. Throws when apt can't get one.
 */
export function download(
  state: string,
  suite: string,
  architecture: Architecture,
  names: readonly string[],
  exact?: ReadonlyMap<string, { readonly version: string; readonly sha256: string }>,
): Package[] {
  const env = prepare(state, suite, architecture);
  const fetched = join(state, "fetched");
  rmSync(fetched, { recursive: true, force: true });
  mkdirSync(fetched);
  const wanted = names.map((name) => {
    if (exact === undefined) return name;
    const version = exact.get(name)?.version;
    if (version === undefined) throw new Error(`${name}: not in the list of exact packages`);
    return `${name}=${version}`;
  });
  apt(["-qq", "update"], state, env);
  apt(["-qq", "download", ...wanted], fetched, env);
  const packages = readdirSync(fetched).map((entry) => read(join(fetched, entry)));
  for (const { name, sha256 } of packages) {
    const expected = exact?.get(name)?.sha256;
    if (expected !== undefined && expected !== sha256) {
      throw new Error(`${name}: the checksum is ${sha256}, the list of exact packages says ${expected}`);
    }
  }
  const missing = names.filter((name) => !packages.some((one) => one.name === name));
  if (missing.length > 0) throw new Error(`apt did not bring ${missing.join(", ")}`);
  return packages.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Unpacks it into `folder`, which is made. */
export function unpack(file: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  execFileSync("dpkg-deb", ["--extract", file, folder]);
}

/** As read by `exactPackages`: a line each, with name, version and checksum. */
export function listOf(packages: readonly Package[]): string {
  return packages.map(({ name, version, sha256 }) => `${name} ${version} ${sha256}\n`).join("");
}

/** Reads what `listOf` wrote. */
export function exactPackages(text: string): Map<string, { version: string; sha256: string }> {
  const lines = text.split("\n").filter((line) => line !== "");
  return new Map(
    lines.map((line) => {
      const [name, version, sha256] = line.split(" ");
      if (!name || !version || !sha256) throw new Error(`not a package with its version and checksum: ${line}`);
      return [name, { version, sha256 }];
    }),
  );
}

function prepare(state: string, suite: string, architecture: Architecture): NodeJS.ProcessEnv {
  if (!existsSync(keyring)) throw new Error(`${keyring} is missing: install the package debian-archive-keyring`);
  const mirror = process.env["DEBIAN_MIRROR"] ?? "http://deb.debian.org/debian";
  const security = process.env["DEBIAN_SECURITY_MIRROR"] ?? "http://deb.debian.org/debian-security";
  for (const folder of ["lists/partial", "archives/partial"]) mkdirSync(join(state, folder), { recursive: true });
  const sources = [`${mirror} ${suite}`, `${mirror} ${suite}-updates`, `${security} ${suite}-security`];
  writeFileSync(
    join(state, "sources.list"),
    sources.map((source) => `deb [signed-by=${keyring}] ${source} main\n`).join(""),
  );
  writeFileSync(join(state, "status"), "");
  const settings = {
    "Dir::State": state,
    "Dir::State::lists": join(state, "lists"),
    "Dir::State::status": join(state, "status"),
    "Dir::Cache": state,
    "Dir::Etc::sourcelist": join(state, "sources.list"),
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::Etc::preferences": "/dev/null",
    "Dir::Etc::preferencesparts": "/dev/null",
    "Acquire::Languages": "none",
    "Acquire::Retries": "3",
    "APT::Architecture": architecture,
    "APT::Architectures": architecture,
    // apt would else give up root for a user who can't write here.
    "APT::Sandbox::User": "root",
  };
  const file = join(state, "apt.conf");
  writeFileSync(
    file,
    Object.entries(settings)
      .map(([key, value]) => `${key} "${value}";\n`)
      .join(""),
  );
  return { ...process.env, APT_CONFIG: file, LC_ALL: "C" };
}

function apt(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): void {
  try {
    execFileSync("apt-get", args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], timeout: 300_000 });
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error);
    throw new Error(`apt-get ${args.join(" ")} failed:\n${said}`);
  }
}

function read(file: string): Package {
  const field = (...args: string[]) => execFileSync("dpkg-deb", ["--field", file, ...args], { encoding: "utf8" });
  const sha256 = createHash("sha256").update(readFileSync(file)).digest("hex");
  return { name: field("Package").trim(), version: field("Version").trim(), sha256, file, control: field() };
}
