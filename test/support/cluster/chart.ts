/** The Helm chart, rendered as `helm template` does it. */
import { join } from "node:path";
import { run } from "../run.ts";

const root = join(import.meta.dirname, "../../..");

/** What people get who install it as `holdfast` in the namespace `holdfast`; `values` are `--set-json` by key. */
export async function renderChart(values: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const sets = Object.entries(values).flatMap(([key, value]) => ["--set-json", `${key}=${JSON.stringify(value)}`]);
  const chart = join(root, "deploy/chart");
  return run("sh", [join(root, "scripts/helm.sh"), "template", "holdfast", chart, "--namespace=holdfast", ...sets]);
}
