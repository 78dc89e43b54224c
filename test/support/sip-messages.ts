// SIP messages as lines, of the family that the test runs with: what is said of IPv4 is sent as IPv6, and read back.
import { expect } from "vitest";
import { sipIn4, sipIn6 } from "./in-ipv6.ts";
import { currentFamily } from "./nat-under-test.ts";

/** A message with a sound Content-Length. */
export function writeMessage(lines: readonly string[], body: readonly string[] = []): string {
  const inFamily = (text: string) => (currentFamily() === 6 ? sipIn6(text) : text);
  const text = inFamily(body.map((line) => `${line}\r\n`).join(""));
  const type = body.length > 0 ? ["Content-Type: application/sdp"] : [];
  return inFamily([...lines, ...type, `Content-Length: ${text.length}`, "", ""].join("\r\n")) + text;
}

/** Its lines; its Content-Length must be that of its body, and is said as that of the body in IPv4. */
export function readMessage(text: string): string[] {
  const [saidHead = "", saidBody = ""] = text.split("\r\n\r\n");
  const length = Number(/^Content-Length: (\d+)/m.exec(saidHead)?.[1]);
  expect(length).toBe(saidBody.length);
  const body = sipIn4(saidBody);
  const head = sipIn4(saidHead).replace(/^Content-Length: .*$/m, `Content-Length: ${body.length}`);
  return [...head.split("\r\n"), ...body.split("\r\n")].filter((line) => line !== "");
}

export const payloadWords = (text: string): string => `payload ${Buffer.from(text).toString("hex")}`;

/** The payload of a packet line, whichever way it is written there. */
export function payloadOf(line: string): string {
  const said = / payload (".*"|[0-9a-f]+)$/.exec(line)?.[1] ?? "";
  return said.startsWith('"')
    ? (JSON.parse(said.replaceAll("\\0", "\\u0000")) as string)
    : Buffer.from(said, "hex").toString("latin1");
}
