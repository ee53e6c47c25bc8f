/** Tables for people, a file for machines. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { dirname } from "node:path";
import { type Figure, shown, type Table } from "./figure.ts";

const heads = ["", "here", "beside it", "ratio", "target"];

export function printTable(table: Table): void {
  const rows = table.figures.map(cells);
  const widths = heads.map((head, at) => Math.max(head.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, at) => (at === 0 || at === 4 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join("  ")
      .trimEnd();
  const text = [`\n${table.title}`, line(heads), ...rows.map(line)].join("\n");
  process.stdout.write(`${text}\n`);
}

function cells(figure: Figure): string[] {
  const { beside, target, note } = figure;
  return [
    note === undefined ? figure.name : `${figure.name} (${note})`,
    `${shown(figure.value)} ${figure.unit}`,
    beside === undefined ? "" : `${shown(beside.value)} ${beside.name}`,
    beside === undefined ? "" : shown(beside.ratio),
    target === undefined ? "" : `${target.text}: ${target.met ? "met" : "MISSED"}`,
  ];
}

/** What the figures depend on, for whoever compares two files. */
export function machine(): Record<string, unknown> {
  return {
    kernel: release(),
    cpu: cpus()[0]?.model ?? "unknown",
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    node: process.version,
    load: readFileSync("/proc/loadavg", "utf8").trim(),
  };
}

export function store(path: string, content: object): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(content, undefined, 2)}\n`);
}
