/** Reads the report that csi-sanity writes: enough XML for what Ginkgo puts there, and no more. */

export interface Spec {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped" | "pending";
  /** Why it failed or was skipped; empty for the others. */
  readonly message: string;
  readonly seconds: number;
}

/** Throws when there is no spec in it: a report that was cut off must not look like success. */
export function parseReport(xml: string): Spec[] {
  const specs: Spec[] = [];
  for (const [, head = "", tail, body = ""] of xml.matchAll(/<testcase ([^>]*?)(\/?)>(?:([\s\S]*?)<\/testcase>)?/g)) {
    const status = attribute(head, "status");
    const detail = /<(failure|error|skipped) ([^>]*)>([^<]*)/.exec(tail === "/" ? "" : body);
    specs.push({
      name: attribute(head, "name").replace(/^\[It\] /, ""),
      outcome: status === "passed" || status === "skipped" || status === "pending" ? status : "failed",
      message: detail ? `${attribute(detail[2] ?? "", "message")}\n${decode(detail[3] ?? "")}`.trim() : "",
      seconds: Number(attribute(head, "time")),
    });
  }
  if (specs.length === 0 || !xml.includes("</testsuites>")) throw new Error("csi-sanity's report is not whole");
  return specs.filter(({ name }) => !/^\[(BeforeSuite|AfterSuite|ReportAfterSuite|DeferCleanup)/.test(name));
}

function attribute(text: string, name: string): string {
  return decode(new RegExp(`\\b${name}="([^"]*)"`).exec(text)?.[1] ?? "");
}

const entities: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function decode(text: string): string {
  return text.replace(/&(#x?)?(\w+);/g, (whole, number: string | undefined, word: string) =>
    number ? String.fromCodePoint(Number.parseInt(word, number === "#x" ? 16 : 10)) : (entities[word] ?? whole),
  );
}
