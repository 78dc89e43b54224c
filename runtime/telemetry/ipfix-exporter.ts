// Sends flows to an IPFIX collector: those that end, and at the active timeout those that go on.
import type { IpfixSettings } from "../chain/telemetry.ts";
import { DatagramSender } from "./datagram-sender.ts";
import type { LiveFlow } from "./flow-table-view.ts";
import type { FlowTables } from "./flow-tables.ts";
import { IpfixMessages } from "./ipfix-message.ts";
import { chooseTemplate, describeBiflow, type Reported, splitBiflow } from "./ipfix-records.ts";
import type { EndedFlow } from "./report-reader.ts";

/** The table is looked through so often in one active timeout. */
const SWEEPS = 4;

interface Seen extends Reported {
  /** When the last record was sent, in ms since 1970. */
  readonly reportedMs: number;
  /** The sweep that did not find it any more: its end may not have been read yet. */
  readonly missedIn?: number;
}

export interface IpfixStatistics {
  readonly messages: number;
  readonly records: number;
  /** Messages that could not be sent. */
  readonly lost: number;
}

export class IpfixExporter {
  readonly #settings: IpfixSettings;
  readonly #sender: DatagramSender;
  readonly #messages: IpfixMessages;
  /** Flows that were reported while they went on, by number. */
  readonly #seen: Map<number, Seen>;
  #sent = { messages: 0, octets: 0 };
  #records = 0;
  #notSent = 0;
  #templatesSentMs = 0;
  /** The next flow number that is looked at, and how often all were. */
  #position = 1;
  #sweep = 0;
  #sweptMs = Date.now();

  /** A successor of `before` goes on with what the same collector was told. */
  constructor(settings: IpfixSettings, before?: IpfixExporter) {
    this.#settings = settings;
    this.#seen = before?.seenBy(settings) ?? new Map();
    this.#sender = new DatagramSender(settings.host, settings.port);
    this.#messages = new IpfixMessages(settings.observationDomain, (message) => {
      this.#sent = { messages: this.#sent.messages + 1, octets: this.#sent.octets + message.length };
      this.#sender.send(message);
    });
  }

  get statistics(): IpfixStatistics {
    return { messages: this.#sent.messages, records: this.#records, lost: this.#sender.lost };
  }

  /** Flows of which no report was read. */
  noteLost(flows: number): void {
    this.#notSent += flows;
  }

  /** At the beginning of each round of ends and sweeps. */
  begin(): void {
    const now = Date.now();
    if (now - this.#templatesSentMs < this.#settings.templateEveryS * 1000) return;
    this.#templatesSentMs = now;
    this.#messages.sendTemplates({ ...this.#sent, records: this.#records, notSent: this.#notSent });
  }

  end({ number, flow }: EndedFlow): void {
    this.#report(number, flow);
    this.#seen.delete(number);
  }

  /** Looks at some of the live flows: as many as have their turn by now. */
  sweep(table: FlowTables): void {
    const now = Date.now();
    const activeMs = this.#settings.activeTimeoutS * 1000;
    const due = Math.ceil((table.used * (now - this.#sweptMs) * SWEEPS) / activeMs);
    this.#sweptMs = now;
    const last = Math.min(this.#position + due - 1, table.used);
    const isDue = (flow: number, startMs: number) => now - (this.#seen.get(flow)?.reportedMs ?? startMs) >= activeMs;
    for (const flow of table.flowsBetween(this.#position, last, isDue)) this.#reportLive(flow, now);
    this.#forgetEnded(table, this.#position, last);
    this.#position = last + 1;
    if (this.#position <= table.used) return;
    this.#position = 1;
    this.#sweep += 1;
  }

  /** Sends what is under way. */
  flush(): void {
    this.#messages.flush();
  }

  async stop(): Promise<void> {
    this.flush();
    await this.#sender.close();
  }

  /** What this collector was told; undefined if it was another one. */
  seenBy({ host, port }: IpfixSettings): Map<number, Seen> | undefined {
    return this.#settings.host === host && this.#settings.port === port ? this.#seen : undefined;
  }

  #reportLive(live: LiveFlow, now: number): void {
    this.#report(live.flow, live);
    const { startNs, lastNs, packets, octets } = live;
    this.#seen.set(live.flow, { startNs, lastNs, packets, octets, reportedMs: now });
  }

  #report(number: number, flow: EndedFlow["flow"] | LiveFlow): void {
    const seen = this.#seen.get(number);
    // A number is given again: then it is another flow's.
    const described = describeBiflow(flow, seen?.startNs === flow.startNs ? seen : undefined);
    const { biflow } = this.#settings;
    const hasNews = described.packets[0] + described.packets[1] > 0;
    const records = !hasNews ? [] : biflow ? [described] : splitBiflow(described);
    for (const record of records) this.#messages.addFlow(chooseTemplate(record, biflow), record);
    this.#records += records.length;
  }

  /** What is gone since the sweep before has been reported by now, or never will be. */
  #forgetEnded(table: FlowTables, first: number, last: number): void {
    if (this.#seen.size === 0) return;
    for (const [flow, seen] of this.#seen) {
      if (flow < first || flow > last || table.isLive(flow)) continue;
      if (seen.missedIn === undefined) this.#seen.set(flow, { ...seen, missedIn: this.#sweep });
      else if (seen.missedIn < this.#sweep) this.#seen.delete(flow);
    }
  }
}
