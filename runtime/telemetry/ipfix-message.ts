// IPFIX messages (RFC 7011, section 3): a head, template sets, data sets.
import { type IpfixFlow, type IpfixTemplate, templates } from "./ipfix-records.ts";

const VERSION = 10;
const HEAD_BYTES = 16;
const SET_HEAD_BYTES = 4;
const TEMPLATE_SET = 2;
const OPTIONS_TEMPLATE_SET = 3;
const ENTERPRISE = 0x8000;
/** Fits one Ethernet frame, also over IPv6 and in a tunnel. */
const MESSAGE_BYTES = 1400;

/** What the exporter says of itself. */
export interface ExporterStatistics {
  readonly messages: number;
  readonly octets: number;
  readonly records: number;
  /** Flows that are in no record. */
  readonly notSent: number;
}

/** Options template: observationDomainId as scope, then totals of messages, octets, records, and flows not sent. */
const STATISTICS_TEMPLATE = 264;
const SCOPE = { id: 149, bytes: 4 };
const statisticsFields = [
  { id: 41, bytes: 8 }, // exportedMessageTotalCount
  { id: 40, bytes: 8 }, // exportedOctetTotalCount
  { id: 42, bytes: 8 }, // exportedFlowRecordTotalCount
  { id: 166, bytes: 8 }, // notSentFlowTotalCount
];

export class IpfixMessages {
  readonly #domain: number;
  readonly #send: (message: Uint8Array) => void;
  #view = new DataView(new ArrayBuffer(MESSAGE_BYTES));
  #used = HEAD_BYTES;
  /** Of the data set that is being written; 0: none. */
  #setStart = 0;
  #setId = 0;
  #records = 0;
  /** Data records in all messages before this one. */
  #sequence = 0;

  /** `send` owns what it gets. */
  constructor(observationDomain: number, send: (message: Uint8Array) => void) {
    this.#domain = observationDomain;
    this.#send = send;
  }

  /** Added to the message under way, which is sent when it is full. */
  addFlow(template: IpfixTemplate, flow: IpfixFlow): void {
    this.#beginRecord(template.id, template.bytes);
    for (const field of template.fields) {
      field.write(this.#view, this.#used, flow);
      this.#used += field.bytes;
    }
  }

  /** A message of its own. */
  sendTemplates(statistics: ExporterStatistics): void {
    this.flush();
    this.#beginSet(TEMPLATE_SET);
    for (const template of templates) this.#addTemplate(template);
    this.#endSet();
    this.#beginSet(OPTIONS_TEMPLATE_SET);
    this.#add16(STATISTICS_TEMPLATE, 1 + statisticsFields.length, 1);
    for (const { id, bytes } of [SCOPE, ...statisticsFields]) this.#add16(id, bytes);
    this.#endSet();
    this.#addStatistics(statistics);
    this.flush();
  }

  /** Sends what is under way, if anything is. */
  flush(): void {
    this.#endSet();
    if (this.#used === HEAD_BYTES) return;
    const view = this.#view;
    view.setUint16(0, VERSION);
    view.setUint16(2, this.#used);
    view.setUint32(4, Math.floor(Date.now() / 1000));
    view.setUint32(8, this.#sequence >>> 0);
    view.setUint32(12, this.#domain);
    this.#sequence += this.#records;
    this.#send(new Uint8Array(view.buffer, 0, this.#used));
    this.#view = new DataView(new ArrayBuffer(MESSAGE_BYTES));
    this.#used = HEAD_BYTES;
    this.#records = 0;
  }

  #beginRecord(set: number, bytes: number): void {
    const isNewSet = this.#setStart === 0 || this.#setId !== set;
    if (this.#used + bytes + (isNewSet ? SET_HEAD_BYTES : 0) > MESSAGE_BYTES) this.flush();
    if (this.#setStart === 0 || this.#setId !== set) {
      this.#endSet();
      this.#beginSet(set);
    }
    this.#records += 1;
  }

  #addStatistics({ messages, octets, records, notSent }: ExporterStatistics): void {
    this.#beginRecord(STATISTICS_TEMPLATE, SCOPE.bytes + 8 * statisticsFields.length);
    this.#view.setUint32(this.#used, this.#domain);
    this.#used += SCOPE.bytes;
    for (const value of [messages, octets, records, notSent]) {
      this.#view.setBigUint64(this.#used, BigInt(value));
      this.#used += 8;
    }
  }

  #addTemplate({ id, fields }: IpfixTemplate): void {
    this.#add16(id, fields.length);
    for (const field of fields) {
      this.#add16(field.enterprise === 0 ? field.id : field.id | ENTERPRISE, field.bytes);
      if (field.enterprise === 0) continue;
      this.#view.setUint32(this.#used, field.enterprise);
      this.#used += 4;
    }
  }

  #beginSet(id: number): void {
    this.#setStart = this.#used;
    this.#setId = id;
    this.#add16(id, 0);
  }

  #endSet(): void {
    if (this.#setStart !== 0) this.#view.setUint16(this.#setStart + 2, this.#used - this.#setStart);
    this.#setStart = 0;
  }

  #add16(...values: readonly number[]): void {
    for (const value of values) {
      this.#view.setUint16(this.#used, value);
      this.#used += 2;
    }
  }
}
