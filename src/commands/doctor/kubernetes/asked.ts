import { ApiError, isForbidden } from "../../../kubernetes/api/api-error.ts";
import { error, type Finding, warning } from "../finding.ts";

/** Looks with an account that may not be allowed to: then that is the finding, and not a fault of the cluster. */
export async function asked(what: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (cause) {
    if (!(cause instanceof ApiError)) throw cause;
    if (isForbidden(cause)) {
      const fix = "run it with an administrator's --kubeconfig too; the helpers do not need this";
      return [warning(what, "this account may not look at it", fix)];
    }
    return [error(what, cause.message, "look at the API server")];
  }
}
