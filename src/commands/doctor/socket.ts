import { lstatSync } from "node:fs";
import { CsiError, connect } from "../../csi/client.ts";
import { socketPathOf } from "../../csi/endpoint.ts";
import { error, type Finding, ok, warning } from "./finding.ts";

/** Whether a driver answers, and whether others may reach its socket. */
export async function socket(address: string): Promise<Finding[]> {
  const path = socketPathOf(address);
  let mode: number;
  try {
    const found = lstatSync(path);
    if (!found.isSocket()) return [error("socket", `${path} is not a socket`, "move it away")];
    mode = found.mode & 0o777;
  } catch {
    return [
      warning(
        "socket",
        `${path} is not there: no driver runs at this address`,
        "start it with holdfast serve, or say --csi-address",
      ),
    ];
  }
  const findings: Finding[] = [];
  if ((mode & 0o022) !== 0)
    findings.push(error("socket", `${path} has mode ${mode.toString(8)}: others can connect`, `chmod 600 ${path}`));
  const client = connect(address);
  try {
    const { name, vendorVersion } = await client.identity.getPluginInfo({}, { timeoutMs: 3000 });
    const ready = (await client.identity.probe({}, { timeoutMs: 3000 })).ready ?? true;
    const told = `${name} ${vendorVersion} answers at ${path}`;
    findings.push(
      ready
        ? ok("socket", `${told} and is ready`)
        : warning("socket", `${told} and is not ready`, "its log says what it waits for"),
    );
  } catch (cause) {
    const why = cause instanceof CsiError ? `${cause.code}: ${cause.message}` : String(cause);
    findings.push(error("socket", why, "start the driver, or restart it when it hangs"));
  } finally {
    client.close();
  }
  return findings;
}
