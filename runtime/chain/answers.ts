// For which addresses a port may answer: others' of its own family of addresses, each at one port.
import { type ParsedDocument, readMap, readNames } from "./document.ts";
import type { Report } from "./faults.ts";
import { extendPointer } from "./pointer.ts";
import { overlaps, type Prefix, parseKernelClass, parsePrefix } from "./protocols.ts";

/** No single host elsewhere has one of these. */
const reserved: readonly (readonly [string, string])[] = [
  ["0.0.0.0/8", "addresses that stand for none"],
  ["127.0.0.0/8", "loopback addresses"],
  ["224.0.0.0/3", "group and reserved addresses"],
  ["::/127", "addresses that stand for none or for the machine itself"],
  ["fe80::/10", "link-local addresses, which every port has of its own"],
  ["ff00::/8", "group addresses"],
];

interface Answered extends Prefix {
  readonly port: string;
  readonly text: string;
  readonly pointer: string;
}

/** One text that is no prefix does not hide what is wrong with the others. */
export function checkAnswers(document: ParsedDocument, report: Report): void {
  const ports = readMap(document.value, "ports");
  const answered = readNames(document, "ports").flatMap((name) => readAnswered(name, readMap(ports, name)));
  for (const name of readNames(document, "ports")) checkPort(name, readMap(ports, name), report);
  for (const [index, each] of answered.entries()) {
    checkReserved(each, report);
    const other = answered.slice(0, index).find((before) => overlaps(before, each));
    if (other === undefined) continue;
    const what = `${each.text} and ${other.text} of the port "${other.port}" have addresses in common`;
    report("answers-conflict", each.pointer, what, "let one port answer for an address");
  }
}

/** As it was written: any of it may be something else. */
interface Written {
  readonly answersFor?: unknown;
  readonly forwarding?: unknown;
  readonly kernel?: unknown;
}

function readTexts(list: unknown): string[] {
  return Array.isArray(list) ? list.map(String) : [];
}

function readAnswered(port: string, { answersFor }: Written): Answered[] {
  return readTexts(answersFor).flatMap((text, index) => {
    const prefix = parsePrefix(text);
    const pointer = `${extendPointer("/ports", port)}/answersFor/${index}`;
    return prefix === undefined ? [] : [{ ...prefix, port, text, pointer }];
  });
}

function checkPort(name: string, { answersFor, forwarding, kernel }: Written, report: Report): void {
  const pointer = extendPointer("/ports", name, "answersFor");
  const families = readTexts(answersFor).map((text) => parsePrefix(text)?.address.length);
  if (families.length === 0) return;
  if (forwarding === "routed") {
    const help = "the kernel does: sysctl net.ipv4.conf.DEVICE.proxy_arp, or `ip neighbour add proxy`";
    report("answers-conflict", pointer, "a port with `forwarding: routed` answers for nobody", help);
  }
  const classes = readTexts(kernel).map(parseKernelClass);
  const questions = [
    {
      bytes: 4,
      word: "arp",
      isLeft: classes.some((each) => each !== undefined && "etherType" in each && each.etherType === 0x0806),
    },
    {
      bytes: 16,
      word: "icmpv6",
      isLeft: classes.some((each) => each !== undefined && "ipProto" in each && each.ipProto === 58),
    },
  ];
  for (const { bytes, word, isLeft } of questions) {
    if (!isLeft || !families.includes(bytes)) continue;
    const what = `the port leaves ${word} to the kernel, and never hears who is asked for`;
    report("answers-conflict", pointer, what, `take ${word} out of \`kernel\``);
  }
}

function checkReserved({ text, pointer, ...prefix }: Answered, report: Report): void {
  for (const [range, what] of reserved) {
    if (!overlaps(parsePrefix(range) as Prefix, prefix)) continue;
    report("answers-conflict", pointer, `${text} has ${what} (${range})`);
  }
}
