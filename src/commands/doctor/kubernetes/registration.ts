import { lstatSync } from "node:fs";
import { join } from "node:path";
import { connectRegistration } from "../../../csi/client.ts";
import { socketPathOf } from "../../../csi/endpoint.ts";
import { error, type Finding, ok, warning } from "../finding.ts";
import type { Subject } from "../kubernetes.ts";

const what = "registration";

/** Whether the kubelet can find the driver: the socket in its folder, who answers there, and where it sends the kubelet. */
export async function registration(subject: Omit<Subject, "namespace">): Promise<Finding[]> {
  const { kubeletDir, driverName, csiAddress } = subject;
  const folder = join(kubeletDir, "plugins_registry");
  const path = join(folder, `${driverName}-reg.sock`);
  if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) {
    return [
      error(
        what,
        `${folder} is not there: this is no kubelet's folder`,
        "set kubernetes.kubeletDir (chart: kubeletDir), and mount it into the pod at the same path",
      ),
    ];
  }
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) {
    return [
      error(what, `${path} is not there`, "start the driver with serve --kubernetes; its log says what it waits for"),
    ];
  }
  const client = connectRegistration(path);
  try {
    const { name, endpoint } = await client.getInfo({}, { timeoutMs: 3000 });
    if (name !== driverName) {
      return [error(what, `${path} registers ${name}`, "end the process that serves it, and start the driver again")];
    }
    const own = socketPathOf(csiAddress);
    if (endpoint === own) return [ok(what, `${name} at ${endpoint}`)];
    const fix = "where the kubelet does not have the socket at that path, set kubernetes.registrationPath";
    return [warning(what, `the kubelet is sent to ${endpoint}, and the driver listens at ${own}`, fix)];
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return [error(what, `${path}: ${why}`, "restart the driver: a killed one left the socket")];
  } finally {
    client.close();
  }
}
