/** What an error of the driver says about the wish behind the call. */
import { CsiError } from "../../csi/client.ts";

/** The size itself is refused: asking again the same way is of little use (as the upstream resizer has it). */
export const isInfeasible = (error: unknown): boolean =>
  error instanceof CsiError && ["INVALID_ARGUMENT", "OUT_OF_RANGE", "NOT_FOUND"].includes(error.code);

/** Not while the volume is in use: CSI specification, ControllerExpandVolume errors. */
export const isInUse = (error: unknown): boolean => error instanceof CsiError && error.code === "FAILED_PRECONDITION";
