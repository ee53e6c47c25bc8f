/**
 * For the tests: the part of the kubelet that finds plugins, with the rules of pkg/kubelet/pluginmanager (1.34). It looks
 * once in a while at the sockets that came and went, asks each new one once, takes it for registered even when the
 * registration fails, and tries again only where the plugin could not be asked at all.
 */
import { type FSWatcher, lstatSync, readdirSync, watch } from "node:fs";
import { join } from "node:path";
import { connectRegistration } from "../../src/csi/client.ts";

export interface Plugin {
  readonly name: string;
  readonly endpoint: string;
  readonly versions: readonly string[];
}

export class TestKubelet {
  /** What happened, as `registered local.csi.holdfast`. */
  readonly events: string[] = [];
  readonly plugins: Plugin[] = [];
  readonly #folder: string;
  readonly #refuse: () => string | undefined;
  readonly #desired = new Map<string, number>();
  readonly #actual = new Map<string, { readonly version: number; readonly name: string }>();
  readonly #watcher: FSWatcher;
  readonly #timer: NodeJS.Timeout;
  #version = 0;
  #busy = false;

  /** `refuse` answers why the next registration fails; undefined: it does not. */
  constructor(folder: string, refuse: () => string | undefined = () => undefined) {
    this.#folder = folder;
    this.#refuse = refuse;
    this.#watcher = watch(folder, (event, name) => {
      if (event === "rename" && name !== null) this.#changed(name);
    });
    for (const name of readdirSync(folder)) this.#changed(name);
    this.#timer = setInterval(() => void this.#reconcile(), 50);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#watcher.close();
  }

  #changed(name: string): void {
    if (name.startsWith(".")) return;
    const found = lstatSync(join(this.#folder, name), { throwIfNoEntry: false });
    if (found === undefined) this.#desired.delete(name);
    else if (found.isSocket()) this.#desired.set(name, ++this.#version);
  }

  async #reconcile(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (const [socket, { version, name }] of this.#actual) {
      if (this.#desired.get(socket) === version) continue;
      this.#actual.delete(socket);
      this.events.push(`unregistered ${name}`);
    }
    for (const [socket, version] of this.#desired) {
      if (!this.#actual.has(socket)) await this.#register(socket, version);
    }
    this.#busy = false;
  }

  async #register(socket: string, version: number): Promise<void> {
    const client = connectRegistration(join(this.#folder, socket));
    try {
      const { type, name, endpoint, supportedVersions } = await client.getInfo({}, { timeoutMs: 1000 });
      if (type !== "CSIPlugin") throw new Error(`no handler for ${type}`);
      this.#actual.set(socket, { version, name });
      this.plugins.push({ name, endpoint, versions: supportedVersions });
      const error = this.#refuse();
      this.events.push(`${error === undefined ? "registered" : "refused"} ${name}`);
      await client.notifyRegistrationStatus({ pluginRegistered: error === undefined, error: error ?? "" });
    } catch (error) {
      this.events.push(`could not ask: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      client.close();
    }
  }
}
