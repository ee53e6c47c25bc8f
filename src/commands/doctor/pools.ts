import { realpath } from "node:fs/promises";
import type { PoolConfig } from "../../config/schema.ts";
import { formatSize } from "../../config/size.ts";
import { filesystemSpace, reflinks } from "../../host/copies.ts";
import { flockStaysLocal } from "../../host/locks.ts";
import { listMounts, mountOf } from "../../host/mount-table.ts";
import { silent, within } from "../../host/within.ts";
import { readMarker } from "../../pools/marker.ts";
import { Problem } from "../../pools/problem.ts";
import { error, type Finding, ok, warning } from "./finding.ts";

/** Milliseconds after which a disk that has not answered is said to hang. */
const patienceMs = 5_000;

export async function poolFindings(pool: PoolConfig, nodeId: string): Promise<Finding[]> {
  const what = `pool ${pool.name}`;
  const found = await within(patienceMs, findings(what, pool, nodeId));
  if (found !== silent) return found;
  const fix = "see why its disk hangs: dmesg names a device that does, and processes in state D wait for it";
  return [error(what, `${pool.path} does not answer`, fix)];
}

async function findings(what: string, pool: PoolConfig, nodeId: string): Promise<Finding[]> {
  try {
    const path = await realpath(pool.path);
    return [await marked(what, pool, nodeId), ...(await fileSystem(what, pool, path))];
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    return [
      error(
        what,
        code === "ENOENT" ? `${pool.path} is not there` : `${pool.path}: ${code}`,
        code === "ENOENT" ? "make the folder, or mount its disk" : "run this as root",
      ),
    ];
  }
}

async function marked(what: string, pool: PoolConfig, nodeId: string): Promise<Finding> {
  try {
    const marker = await readMarker(pool.path);
    if (marker.shared !== pool.shared) {
      return error(
        what,
        `${pool.path} is ${marker.shared ? "shared" : "local"}`,
        `configure it with shared: ${marker.shared}`,
      );
    }
    if (!marker.shared && !marker.nodes.includes(nodeId)) {
      return error(
        what,
        `${pool.path} belongs to ${marker.nodes.join(", ")}, and this node is ${nodeId}`,
        "set nodeId, or use another folder",
      );
    }
    return ok(what, `${pool.path}: ${marker.backend}, ${marker.shared ? "shared" : "local"}, ${marker.uuid}`);
  } catch (cause) {
    const init = `holdfast pool init ${pool.path}${pool.backend === "image" ? "" : ` --backend ${pool.backend}`}${pool.shared ? " --shared" : ""}`;
    if (cause instanceof Problem && cause.code === "POOL_UNAVAILABLE") {
      return error(what, `${pool.path} is not a pool`, `mount its disk; if it is a new pool: ${init}`);
    }
    return error(what, cause instanceof Error ? cause.message : String(cause), "look at the pool's marker");
  }
}

async function fileSystem(what: string, pool: PoolConfig, path: string): Promise<Finding[]> {
  const mount = mountOf(path, await listMounts());
  const type = mount?.fsType ?? "unknown";
  const found: Finding[] = [];
  const { total, available } = await filesystemSpace(path);
  const room = `${type}, ${formatSize(available)} free of ${formatSize(total)}`;
  if (mount?.options.split(",").includes("ro")) {
    return [error(what, `${mount.target} is mounted read-only`, `mount -o remount,rw ${mount.target}`)];
  }
  found.push(
    available < total / 20
      ? warning(what, room, "it is nearly full: delete volumes or snapshots, or enlarge the disk")
      : ok(what, room),
  );
  if (pool.backend === "image") {
    found.push(
      (await reflinks(path))
        ? ok(what, "reflinks: snapshots and clones take constant time and no space")
        : warning(what, `no reflinks on ${type}: snapshots and clones are copies`, "put the pool on xfs or btrfs"),
    );
  }
  const local = pool.shared ? await flockStaysLocal(path) : undefined;
  if (local !== undefined)
    found.push(
      error(what, `locks do not reach the other nodes: ${local}`, "mount it so that flock reaches the server"),
    );
  return found;
}
