/**
 * A machine of its own for a kubelet: mount, network and process namespaces whose first process ends all others with
 * it, so that nothing of a killed test stays. It sees this machine's files and devices; `/var/lib`, `/var/log`, `/run` and
 * `/etc/hosts` are its own, and every mount in it is shared within it. What is mounted outside later does not appear.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../run.ts";
import type { Scratch } from "../scratch.ts";
import { type Service, startService, tailOf, until } from "./service.ts";

export interface Machine {
  readonly name: string;
  /** A folder that both sides see at the same path. */
  readonly folder: string;
  /** The process number, outside, of its first process. */
  readonly pid: number;
  /** Where a path of the machine is seen from outside, mounts included. */
  outside(path: string): string;
  /** Runs a program in it to its end; answers its standard output. */
  run(program: string, ...args: readonly string[]): Promise<string>;
  /** Starts a service in it. */
  start(name: string, program: string, args: readonly string[], options?: MachineServiceOptions): Service;
}

export interface MachineServiceOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly endBy?: "SIGKILL" | "SIGTERM";
}

/** Its address in its own network, where nothing else is. */
export const machineAddress = "10.77.1.1";

/** `addresses`: more of its own, on loopback. */
export async function startMachine(scratch: Scratch, name: string, addresses: readonly string[]): Promise<Machine> {
  const folder = mkdtempSync(join(scratch.path, `${name}-`));
  for (const own of ["lib", "log", "run"]) mkdirSync(join(folder, own));
  writeFileSync(join(folder, "hosts"), `127.0.0.1 localhost\n${machineAddress} ${name}\n`);
  const steps = [
    ...["lib", "log"].map((own) => `mount --bind ${folder}/${own} /var/${own}`),
    `mount --bind ${folder}/run /run`,
    "mkdir -p /run/lock /run/netns",
    `mount --bind ${folder}/hosts /etc/hosts`,
    "mount --make-rshared /",
    "ip link set lo up",
    ...addresses.map((address) => `ip address add ${address}/32 dev lo`),
    "ip link add node0 type bridge",
    `ip address add ${machineAddress}/24 dev node0`,
    "ip link set node0 up",
    // The kubelet looks for its address where the default route leads.
    `ip route add default via ${machineAddress}`,
    `touch ${folder}/up`,
    // The shell takes up whatever loses its parent.
    "while :; do sleep 1000 & wait $!; done",
  ];
  let pid = 0;
  // The first process goes after all others; its mounts are let go with it.
  scratch.later(async () => {
    const gone = () => !existsSync(`/proc/${pid}`) || undefined;
    await until(`machine ${name} has ended`, gone, { withinMs: 10_000 });
  });
  const first = startService(scratch, {
    name: `machine-${name}`,
    program: "unshare",
    args: [
      ...["--mount", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"],
      ...["sh", "-e", "-c", steps.join("\n")],
    ],
  });
  await until(`machine ${name} is up`, () => existsSync(join(folder, "up")) || undefined, {
    withinMs: 10_000,
    hint: () => tailOf(first),
  });
  const children = readFileSync(`/proc/${first.pid}/task/${first.pid}/children`, "utf8");
  pid = Number(children.trim().split(" ")[0]);
  const into = ["--target", String(pid), "--mount", "--net", "--pid", "--"];
  return {
    name,
    folder,
    pid,
    outside: (path) => `/proc/${pid}/root${path}`,
    run: (program, ...args) => run("nsenter", [...into, program, ...args]),
    start: (service, program, args, options = {}) =>
      startService(scratch, {
        name: `${service}-${name}`,
        program: "nsenter",
        // Entering a process namespace takes a fork: what runs is the child of what was started.
        args: [...into, "setpriv", "--pdeathsig", "KILL", "--", program, ...args],
        signalsChild: true,
        ...options,
      }),
  };
}
