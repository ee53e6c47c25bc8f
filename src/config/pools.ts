import { ConfigError } from "./config-error.ts";
import { isModulePath } from "./pool-flag.ts";
import type { PoolConfig, PoolLayer } from "./schema.ts";

/** A pool as the driver opens it. */
export function poolOf({ name, backend, path, shared = false, options, ...rest }: PoolLayer): PoolConfig {
  return { name, backend, path, shared, options: { ...rest, extra: options ?? {} } };
}

/** The file's pools, each replaced by the flag's of the same name, and then the flag's others. */
export function mergePools(file: readonly PoolConfig[], flags: readonly PoolConfig[]): readonly PoolConfig[] {
  refuseTwins(file, "name", "pools in the configuration file");
  refuseTwins(flags, "name", "--pool");
  const replaced = file.map((pool) => flags.find((flag) => flag.name === pool.name) ?? pool);
  return [...replaced, ...flags.filter((flag) => !file.some((pool) => pool.name === flag.name))];
}

/** What can be said about the pools without looking at the disk. Answers whether they are shared. Throws ConfigError. */
export function checkPools(pools: readonly PoolConfig[]): boolean {
  if (pools.length === 0) {
    throw new ConfigError(
      "pools: no pool is configured; add one to the configuration file, or --pool fast=image:/srv/fast",
    );
  }
  refuseTwins(pools, "path", "pools");
  const shared = pools.find((pool) => pool.shared);
  const local = pools.find((pool) => !pool.shared);
  if (shared && local) {
    throw new ConfigError(
      `pools: '${shared.name}' is shared and '${local.name}' is local; serve them by two drivers, each with its own name and endpoint`,
    );
  }
  for (const pool of pools) checkBackend(pool);
  return shared !== undefined;
}

function checkBackend(pool: PoolConfig): void {
  const refuse = (key: string, why: string) => {
    throw new ConfigError(`pool '${pool.name}': ${key}: ${why}`);
  };
  if (pool.path.includes("\0")) refuse("path", "has a NUL in it");
  if (pool.path === "/") refuse("path", "is the root of the file system; give the pool a folder of its own");
  if (isModulePath(pool.backend)) return;
  if (pool.backend !== "image" && pool.backend !== "directory") {
    refuse(
      "backend",
      `'${pool.backend}' is not known; write image, directory, or the path to a module, as ./my-pool.ts`,
    );
  }
}

function refuseTwins(pools: readonly PoolConfig[], key: "name" | "path", where: string): void {
  const seen = new Set<string>();
  for (const pool of pools) {
    if (seen.has(pool[key]))
      throw new ConfigError(`${where}: two pools have the ${key} '${pool[key]}'; give each its own`);
    seen.add(pool[key]);
  }
}
