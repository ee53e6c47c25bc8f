/** Options that several commands have, and how their values are read. */
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseDuration } from "../config/duration.ts";
import { parseSize } from "../config/size.ts";
import { type AccessMode, accessModes } from "../volumes/api.ts";
import { type Format, formats } from "./output.ts";

/** Wraps a reader so that what it throws becomes a usage error that names the option. */
export function reader<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
  };
}

export const sizeOf = reader((text) => BigInt(parseSize(text)));
export const durationOf = reader(parseDuration);
export const countOf = reader((text) => {
  if (!/^\d{1,9}$/.test(text)) throw new Error("write a whole number");
  return Number(text);
});

export const absolutePathOf = reader((text) => {
  if (!text.startsWith("/")) throw new Error("write an absolute path");
  return text;
});

/** Collects `k=v` of a repeated option. */
export function pairOf(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("write it as key=value");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Collects the values of a repeated option. */
export function listOf(text: string, before: string[] = []): string[] {
  return [...before, text];
}

/** `key=path`: the secret's value is the file's text, without a last newline, so that it never stands on a command line. */
export function secretOf(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [key, path] = Object.entries(pairOf(text))[0] ?? ["", ""];
  try {
    return { ...before, [key]: readFileSync(path, "utf8").replace(/\n$/, "") };
  } catch (error) {
    throw new InvalidArgumentError(`the file can't be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export interface CapabilityOptions {
  readonly block?: boolean;
  readonly fsType?: string;
  readonly mountFlag?: readonly string[];
  readonly mode: AccessMode;
}

/** What the volume is to be used as. */
export function withCapability(command: Command): Command {
  return command
    .addOption(new Option("--block", "a raw block device instead of a file system").conflicts(["fsType", "mountFlag"]))
    .option("--fs-type <type>", "the file system: ext4, xfs or btrfs for Holdfast's pools")
    .option("--mount-flag <flag>", "a mount flag, as noatime; may be repeated", listOf)
    .addOption(new Option("--mode <mode>", "the access mode").choices(accessModes).default("SINGLE_NODE_WRITER"));
}

export interface SecretOptions {
  readonly secretFile?: Record<string, string>;
}

export function withSecrets(command: Command): Command {
  return command.option("--secret-file <key=path>", "a secret, read from a file; may be repeated", secretOf);
}

export interface DriverOptions {
  readonly csiAddress: string;
  readonly output: Format;
  /** Milliseconds. */
  readonly timeout: number;
}

/** Which driver, how to print, and how long to wait. */
export function withDriver(command: Command, defaultAddress: string): Command {
  return command
    .addOption(
      new Option("--csi-address <address>", "the socket of the driver").env("CSI_ENDPOINT").default(defaultAddress),
    )
    .addOption(new Option("--output <format>", "how to print").choices(formats).default("table"))
    .addOption(new Option("--timeout <duration>", "how long to wait").argParser(durationOf).default(120_000, "2m"));
}
