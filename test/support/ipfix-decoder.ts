// Reads IPFIX messages (RFC 7011) by the templates that they carry, knowing nothing of who wrote them.

export interface DecodedRecord {
  readonly template: number;
  /** By `id` or `id/enterprise`, in hexadecimal. */
  readonly values: Readonly<Record<string, string>>;
}

export interface DecodedMessage {
  readonly length: number;
  readonly exportTime: number;
  readonly sequence: number;
  readonly domain: number;
  /** New ones, by id: `id:bytes` or `id/enterprise:bytes` of each field; scope fields first, for options templates. */
  readonly templates: Readonly<Record<number, readonly string[]>>;
  readonly records: readonly DecodedRecord[];
}

interface Field {
  readonly name: string;
  readonly bytes: number;
}

export class IpfixDecoder {
  readonly #templates = new Map<number, readonly Field[]>();

  /** Throws for whatever is not as RFC 7011 says. */
  decode(message: Uint8Array): DecodedMessage {
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    if (view.getUint16(0) !== 10) throw new Error(`version ${view.getUint16(0)}`);
    if (view.getUint16(2) !== message.length) throw new Error(`length ${view.getUint16(2)} of ${message.length}`);
    const templates: Record<number, string[]> = {};
    const records: DecodedRecord[] = [];
    for (let at = 16; at < message.length; ) {
      const [id, bytes] = [view.getUint16(at), view.getUint16(at + 2)];
      if (bytes < 4 || at + bytes > message.length) throw new Error(`a set of ${bytes} bytes at ${at}`);
      const set = new DataView(message.buffer, message.byteOffset + at + 4, bytes - 4);
      if (id === 2 || id === 3) Object.assign(templates, this.#readTemplates(set, id === 3));
      else records.push(...this.#readRecords(set, id));
      at += bytes;
    }
    const [exportTime, sequence, domain] = [4, 8, 12].map((at) => view.getUint32(at)) as [number, number, number];
    return { length: message.length, exportTime, sequence, domain, templates, records };
  }

  #readTemplates(set: DataView, hasScope: boolean): Record<number, string[]> {
    const found: Record<number, string[]> = {};
    for (let at = 0; at + 4 <= set.byteLength; ) {
      const [id, count] = [set.getUint16(at), set.getUint16(at + 2)];
      if (id < 256) throw new Error(`template ${id}`);
      at += hasScope ? 6 : 4;
      const fields: Field[] = [];
      for (let field = 0; field < count; field++) {
        const [element, bytes] = [set.getUint16(at), set.getUint16(at + 2)];
        const isPrivate = (element & 0x8000) !== 0;
        const name = isPrivate ? `${element & 0x7fff}/${set.getUint32(at + 4)}` : String(element);
        fields.push({ name, bytes });
        at += isPrivate ? 8 : 4;
      }
      this.#templates.set(id, fields);
      found[id] = fields.map(({ name, bytes }) => `${name}:${bytes}`);
    }
    return found;
  }

  #readRecords(set: DataView, template: number): DecodedRecord[] {
    const fields = this.#templates.get(template);
    if (fields === undefined) throw new Error(`no template ${template}`);
    const size = fields.reduce((sum, { bytes }) => sum + bytes, 0);
    if (set.byteLength % size !== 0) throw new Error(`${set.byteLength} bytes of records of ${size}`);
    return Array.from({ length: set.byteLength / size }, (_, index) => {
      let at = set.byteOffset + index * size;
      const values = fields.map(({ name, bytes }) => {
        const value = Buffer.from(set.buffer, at, bytes).toString("hex");
        at += bytes;
        return [name, value] as const;
      });
      return { template, values: Object.fromEntries(values) };
    });
  }
}
