/**
 * Makes a CSI driver known to the kubelet, and keeps it known. The kubelet watches a folder for sockets and asks each new
 * one who is there. It does that once: after a registration that went wrong in the driver (NodeGetInfo) or at the API
 * server it takes the plugin for handled, and only a new socket makes it look again (pkg/kubelet/pluginmanager of
 * Kubernetes 1.34: the operation generator adds the plugin to the actual state before it calls the handler). And a
 * socket that is made anew while the driver is registered unregisters it first, with its entry in CSINode. So the socket
 * stays as long as it serves a registration, and is made anew after a refusal.
 */
import { join } from "node:path";
import { type CsiClient, connect } from "../../csi/client.ts";
import { socketPathOf } from "../../csi/endpoint.ts";
import { serveRegistration } from "../../csi/registration.ts";
import { apart } from "../../observe/apart.ts";
import type { Log } from "../../observe/log.ts";

export interface RegistrarOptions {
  /** The driver's socket: `unix:///path` or a plain path. */
  readonly csiAddress: string;
  /** That socket as the kubelet sees its path; absent: as in `csiAddress`. */
  readonly kubeletRegistrationPath?: string;
  /** The kubelet's `plugins_registry`, as this process sees it. */
  readonly registryFolder: string;
  readonly log: Log;
  /** Ends the registrar: the socket goes, and with it, within a second, the registration. */
  readonly signal: AbortSignal;
  readonly timing?: Partial<Timing>;
}

/** Milliseconds. */
export interface Timing {
  /** How long an answer of the driver may take. */
  readonly answer: number;
  /** The first wait after a failure; it doubles up to `longestWait`. */
  readonly firstWait: number;
  readonly longestWait: number;
  /** How often it is checked that the socket is still in its folder. */
  readonly check: number;
  /** After this time without the kubelet the log says so, once. */
  readonly patience: number;
}

export interface Registrar {
  /** Undefined: the kubelet has registered the driver. Else what it waits for, in words. */
  waitsFor(): string | undefined;
  /** Resolves when it has ended and its socket is gone. Never rejects. */
  readonly ended: Promise<void>;
}

const usual: Timing = { answer: 5000, firstWait: 1000, longestWait: 15_000, check: 10_000, patience: 30_000 };

/** Begins at once and goes on until the signal; whatever fails is logged and tried again. */
export function startRegistrar(options: RegistrarOptions): Registrar {
  const run = new Run(options);
  const ended = apart(
    (error) => options.log.error({ error }, "the registrar met a mistake of ours, and goes on"),
    () => run.run(),
  );
  return { waitsFor: () => run.waiting, ended };
}

class Run {
  waiting: string | undefined = "the driver has not been asked for its name yet";
  readonly #options: RegistrarOptions;
  readonly #timing: Timing;
  readonly #endpoint: string;
  #failures = 0;
  #told: string | undefined;
  /** Ends what the run waits for now: with the reason why the socket must be made anew, or with none at the signal. */
  #wake: (why?: string) => void = () => {};

  constructor(options: RegistrarOptions) {
    this.#options = options;
    this.#timing = { ...usual, ...options.timing };
    this.#endpoint = options.kubeletRegistrationPath ?? socketPathOf(options.csiAddress);
    options.signal.addEventListener("abort", () => this.#wake());
  }

  async run(): Promise<void> {
    const { signal, csiAddress } = this.#options;
    const client = connect(csiAddress);
    try {
      while (!signal.aborted) {
        const why = await this.#serve(client).catch((error: unknown) =>
          error instanceof Error ? error.message : String(error),
        );
        if (signal.aborted) break;
        this.#failed(why ?? "the registrar was woken for nothing");
        await this.#sleep(this.#wait());
      }
    } finally {
      client.close();
      this.waiting = "the registrar has ended";
    }
  }

  /** Returns why the socket has to be made anew, or nothing at the signal. The socket is gone then. */
  async #serve(client: CsiClient): Promise<string | undefined> {
    const { registryFolder, signal, log } = this.#options;
    // The registration must carry the name exactly as the driver gives it.
    const { name } = await client.identity.getPluginInfo({}, { timeoutMs: this.#timing.answer, signal });
    const socketPath = join(registryFolder, `${name}-reg.sock`);
    const subject = { driver: name, socket: socketPath, endpoint: this.#endpoint };
    const over = new Promise<string | undefined>((resolve) => {
      this.#wake = resolve;
    });
    let asked = false;
    const server = await serveRegistration({
      socketPath,
      driverName: name,
      endpoint: this.#endpoint,
      log,
      onAsked: () => {
        asked = true;
      },
      onStatus: ({ registered, error }) => {
        if (registered) this.#registered(subject);
        else this.#wake(`the kubelet refused: ${error || "it gave no reason"}`);
      },
    });
    this.waiting = `the kubelet has not asked at ${socketPath} yet`;
    const patience = setTimeout(() => {
      if (!asked) log.warn(subject, "the kubelet has not asked for the driver: is this its plugins_registry?");
    }, this.#timing.patience);
    const look = () => server.inPlace().then((inPlace) => inPlace || this.#wake(`somebody removed ${socketPath}`));
    const check = setInterval(
      () => void look().catch((error: unknown) => this.#wake(String(error))),
      this.#timing.check,
    );
    if (signal.aborted) this.#wake();
    try {
      return await over;
    } finally {
      clearTimeout(patience);
      clearInterval(check);
      // The kubelet gets the answer to its last call first.
      await server.stop({ graceMs: this.#timing.answer });
    }
  }

  #registered(subject: object): void {
    this.waiting = undefined;
    this.#failures = 0;
    this.#told = undefined;
    this.#options.log.info(subject, "the kubelet has registered the driver");
  }

  /** What fails again and again is told at the first, second, fourth, eighth ... time. */
  #failed(why: string): void {
    this.#failures = why === this.#told ? this.#failures + 1 : 1;
    this.#told = why;
    this.waiting = why;
    const { log, csiAddress } = this.#options;
    const fields = { csiAddress, why, times: this.#failures, againInMs: this.#wait() };
    if (Number.isInteger(Math.log2(this.#failures))) {
      log.warn(fields, "the driver is not registered with the kubelet; it is tried again");
    }
  }

  #wait(): number {
    return Math.min(this.#timing.longestWait, this.#timing.firstWait * 2 ** Math.max(0, this.#failures - 1));
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(), ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
