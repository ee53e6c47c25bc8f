/** What every pool of a folder must do, tried on each built-in backend. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { setTimeout } from "node:timers/promises";
import { lockFile } from "../host/locks.ts";
import { backend as directory } from "./directory/backend.ts";
import { keyOf, newNonce } from "./ids.ts";
import { backend as image } from "./image/backend.ts";
import { initPool } from "./marker.ts";
import type { NewVolume, Pool, Progress } from "./pool.ts";
import { Problem } from "./problem.ts";
import { listAside, makeAside } from "./shelf.ts";

const mebibyte = 1024 * 1024;
const progress: Progress = { signal: new AbortController().signal, step: () => undefined, child: () => undefined };
const work = {
  ...progress,
  hold: <T>(_ms: number, cut: (still: "idle") => Promise<T>) => cut("idle"),
  finish: (_device: string, latch: { readonly state: "blank" }) => Promise.resolve(latch),
} as Parameters<Pool["create"]>[1];

for (const backend of [image, directory]) {
  const named = (what: string) => `${backend.name}: ${what}`;

  async function withPool(
    use: (open: () => Promise<Pool>, folder: string) => Promise<void>,
    size = 100 * mebibyte,
  ): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-test-"));
    const pools: Pool[] = [];
    try {
      const { uuid } = await initPool({ folder, backend: backend.name, shared: false, node: "n1" });
      await use(async () => {
        const pool = await backend.open(
          { name: "p", folder, uuid, shared: false, node: "n1", maxVolumes: 0 },
          { size, extra: {} },
        );
        pools.push(pool);
        return pool;
      }, folder);
    } finally {
      for (const pool of pools) await pool.stop();
      await rm(folder, { recursive: true });
    }
  }

  function volume(pool: Pool, name: string, size = mebibyte): NewVolume {
    const key = keyOf("volume", pool.uuid, name);
    return { key, nonce: newNonce(), name, size, access: "mount", fsType: "", mkfsOptions: [], parameters: {} };
  }

  test(named("a prepared latch counts when it is set, and one that is dropped leaves nothing"), () =>
    withPool(async (open, folder) => {
      const pool = await open();
      const made = await pool.create(volume(pool, "a"), work);
      const beside = async () =>
        (await readdir(join(folder, "volumes", made.key))).filter((name) => name.startsWith("."));
      const latch = { state: "formatted", fsType: "ext4", size: made.size } as const;
      const dropped = pool.prepareLatch?.(made, latch);
      const prepared = pool.prepareLatch?.(made, latch);
      await dropped?.drop();
      await setTimeout(20);
      // Another process sees what this one would find after a crash.
      assert.deepEqual(await (await open()).latch(made), { state: "blank" });
      assert.equal((await beside()).length, 1);
      await prepared?.set();
      assert.deepEqual(await (await open()).latch(made), latch);
      assert.deepEqual(await pool.latch(made), latch);
      assert.deepEqual(await beside(), []);
    }),
  );

  test(named("a volume is there for everybody once created, also after the process, and gone once removed"), () =>
    withPool(async (open, folder) => {
      const pool = await open();
      const made = await pool.create(volume(pool, "a"), work);
      const other = await open();
      assert.deepEqual(await other.find(made.key), made);
      assert.equal(await pool.find(keyOf("volume", pool.uuid, "b")), undefined);
      assert.deepEqual((await stat(join(folder, "volumes", made.key))).mode & 0o077, 0);
      await pool.remove(made);
      await pool.remove(made);
      assert.equal(await other.find(made.key), undefined);
    }),
  );

  test(
    named("a look that expects nothing finds what is there, and never takes a missing pool for an absent volume"),
    () =>
      withPool(async (open, folder) => {
        const pool = await open();
        const made = await (await open()).create(volume(pool, "a"), work);
        assert.deepEqual(await pool.find(made.key, "absent"), made);
        const other = keyOf("volume", pool.uuid, "b");
        assert.equal(await pool.find(other, "absent"), undefined);
        await mkdir(join(folder, "volumes", other));
        await assert.rejects(pool.find(other, "absent"), { code: "RECORD_DAMAGED" });
        await rename(join(folder, "holdfast.json"), join(folder, "away.json"));
        await assert.rejects(pool.find(keyOf("volume", pool.uuid, "c"), "absent"), { code: "POOL_UNAVAILABLE" });
        await rename(join(folder, "away.json"), join(folder, "holdfast.json"));
      }),
  );

  test(named("of two creations of one name, one wins"), () =>
    withPool(async (open) => {
      const [a, b] = [await open(), await open()];
      const outcomes = await Promise.allSettled([a.create(volume(a, "x"), work), b.create(volume(b, "x"), work)]);
      const lost = outcomes.filter((each) => each.status === "rejected");
      assert.equal(lost.length, 1);
      assert.ok(lost[0]?.reason instanceof Problem && lost[0].reason.code === "NAME_TAKEN");
      assert.equal((await a.capacity()).promised, mebibyte);
    }),
  );

  test(named("promises never exceed the pool, by one controller or by two, and come back with deletion"), () =>
    withPool(async (open) => {
      const [a, b] = [await open(), await open()];
      const create = async (n: number) => {
        const [pool, wanted] = [n % 2 ? a : b, volume(a, `v${n}`, 10 * mebibyte)];
        // As each call has it: to the other controller what nobody has locked is a dead one's.
        const held = await lockFile(pool.lockPath("volume", wanted.key));
        assert.ok("release" in held);
        try {
          return await pool.create(wanted, work);
        } finally {
          await held.release();
        }
      };
      const outcomes = await Promise.allSettled(Array.from({ length: 24 }, (_, n) => create(n)));
      const made = outcomes.filter((each) => each.status === "fulfilled").map((each) => each.value);
      assert.ok(made.length <= 10, `${made.length} volumes of 10 MiB in 100 MiB`);
      for (const each of outcomes) {
        if (each.status === "rejected") assert.match(String(each.reason), /POOL_FULL/);
      }
      assert.equal((await b.capacity()).promised, made.length * 10 * mebibyte);
      for (const each of made) await a.remove(each);
      while ((await a.capacity()).promised > 0) await setTimeout(5);
      assert.equal((await b.capacity()).promised, 0);
    }),
  );

  test(named("growing counts, and not beyond the pool"), () =>
    withPool(async (open) => {
      const pool = await open();
      const made = await pool.create(volume(pool, "a"), work);
      const grown = await pool.grow(made, 60 * mebibyte);
      assert.equal(grown.size, 60 * mebibyte);
      assert.deepEqual(await pool.find(made.key), grown);
      assert.deepEqual(await pool.grow(grown, mebibyte), grown);
      await assert.rejects(pool.grow(grown, 101 * mebibyte), /POOL_FULL.*/);
      assert.equal((await pool.capacity()).available, 40 * mebibyte);
    }),
  );

  test(named("pages in order, each volume once, whatever goes between two pages"), () =>
    withPool(async (open) => {
      const pool = await open();
      const made = [];
      for (let n = 0; n < 25; n++) made.push(await pool.create(volume(pool, `v${n}`), work));
      const seen: string[] = [];
      let after: string | undefined;
      do {
        const page = await pool.list(after, 10);
        seen.push(...page.entries.map((each) => each.name));
        after = page.next;
        const gone = made.find((each) => each.key === page.entries[0]?.key);
        if (gone) await pool.remove(gone);
      } while (after !== undefined);
      assert.equal(new Set(seen).size, 25);
      assert.equal(seen.length, 25);
    }),
  );

  test(named("the start takes away what a crash left half-made and finishes deletions"), () =>
    withPool(async (open, folder) => {
      const pool = await open();
      const made = await pool.create(volume(pool, "a"), work);
      const half = await makeAside(folder, "volume", keyOf("volume", pool.uuid, "half"), mebibyte);
      await writeFile(join(half.path, "data.img"), "half");
      await writeFile(pool.lockPath("volume", made.key), "");
      const held = await lockFile(pool.lockPath("snapshot", made.key));
      assert.ok("release" in held);
      await pool.recover();
      assert.deepEqual(await listAside(folder, "building"), []);
      // Of the locks, what a process has is its own.
      const locks = (await readdir(join(folder, "locks"))).filter((name) => !name.startsWith("spare"));
      assert.deepEqual(locks, [`snapshot-${made.key}`]);
      await held.release();
      assert.deepEqual(await pool.find(made.key), made);
    }),
  );

  test(named("what a crash left goes too where a call has its entry when the pool is tidied, once that lets go"), () =>
    withPool(async (open, folder) => {
      const pool = await open();
      const key = keyOf("volume", pool.uuid, "half");
      await makeAside(folder, "volume", key, mebibyte);
      const held = await lockFile(pool.lockPath("volume", key));
      assert.ok("release" in held);
      await pool.recover();
      assert.equal((await pool.capacity()).promised, mebibyte);
      await held.release();
      for (let n = 0; n < 300 && (await listAside(folder, "building")).length > 0; n++) await setTimeout(10);
      assert.deepEqual(await listAside(folder, "building"), []);
      assert.equal((await pool.capacity()).promised, 0);
    }),
  );

  test(named("a promise is not refused for what a dead server had begun, not even of the same name"), () =>
    withPool(async (open, folder) => {
      const pool = await open();
      for (const name of ["another", "a"]) {
        await makeAside(folder, "volume", keyOf("volume", pool.uuid, name), 40 * mebibyte);
      }
      const wanted = volume(pool, "a", 80 * mebibyte);
      // As a call has it.
      const held = await lockFile(pool.lockPath("volume", wanted.key));
      assert.ok("release" in held);
      await pool.create(wanted, work);
      await held.release();
      assert.deepEqual(await listAside(folder, "building"), []);
      assert.equal((await pool.capacity()).promised, 80 * mebibyte);
    }),
  );

  test(named("a damaged record names its file, and the other volumes are listed"), () =>
    withPool(async (open, folder) => {
      const first = await open();
      const bad = await first.create(volume(first, "bad"), work);
      const good = await first.create(volume(first, "good"), work);
      const record = join(folder, "volumes", bad.key, "record.json");
      for (const text of ["", "{", "[]", '{"version":1}', JSON.stringify({ ...good, version: 1 })]) {
        await writeFile(record, text);
        await assert.rejects(first.find(bad.key), (error) => {
          assert.ok(error instanceof Problem && error.code === "RECORD_DAMAGED", String(error));
          return error.message.includes(record);
        });
        assert.deepEqual((await first.list(undefined, 10)).entries, [good]);
      }
      await writeFile(record, JSON.stringify({ ...bad, version: 99 }));
      await assert.rejects(first.find(bad.key), /POOL_NEWER/);
      for (const pool of [first, await open()]) assert.deepEqual((await pool.list(undefined, 10)).entries, [good]);
    }),
  );

  test(named("what stands in a record's place and is no file is damage, and nobody waits for it"), () =>
    withPool(async (open, folder) => {
      const pool = await open();
      const { key } = await pool.create(volume(pool, "a"), work);
      const record = join(folder, "volumes", key, "record.json");
      const right = await readFile(record);
      await writeFile(join(folder, "copy"), right);
      const puts = [
        () => execFileSync("mkfifo", [record]),
        () => execFileSync("mknod", [record, "c", "1", "5"]),
        () => symlink(join(folder, "copy"), record),
        () => mkdir(record),
        async () => {
          await writeFile(record, "");
          await truncate(record, 2 ** 40);
        },
      ];
      for (const put of puts) {
        await rm(record, { recursive: true });
        await put();
        await assert.rejects(pool.find(key), { code: "RECORD_DAMAGED" });
        await assert.rejects((await open()).find(key), { code: "RECORD_DAMAGED" });
      }
      await rm(record);
      await writeFile(record, right);
      assert.equal((await pool.find(key))?.name, "a");
    }),
  );

  test(named("of a volume whose folder was moved away and linked, a removal takes the link alone"), () =>
    withPool(async (open, folder) => {
      const pool = await open();
      const made = await pool.create(volume(pool, "a"), work);
      const place = join(folder, "volumes", made.key);
      const elsewhere = await mkdtemp(join(tmpdir(), "holdfast-test-"));
      const [there, planted] = [join(elsewhere, "there"), join(folder, "building", `volume-${made.key}-00-4096`)];
      await rename(place, there);
      await symlink(there, place);
      await symlink(there, planted);
      const before = await readdir(there);
      await pool.remove(made);
      for (let n = 0; n < 100 && (await listAside(folder, "trash")).length > 0; n++) await setTimeout(10);
      await pool.recover();
      for (const where of ["trash", "building"] as const) assert.deepEqual(await listAside(folder, where), []);
      assert.deepEqual(await readdir(there), before);
      await rm(elsewhere, { recursive: true });
    }),
  );

  test(named("a pool that is not there is unavailable, never empty"), () =>
    withPool(async (open, folder) => {
      const pool = await open();
      const made = await pool.create(volume(pool, "a"), work);
      await rm(folder, { recursive: true });
      await assert.rejects(pool.find(made.key), /POOL_UNAVAILABLE/);
      assert.match((await pool.unavailable()) ?? "", /not there/);
      await assert.rejects(initPool({ folder, backend: backend.name, shared: false, node: "n1" }), /is not there/);
      await import("node:fs/promises").then((fs) => fs.mkdir(folder, { recursive: true }));
    }),
  );

  test(named("what a folder is stays: another backend, node or sharing is refused, the same is found again"), () =>
    withPool(async (_open, folder) => {
      const same = await initPool({ folder, backend: backend.name, shared: false, node: "n1" });
      assert.equal((await initPool({ folder, backend: backend.name, shared: false, node: "n1" })).uuid, same.uuid);
      await assert.rejects(initPool({ folder, backend: backend.name, shared: false, node: "n2" }), /FIELD_INVALID/);
      await assert.rejects(initPool({ folder, backend: backend.name, shared: true, node: "n1" }), /FIELD_INVALID/);
      assert.ok((await readdir(folder)).includes("holdfast.json"));
    }),
  );

  test(named("a folder with other things in it, or with volumes and no marker, does not become a pool"), () =>
    withPool(async (open, folder) => {
      const init = (path: string) => initPool({ folder: path, backend: backend.name, shared: false, node: "n1" });
      const pool = await open();
      await pool.create(volume(pool, "a"), work);
      await rm(join(folder, "holdfast.json"));
      await assert.rejects(init(folder), /marker holdfast.json is missing/);
      const used = join(folder, "used");
      await mkdir(join(used, "lost+found"), { recursive: true, mode: 0o755 });
      await mkdir(join(used, "volumes"));
      await writeFile(join(used, "passwd"), "");
      await assert.rejects(init(used), /not empty: it holds passwd/);
      assert.deepEqual(
        [(await readdir(used)).sort(), (await stat(used)).mode & 0o777],
        [["lost+found", "passwd", "volumes"], 0o755],
      );
      await rm(join(used, "passwd"));
      await init(used);
    }),
  );
}
