/** Fields that CSI marks as secret: they are dropped before anything else looks at a request. */
import { type DescField, type DescMessage, getOption, type Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { csi_secret } from "./gen/csi_pb.ts";

const known = new Map<DescMessage, readonly DescField[]>();

function secretFields(type: DescMessage): readonly DescField[] {
  let fields = known.get(type);
  if (fields === undefined) {
    fields = type.fields.filter((field) => getOption(field, csi_secret));
    known.set(type, fields);
  }
  return fields;
}

/**
 * Empties the secret fields of a request, in place. No backend of today needs one; the day that one does, it gets them
 * by a way of their own, beside the request. In CSI 1.12 no message within a request has a secret field.
 */
export function dropSecrets(type: DescMessage, request: Message): void {
  const secret = secretFields(type);
  if (secret.length === 0) return;
  const view = reflect(type, request);
  for (const field of secret) view.clear(field);
}
