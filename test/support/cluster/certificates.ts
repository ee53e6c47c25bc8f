/** The cluster's certificate authority: every certificate is one call of openssl, about 10 ms each. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../run.ts";

export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

export interface Authority {
  /** Its certificate's file. */
  readonly certificate: string;
  /** A client's: Kubernetes takes the user from the common name and the groups from the organisations. */
  client(user: string, groups?: readonly string[]): Promise<Certificate>;
  /** A server's, for names as `IP:127.0.0.1` and `DNS:localhost`. */
  server(name: string, alternatives: readonly string[]): Promise<Certificate>;
}

const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3"];

/** Makes one in `folder`; each later file lies there too. */
export async function makeAuthority(folder: string): Promise<Authority> {
  mkdirSync(folder, { recursive: true });
  const certificate = join(folder, "ca.pem");
  const key = join(folder, "ca.key");
  await run("openssl", ["req", "-x509", ...curve, "-subj", "/CN=holdfast-test", "-keyout", key, "-out", certificate]);
  let made = 0;
  const issue = async (subject: string, extensions: readonly string[]): Promise<Certificate> => {
    made += 1;
    const file = join(folder, `${made}.pem`);
    const own = join(folder, `${made}.key`);
    const config = join(folder, `${made}.cnf`);
    writeFileSync(config, "[req]\ndistinguished_name = dn\n[dn]\n");
    const added = ["basicConstraints=critical,CA:FALSE", ...extensions].flatMap((line) => ["-addext", line]);
    const by = ["-CA", certificate, "-CAkey", key, "-config", config];
    await run("openssl", ["req", "-x509", ...curve, ...by, ...added, "-subj", subject, "-keyout", own, "-out", file]);
    return { certificate: file, key: own };
  };
  return {
    certificate,
    client: (user, groups = []) =>
      issue(`${groups.map((group) => `/O=${group}`).join("")}/CN=${user}`, ["extendedKeyUsage=clientAuth"]),
    server: (name, alternatives) =>
      issue(`/CN=${name}`, ["extendedKeyUsage=serverAuth", `subjectAltName=${alternatives.join(",")}`]),
  };
}

/** The key pair with which service account tokens are signed. */
export async function makeTokenKeys(folder: string): Promise<{ readonly key: string; readonly publicKey: string }> {
  const key = join(folder, "tokens.key");
  const publicKey = join(folder, "tokens.pub");
  await run("openssl", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", key]);
  await run("openssl", ["pkey", "-in", key, "-pubout", "-out", publicKey]);
  return { key, publicKey };
}

/** Who a kubeconfig speaks as. */
export type Credential = Certificate | { readonly token: string };

/** Writes a kubeconfig that needs no other file. */
export function writeKubeconfig(file: string, server: string, authority: string, credential: Credential): string {
  const data = (path: string) => readFileSync(path).toString("base64");
  const user =
    "token" in credential
      ? credential
      : { "client-certificate-data": data(credential.certificate), "client-key-data": data(credential.key) };
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server, "certificate-authority-data": data(authority) } }],
    users: [{ name: "test", user }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    "current-context": "test",
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}
