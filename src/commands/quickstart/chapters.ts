/** The story, from an empty folder to an empty folder. */
import { randomBytes } from "node:crypto";
import { appendFileSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { formatDuration } from "../../config/duration.ts";
import { formatSize } from "../../config/size.ts";
import { CsiError } from "../../csi/client.ts";
import { DriverProcess, readyAfter } from "./driver-process.ts";
import { filesBelow, filesOfVolumes, loopsBelow, mountsBelow } from "./host-view.ts";
import { type Made, Orchestrator } from "./orchestrator.ts";
import { clear, makeDisk, type Scratch } from "./scratch.ts";
import { CheckFailed, type Story } from "./story.ts";
import { compare, copyTree, manifestOf } from "./tree.ts";
import { checkLines, Writer } from "./writer.ts";

const Mi = 1024 ** 2;
const Gi = 1024 ** 3;
const repository = join(import.meta.dirname, "../../..");
const notCopied = new Set(["node_modules", ".git", ".cache"]);
const journal = "journal.txt";

export class Chapters {
  readonly #story: Story;
  readonly #scratch: Scratch;
  #driver: DriverProcess | undefined;
  #orchestrator: Orchestrator | undefined;

  constructor(story: Story, scratch: Scratch) {
    this.#story = story;
    this.#scratch = scratch;
  }

  get driver(): DriverProcess {
    if (this.#driver === undefined) throw new CheckFailed("the driver was not started");
    return this.#driver;
  }

  get #csi(): Orchestrator {
    if (this.#orchestrator === undefined) throw new CheckFailed("the driver was not started");
    return this.#orchestrator;
  }

  /** Everything up to a driver that answers. */
  async begin(): Promise<void> {
    const story = this.#story;
    story.chapter("A pool and its driver");
    await story.step("mkfs.xfs, mount", () => {
      makeDisk(this.#scratch, 16 * Gi);
      return { text: `a sparse ${formatSize(16 * Gi)} file with xfs: copies are reflinks there` };
    });
    await story.step("holdfast pool init", () => DriverProcess.initPool(this.#scratch));
    await this.#start();
    await story.step("GetPluginInfo", async () => {
      const { name, vendorVersion } = await this.driver.client.identity.getPluginInfo({});
      return { text: `${name} ${vendorVersion}` };
    });
  }

  async tell(): Promise<void> {
    const { data, before } = await this.#files();
    const { snapshot, lines } = await this.#snapshot(data);
    const { copies, changed } = await this.#sideBySide(data, snapshot, before, lines);
    await this.#growth(data, changed);
    const raw = await this.#rawBlock();
    const crashed = await this.#killed(data, changed);
    await this.#statistics(data, raw);
    await this.#goodbye([data, ...copies, raw, ...crashed], snapshot);
  }

  async #files(): Promise<{ data: Made; before: Map<string, string> }> {
    const story = this.#story;
    story.chapter("A volume, and this repository in it");
    const data = await this.#csi.create("data", { size: Gi, fsType: "xfs" });
    const target = await this.#csi.use(data);
    const { manifest, bytes } = await manifestOf(repository, notCopied);
    await story.step("copy", async () => {
      await copyTree(repository, target, manifest);
      return { text: `${manifest.size} files, ${formatSize(bytes)}, each made durable` };
    });
    await this.#verify("the volume", target, manifest);
    return { data, before: manifest };
  }

  async #snapshot(data: Made): Promise<{ snapshot: string; lines: { least: number; most: number } }> {
    const story = this.#story;
    const target = this.#scratch.target(data.name);
    story.chapter("A snapshot while it is written to");
    const writer = await Writer.start(join(target, journal));
    let least = 0;
    let snapshot: string;
    try {
      await sleep(50);
      least = writer.lines;
      snapshot = await this.#csi.snapshot("before", data);
    } finally {
      await writer.stop();
    }
    story.note(
      `${writer.lines} lines were written and synced meanwhile; the slowest took ${formatDuration(writer.longest)}`,
    );
    await story.step("change", () => {
      appendFileSync(join(target, "README.md"), "\nChanged after the snapshot.\n");
      rmSync(join(target, "package.json"));
      writeFileSync(join(target, "new-file"), randomBytes(Mi));
      return { text: "README.md is longer, package.json gone, new-file there" };
    });
    return { snapshot, lines: { least, most: writer.lines + 1 } };
  }

  async #sideBySide(data: Made, snapshot: string, before: Map<string, string>, lines: { least: number; most: number }) {
    const story = this.#story;
    story.chapter("Restored and cloned, side by side");
    const restored = await this.#csi.create("restored", { size: Gi, fsType: "xfs", fromSnapshot: snapshot });
    const restoredAt = await this.#csi.use(restored);
    const clone = await this.#csi.create("clone", { size: Gi, fsType: "xfs", fromVolume: data.id });
    const cloneAt = await this.#csi.use(clone);
    const changed = (await manifestOf(this.#scratch.target(data.name))).manifest;
    await this.#verify("the restored one", restoredAt, before, [journal]);
    await story.step("journal", async () => {
      const found = await checkLines(join(restoredAt, journal), lines.least, lines.most);
      return { text: `${found} whole lines: none lost that was durable, none torn` };
    });
    await this.#verify("the clone", cloneAt, changed);
    await story.step("independence", async () => {
      writeFileSync(join(cloneAt, "only-in-the-clone"), "x");
      writeFileSync(join(restoredAt, "only-in-the-restored"), "x");
      compare("the volume", changed, (await manifestOf(this.#scratch.target(data.name))).manifest);
      return { text: "what is written to the copies does not reach the volume" };
    });
    return { copies: [restored, clone], changed };
  }

  async #growth(data: Made, changed: Map<string, string>): Promise<void> {
    const story = this.#story;
    story.chapter("Growth, without a pause");
    const target = this.#scratch.target(data.name);
    const before = fileSystemSize(target);
    if (await this.#csi.grow(data, 2 * Gi)) await this.#csi.growOnNode(data, 2 * Gi);
    await story.step("statfs", () => {
      const after = fileSystemSize(target);
      if (after < before + 0.9 * Gi)
        throw new CheckFailed(`the file system has ${formatSize(after)}, before it had ${formatSize(before)}`);
      return { text: `the file system had ${formatSize(before)} and has ${formatSize(after)}` };
    });
    await this.#verify("the volume", target, changed);
    story.note("xfs and btrfs grow in use; ext4 does so only with CAP_SYS_RESOURCE, else at its next stage");
    const other = await this.#csi.create("ext4", { size: 256 * Mi, fsType: "ext4" });
    await this.#csi.use(other);
    const small = fileSystemSize(this.#scratch.target(other.name));
    writeFileSync(join(this.#scratch.target(other.name), "kept"), "kept");
    await this.#csi.unpublish(other);
    await this.#csi.unstage(other);
    await this.#csi.grow(other, 512 * Mi);
    const again = await this.#csi.use(other);
    await story.step("statfs", () => {
      const after = fileSystemSize(again);
      if (after < small * 1.8 || readFileSync(join(again, "kept"), "utf8") !== "kept") {
        throw new CheckFailed(`ext4 had ${formatSize(small)} and has ${formatSize(after)}`);
      }
      return { text: `ext4 had ${formatSize(small)} and has ${formatSize(after)}, its file is there` };
    });
    await this.#remove(other);
  }

  async #rawBlock(): Promise<Made> {
    const story = this.#story;
    story.chapter("A raw block volume");
    const raw = await this.#csi.create("raw", { size: 64 * Mi, block: true });
    const device = await this.#csi.use(raw);
    const bytes = randomBytes(16 * Mi);
    await story.step("write", async () => {
      const file = await open(device, "r+");
      await file.write(bytes, 0, bytes.length, 8 * Mi);
      await file.sync();
      await file.close();
      return { text: `${formatSize(bytes.length)} at ${formatSize(8 * Mi)}, synced` };
    });
    await story.step("read", async () => {
      const file = await open(device, "r");
      const back = Buffer.alloc(bytes.length);
      await file.read(back, 0, back.length, 8 * Mi);
      await file.close();
      const at = bytes.findIndex((byte, index) => byte !== back[index]);
      if (at >= 0) throw new CheckFailed(`the raw volume gives another byte than was written, at ${8 * Mi + at}`);
      return { text: "every byte is the same" };
    });
    return raw;
  }

  async #killed(data: Made, changed: Map<string, string>): Promise<Made[]> {
    const story = this.#story;
    story.chapter("kill -9 in the middle of work");
    const names = ["crash-1", "crash-2", "crash-3", "crash-4"];
    const wish = { size: 128 * Mi, fsType: "ext4" };
    const volumesBefore = await this.#csi.count();
    const { answers } = await story.step("kill -9", async () => {
      const calls = names.map((name) => this.#csi.requestVolume(name, wish));
      const settled = Promise.allSettled(calls);
      await Promise.race(calls);
      const ended = await this.driver.end("SIGKILL");
      const answers = await settled;
      for (const each of answers) {
        if (each.status === "rejected" && !(each.reason instanceof CsiError)) throw each.reason;
      }
      const done = answers.filter((each) => each.status === "fulfilled").length;
      return { answers, text: `${names.length} CreateVolume sent, ${done} answered, then ${ended}` };
    });
    await this.#verify("with no driver, the volume", this.#scratch.target(data.name), changed);
    await this.#start();
    const made: Made[] = [];
    for (const [index, name] of names.entries()) {
      const volume = await this.#csi.create(name, wish);
      const answer = answers[index];
      if (answer?.status === "fulfilled" && answer.value.id !== volume.id) {
        throw new CheckFailed(`'${name}' was ${answer.value.id} before the crash and is ${volume.id} now`);
      }
      made.push(volume);
    }
    await story.step("CreateVolume, ListVolumes", async () => {
      for (const { name, id } of made) {
        const again = await this.#csi.requestVolume(name, wish);
        if (again.id !== id) throw new CheckFailed(`'${name}' was ${id} and is ${again.id} when it is asked for again`);
      }
      const count = await this.#csi.count();
      const expected = volumesBefore + names.length;
      if (count !== expected) throw new CheckFailed(`there are ${count} volumes and must be ${expected}`);
      return { text: `asked again: the same ${names.length} volumes, and no more` };
    });
    const target = await this.#csi.use(data);
    await this.#verify("staged and published again, it", target, changed);
    return made;
  }

  async #statistics(data: Made, raw: Made): Promise<void> {
    this.#story.chapter("Statistics");
    await this.#csi.stats(data);
    await this.#csi.stats(raw);
  }

  async #goodbye(volumes: readonly Made[], snapshot: string): Promise<void> {
    const story = this.#story;
    story.chapter("And all of it away");
    for (const volume of volumes) await this.#remove(volume);
    await this.#csi.deleteSnapshot("before", snapshot);
    await this.nothingLeft();
  }

  async #remove(volume: Made): Promise<void> {
    if (mountsBelow(this.#scratch.folder).some((point) => point.includes(`/${volume.name}`))) {
      await this.#csi.unpublish(volume);
      await this.#csi.unstage(volume);
    }
    await this.#csi.delete(volume);
  }

  /** The driver is idle and has no volume: neither has the host anything of one. */
  async nothingLeft(): Promise<void> {
    const { pool, folder } = this.#scratch;
    await this.#story.step("what is left", async () => {
      // The space of a deleted volume comes back in the background.
      const remains = () => [
        ...mountsBelow(folder).filter((point) => point !== pool),
        ...loopsBelow(pool).map(({ device, file }) => `${device} over ${file}`),
        // The driver runs: it keeps a file that says so until it ends.
        ...filesOfVolumes(pool).filter((file) => !file.startsWith("controllers/")),
        ...filesBelow(join(folder, "pods")),
        ...filesBelow(join(folder, "staging")),
      ];
      for (let waited = 0; remains().length > 0 && waited < 5000; waited += 50) await sleep(50);
      const left = remains();
      if (left.length > 0) throw new CheckFailed(`these are left:\n  ${left.join("\n  ")}`);
      return { text: "no loop device, no mount, no file but the pool's own" };
    });
  }

  /** Ends the driver as an operator would, and removes the scratch folder. */
  async end(): Promise<void> {
    const { folder, pool, socket, log } = this.#scratch;
    await this.#story.step("SIGTERM", async () => {
      const how = await this.driver.end("SIGTERM");
      if (how !== "exit code 0")
        throw new CheckFailed(`the driver ended with ${how}; its log: ${readFileSync(log, "utf8").slice(-2000)}`);
      if (filesBelow(join(folder, "run")).length > 0) throw new CheckFailed(`the socket ${socket} is still there`);
      const left = filesOfVolumes(pool);
      if (left.length > 0) throw new CheckFailed(`the pool still has ${left.join(", ")}`);
      return { text: "exit code 0; the socket is gone, and the pool is empty" };
    });
    await this.#story.step("umount, rm", () => {
      clear(folder);
      return { text: folder };
    });
  }

  async #start(): Promise<void> {
    await this.#story.step("holdfast serve", async () => {
      this.#driver = await DriverProcess.start(this.#scratch);
      this.#orchestrator ??= new Orchestrator(this.#driver.client, this.#story, this.#scratch);
      this.#orchestrator.client = this.#driver.client;
      const after = readyAfter(this.#scratch);
      return { text: `process ${this.#driver.pid}, ready${after === undefined ? "" : ` ${after} ms after its start`}` };
    });
  }

  async #verify(
    which: string,
    folder: string,
    expected: ReadonlyMap<string, string>,
    beside: readonly string[] = [],
  ): Promise<void> {
    await this.#story.step("sha256", async () => {
      const { manifest } = await manifestOf(folder);
      for (const name of beside) manifest.delete(name);
      manifest.delete("lost+found");
      compare(which, expected, manifest);
      return { text: `${which} has all ${expected.size} files, byte for byte` };
    });
  }
}

function fileSystemSize(path: string): number {
  const { blocks, bsize } = statfsSync(path);
  return blocks * bsize;
}
