/**
 * Reading and writing: a published volume beside a bare loop device with the same file system on the same pool, and
 * beside the pool's own file system. The driver is not in the way of either; what is compared is how it sets devices up.
 */
import { mkdirSync, mkdtempSync } from "node:fs";
import { rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { filesystem } from "../src/host/filesystems/filesystem.ts";
import { attachLoop } from "../src/host/loop.ts";
import { mountFilesystem, unmount } from "../src/host/mounts.ts";
import { makePoolDisk } from "../test/support/pool-disk.ts";
import { run } from "../test/support/run.ts";
import type { Scratch } from "../test/support/scratch.ts";
import type { Bench } from "./support/bench.ts";
import { startDriver } from "./support/driver.ts";
import { atLeast, type Figure, median, type Table } from "./support/figure.ts";
import { Play } from "./support/orchestrator.ts";

const mib = 2 ** 20;
const gib = 2 ** 30;
const jobs = [
  { name: "random read, 4 KiB", args: ["--rw=randread", "--bs=4k", "--iodepth=16"] },
  { name: "random write, 4 KiB", args: ["--rw=randwrite", "--bs=4k", "--iodepth=16"] },
  { name: "sequential read, 1 MiB", args: ["--rw=read", "--bs=1m", "--iodepth=4"] },
  { name: "sequential write, 1 MiB", args: ["--rw=write", "--bs=1m", "--iodepth=4"] },
] as const;

export async function fio(bench: Bench): Promise<readonly Table[]> {
  const disk = await makePoolDisk(bench.scratch, "xfs", { bytes: 24 * gib });
  const pool = join(disk.path, "image");
  mkdirSync(pool);
  const driver = await startDriver(bench.scratch, { program: bench.program, pools: [`image=image:${pool},size=1Ti`] });
  const mounts = mkdtempSync(join(bench.scratch.path, "mounts-"));
  const own = join(disk.path, "own");
  mkdirSync(own);
  const figures: Figure[] = [];
  for (const fsType of ["ext4", "xfs"]) {
    const kind = { pool: "image", access: "mount", fsType, size: 2 * gib } as const;
    const volume = new Play(driver.client, kind, mounts, `fio-${fsType}`);
    await volume.create();
    await volume.stage();
    await volume.publish();
    const bare = await bareLoop(bench.scratch, disk.path, mounts, fsType);
    for (const job of jobs) {
      bench.say(`${fsType}, ${job.name}`);
      figures.push(await compare(bench, `${fsType}, ${job.name}`, job.args, [volume.targetPath, bare.path, own]));
    }
    await bare.end();
    await volume.unpublish();
    await volume.unstage();
    await volume.remove();
  }
  await driver.stop();
  await disk.unmount();
  return [
    { title: "fio on a published volume, direct I/O, beside a bare loop device with the same file system", figures },
  ];
}

/** The three places take turns; medians are compared. */
async function compare(
  bench: Bench,
  name: string,
  args: readonly string[],
  places: readonly string[],
): Promise<Figure> {
  const results: number[][] = places.map(() => []);
  for (let round = 0; round < (bench.quick ? 3 : 7); round += 1) {
    // Each is first once: what the one before left in caches and queues falls on all.
    for (let turn = 0; turn < places.length; turn += 1) {
      const at = (round + turn) % places.length;
      results[at]?.push(await bytesASecond(places[at] ?? "", args, bench.quick ? 1 : 2));
    }
  }
  const [volume = Number.NaN, bare = Number.NaN, pool = Number.NaN] = results.map((each) => median(each) / mib);
  return {
    name,
    value: volume,
    unit: "MiB/s",
    beside: { name: "bare loop", value: bare, ratio: volume / bare },
    target: atLeast(volume / bare, 0.9, "of the bare loop device"),
    more: { poolMibS: pool, ofThePool: volume / pool },
    note: `${(volume / pool).toFixed(2)} of the pool's own ${pool.toFixed(0)} MiB/s`,
  };
}

async function bytesASecond(folder: string, args: readonly string[], seconds: number): Promise<number> {
  // The file is written whole before its first use, so that no job allocates.
  const file = join(folder, "fio.dat");
  const common = ["--name=job", `--filename=${file}`, "--size=512m", "--ioengine=libaio", "--direct=1"];
  const made = await run("stat", ["-c", "%b", file]).catch(() => "0");
  if (Number(made) < 1024) {
    await run("fio", [...common, "--rw=write", "--bs=1m", "--iodepth=4", "--end_fsync=1", "--overwrite=0"]);
  }
  const timed = ["--time_based", `--runtime=${seconds}`, "--ramp_time=0.3", "--output-format=json", "--overwrite=1"];
  const report = JSON.parse(await run("fio", [...common, ...args, ...timed])) as {
    readonly jobs: readonly {
      readonly read: { readonly bw_bytes: number };
      readonly write: { readonly bw_bytes: number };
    }[];
  };
  const [job] = report.jobs;
  return (job?.read.bw_bytes ?? 0) + (job?.write.bw_bytes ?? 0);
}

async function bareLoop(
  scratch: Scratch,
  pool: string,
  mounts: string,
  fsType: string,
): Promise<{ readonly path: string; end(): Promise<void> }> {
  const data = join(pool, `bare-${fsType}.img`);
  const path = join(mounts, `bare-${fsType}`);
  await writeFile(data, "");
  await truncate(data, 2 * gib);
  mkdirSync(path);
  const fs = filesystem(fsType);
  if (!fs) throw new Error(`no file system ${fsType}`);
  const loop = await attachLoop({ path: data, autoclear: true, blockSize: 4096 });
  try {
    await fs.format(loop.device, { fresh: true });
    await mountFilesystem({ device: loop.device, target: path, fsType, flags: fs.mountFlags });
  } finally {
    loop.close();
  }
  const end = async () => {
    if (await unmount(path)) await rm(data);
  };
  scratch.later(end);
  return { path, end };
}
