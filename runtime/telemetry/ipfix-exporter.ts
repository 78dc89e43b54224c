// Sends flows to an IPFIX collector: those that end, and at the active timeout those that go on.
import type { IpfixSettings } from "../chain/telemetry.ts";
import { DatagramSender } from "./datagram-sender.ts";
import type { ExportedFlows } from "./exported-flows.ts";
import type { LiveFlow } from "./flow-table-view.ts";
import type { FlowTables } from "./flow-tables.ts";
import { IpfixMessages } from "./ipfix-message.ts";
import { chooseTemplate, describeBiflow, splitBiflow } from "./ipfix-records.ts";
import type { EndedFlow } from "./report-reader.ts";

/** The table is looked through so often in one active timeout. */
const SWEEPS = 4;

/** What is exported of an engine. */
export interface ExportedEngine {
  /** What was exported of its flows before. */
  readonly exported: ExportedFlows;
  /** By index of port: ingressInterface and egressInterface. */
  readonly interfaces: readonly number[];
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
  #engine: ExportedEngine | undefined;
  #sent = { messages: 0, octets: 0 };
  #records = 0;
  #notSent = 0;
  #templatesSentMs = 0;
  /** The next flow number that is looked at. */
  #position = 1;
  #sweptMs = Date.now();

  constructor(settings: IpfixSettings) {
    this.#settings = settings;
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

  /** At the beginning of each round of ends and sweeps: those that follow are that engine's. */
  begin(engine: ExportedEngine | undefined): void {
    if (engine?.exported !== this.#engine?.exported) {
      engine?.exported.claim(`${this.#settings.host}:${this.#settings.port} ${this.#settings.observationDomain}`);
    }
    this.#engine = engine;
    const now = Date.now();
    if (now - this.#templatesSentMs < this.#settings.templateEveryS * 1000) return;
    this.#templatesSentMs = now;
    this.#messages.sendTemplates({ ...this.#sent, records: this.#records, notSent: this.#notSent });
  }

  end({ number, flow }: EndedFlow): void {
    this.#report(number, flow, Date.now());
  }

  /** Looks at some of the live flows: as many as have their turn by now. */
  sweep(table: FlowTables): void {
    const now = Date.now();
    const activeMs = this.#settings.activeTimeoutS * 1000;
    const due = Math.ceil((table.used * (now - this.#sweptMs) * SWEEPS) / activeMs);
    this.#sweptMs = now;
    const last = Math.min(this.#position + due - 1, table.used);
    const exported = this.#engine?.exported;
    const isDue = (flow: number, startMs: number) => now - (exported?.reportedMs(flow, startMs) ?? startMs) >= activeMs;
    for (const live of table.flowsBetween(this.#position, last, isDue)) this.#report(live.flow, live, now);
    this.#position = last < table.used ? last + 1 : 1;
  }

  /** Sends what is under way. */
  flush(): void {
    this.#messages.flush();
  }

  async stop(): Promise<void> {
    this.flush();
    await this.#sender.close();
  }

  /** Noted before it is sent: a process that dies in between costs a record, and none is counted twice. */
  #report(number: number, flow: EndedFlow["flow"] | LiveFlow, now: number): void {
    const { exported, interfaces = [] } = this.#engine ?? {};
    const described = describeBiflow(flow, exported?.find(number, flow.startNs), interfaces);
    exported?.note(number, flow, now);
    const { biflow } = this.#settings;
    const hasNews = described.packets[0] + described.packets[1] > 0;
    const records = !hasNews ? [] : biflow ? [described] : splitBiflow(described);
    for (const record of records) this.#messages.addFlow(chooseTemplate(record, biflow), record);
    this.#records += records.length;
  }
}
