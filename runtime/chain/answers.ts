// For which addresses a port may answer: others' of its own family of addresses, each at one port.
import type { DocumentEntry } from "./document.ts";
import type { Report } from "./faults.ts";
import { extendPointer } from "./pointer.ts";
import { overlaps, type Prefix, parseKernelClass, parsePrefix } from "./protocols.ts";
import type { PortDeclaration } from "./schema.ts";

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

export function checkAnswers(ports: readonly DocumentEntry<PortDeclaration>[], report: Report): void {
  const answered = ports.flatMap(readAnswered);
  for (const { name, declaration } of ports) checkPort(name, declaration, report);
  for (const [index, each] of answered.entries()) {
    checkReserved(each, report);
    const other = answered.slice(0, index).find((before) => overlaps(before, each));
    if (other === undefined) continue;
    const what = `${each.text} and ${other.text} of the port "${other.port}" have addresses in common`;
    report("answers-conflict", each.pointer, what, "let one port answer for an address");
  }
}

function readAnswered({ name, declaration }: DocumentEntry<PortDeclaration>): Answered[] {
  return [declaration.answersFor ?? []].flat().flatMap((text, index) => {
    const prefix = parsePrefix(String(text));
    const pointer = `${extendPointer("/ports", name)}/answersFor/${index}`;
    return prefix === undefined ? [] : [{ ...prefix, port: name, text, pointer }];
  });
}

function checkPort(name: string, { answersFor = [], forwarding, kernel = [] }: PortDeclaration, report: Report): void {
  const pointer = extendPointer("/ports", name, "answersFor");
  if (answersFor.length === 0) return;
  if (forwarding === "routed") {
    const help = "the kernel does: sysctl net.ipv4.conf.DEVICE.proxy_arp, or `ip neighbour add proxy`";
    report("answers-conflict", pointer, "a port with `forwarding: routed` answers for nobody", help);
  }
  const classes = [kernel].flat().map(parseKernelClass);
  const families = answersFor.map((text) => parsePrefix(text)?.address.length);
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
