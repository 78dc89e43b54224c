// A WebAssembly module taken apart: what it imports and exports, and which instructions its functions have. For
// modules that V8 has validated.

import type {
  IDataSegment,
  IDataSegmentBody,
  IExportEntry,
  IFunctionEntry,
  IFunctionNameEntry,
  IImportEntry,
  IMemoryType,
  IOperatorInformation,
  ITableType,
  ITypeEntry,
  Type,
} from "wasmparser";
import * as wasmparser from "wasmparser";

/** Its opcode; of those with a prefix byte, as wasmparser numbers them: 0xfc08, 0xfd0ff. */
export type Instruction = number;

export const MEMORY_GROW: Instruction = 0x40;
const END: Instruction = 0x0b;
const RETURN: Instruction = 0x0f;
const I32_CONST: Instruction = 0x41;
const REF_FUNC: Instruction = 0xd2;

/** As in the text format: `memory.grow`. */
export function instructionName(instruction: Instruction): string {
  const names: readonly (string | undefined)[] = wasmparser.OperatorCodeNames;
  return names[instruction] ?? `0x${instruction.toString(16)}`;
}

export type ExternalName = "function" | "table" | "memory" | "global" | "tag";
const externalNames: readonly ExternalName[] = ["function", "table", "memory", "global", "tag"];

/** Of memories in pages of 64 KiB, of tables in entries. */
export interface Limits {
  readonly initial: number;
  readonly maximum: number | undefined;
}

export interface ModuleMemory extends Limits {
  readonly shared: boolean;
  /** Its addresses are i64. */
  readonly wide: boolean;
}

export interface ModuleImport {
  readonly module: string;
  readonly name: string;
  readonly kind: ExternalName;
  /** Of functions: `(i32, i32) -> i32`. */
  readonly signature: string;
  /** Of memories. */
  readonly memory: ModuleMemory | undefined;
}

export interface ModuleExport {
  readonly name: string;
  readonly kind: ExternalName;
  /** In the index space of its kind; imports come first. */
  readonly index: number;
}

export interface ModuleFunction {
  readonly index: number;
  /** From the name section, else `function 12`. */
  readonly name: string;
  readonly signature: string;
  /** Byte offset of the body in the binary. */
  readonly start: number;
  readonly end: number;
  /** Each instruction that occurs, with the byte offset of its first place. */
  readonly instructions: ReadonlyMap<Instruction, number>;
  /** Indices of functions that it calls directly. */
  readonly calls: ReadonlySet<number>;
  /** What it returns, if its body is nothing but an i32.const. */
  readonly constant: number | undefined;
}

/** Bytes that instantiation writes into the memory. */
export interface DataSegment {
  /** undefined if it is not a plain constant. */
  readonly address: number | undefined;
  readonly bytes: number;
}

export interface DecodedModule {
  readonly imports: readonly ModuleImport[];
  readonly exports: readonly ModuleExport[];
  /** Those defined here; their indices begin behind the imported ones. */
  readonly functions: readonly ModuleFunction[];
  readonly memories: readonly ModuleMemory[];
  readonly tables: readonly Limits[];
  /** Active ones; passive segments are written by instructions only. */
  readonly data: readonly DataSegment[];
  /** Functions that an indirect call may reach. */
  readonly elements: ReadonlySet<number>;
}

export function decodeModule(wasm: Uint8Array): DecodedModule {
  return new Decoder().decode(wasm);
}

// wasmparser's BinaryReaderState, as far as it is needed; its declarations are ambient constants, gone at run time.
const STATE_ERROR = -1;
const STATE_TYPE = 11;
const STATE_IMPORT = 12;
const STATE_FUNCTION = 13;
const STATE_TABLE = 14;
const STATE_MEMORY = 15;
const STATE_EXPORT = 17;
const STATE_NAMES = 19;
const STATE_BEGIN_BODY = 28;
const STATE_INSTRUCTION = 30;
const STATE_END_BODY = 31;
const STATE_INIT_INSTRUCTION = 26;
const STATE_BEGIN_OFFSET = 44;
const STATE_OFFSET_INSTRUCTION = 45;
const STATE_BEGIN_DATA = 36;
const STATE_DATA = 37;

const DATA_ACTIVE = 0;
/** Bit of a memory's limits (core specification, section 5.3.11). */
const MEMORY_WIDE = 4;

const FUNCTION_NAMES = 1;

type Draft = { -readonly [Key in keyof ModuleFunction]: ModuleFunction[Key] } & {
  readonly instructions: Map<Instruction, number>;
  readonly calls: Set<number>;
};

class Decoder {
  readonly #signatures: string[] = [];
  readonly #imports: ModuleImport[] = [];
  readonly #exports: ModuleExport[] = [];
  readonly #declared: string[] = [];
  readonly #functions: Draft[] = [];
  readonly #memories: ModuleMemory[] = [];
  readonly #tables: Limits[] = [];
  readonly #data: DataSegment[] = [];
  readonly #elements = new Set<number>();
  readonly #names = new Map<number, string>();
  #importedFunctions = 0;
  #active = false;
  #offset: IOperatorInformation[] = [];
  #position = 0;

  decode(wasm: Uint8Array): DecodedModule {
    const reader = new wasmparser.BinaryReader();
    const bytes = new Uint8Array(wasm);
    reader.setData(bytes.buffer, 0, bytes.length);
    for (this.#position = 0; reader.read(); this.#position = reader.position) this.#take(reader);
    if (reader.state === STATE_ERROR) throw reader.error;
    const functions = this.#functions.map((draft) => ({ ...draft, name: this.#names.get(draft.index) ?? draft.name }));
    return {
      imports: this.#imports,
      exports: this.#exports,
      functions,
      memories: this.#memories,
      tables: this.#tables,
      data: this.#data,
      elements: this.#elements,
    };
  }

  #take(reader: wasmparser.BinaryReader): void {
    const result = reader.result as unknown;
    switch (reader.state as number) {
      case STATE_TYPE:
        this.#signatures.push(describeSignature(result as ITypeEntry));
        break;
      case STATE_IMPORT:
        this.#takeImport(result as IImportEntry, reader);
        break;
      case STATE_FUNCTION:
        this.#declared.push(this.#signature((result as IFunctionEntry).typeIndex));
        break;
      case STATE_TABLE:
        this.#tables.push(limits((result as ITableType).limits));
        break;
      case STATE_MEMORY:
        this.#memories.push(this.#memory(result as IMemoryType, reader));
        break;
      case STATE_EXPORT:
        this.#takeExport(result as IExportEntry);
        break;
      case STATE_NAMES:
        this.#takeNames(result as IFunctionNameEntry);
        break;
      case STATE_BEGIN_BODY:
        this.#beginFunction(reader.position);
        break;
      case STATE_INSTRUCTION:
        this.#takeInstruction(result as IOperatorInformation);
        break;
      case STATE_END_BODY:
        this.#endFunction(reader.position);
        break;
      case STATE_INIT_INSTRUCTION:
        this.#takeReference(result as IOperatorInformation);
        break;
      case STATE_BEGIN_DATA:
        this.#active = ((result as IDataSegment).mode as number) === DATA_ACTIVE;
        break;
      case STATE_BEGIN_OFFSET:
        this.#offset = [];
        break;
      case STATE_OFFSET_INSTRUCTION:
        this.#offset.push(result as IOperatorInformation);
        break;
      case STATE_DATA:
        this.#takeData(result as IDataSegmentBody);
        break;
      default:
    }
  }

  #signature(index: number | undefined): string {
    return index === undefined ? "" : (this.#signatures[index] ?? "");
  }

  #takeImport({ module, field, kind, funcTypeIndex, type }: IImportEntry, reader: wasmparser.BinaryReader): void {
    const external = externalNames[kind] ?? "tag";
    if (external === "function") this.#importedFunctions += 1;
    this.#imports.push({
      module: text(module),
      name: text(field),
      kind: external,
      signature: this.#signature(funcTypeIndex),
      memory: external === "memory" ? this.#memory(type as IMemoryType, reader) : undefined,
    });
  }

  /** wasmparser does not tell 64-bit memories: the flag stands before the limits that it has just read. */
  #memory(type: IMemoryType, { data, position }: wasmparser.BinaryReader): ModuleMemory {
    const { initial, maximum } = limits(type.limits);
    let at = position;
    for (let numbers = maximum === undefined ? 1 : 2; numbers > 0; numbers--) {
      at -= 1;
      while ((data[at - 1] as number) >= 0x80) at -= 1;
    }
    return { initial, maximum, shared: type.shared, wide: ((data[at - 1] as number) & MEMORY_WIDE) !== 0 };
  }

  #takeExport({ field, kind, index }: IExportEntry): void {
    this.#exports.push({ name: text(field), kind: externalNames[kind] ?? "tag", index });
  }

  #takeNames(entry: IFunctionNameEntry): void {
    if ((entry.type as number) !== FUNCTION_NAMES) return;
    for (const { index, name } of entry.names) this.#names.set(index, text(name));
  }

  #beginFunction(start: number): void {
    const index = this.#importedFunctions + this.#functions.length;
    const signature = this.#declared[this.#functions.length] ?? "";
    this.#functions.push({
      ...{ index, name: `function ${index}`, signature, start, end: start, constant: undefined },
      ...{ instructions: new Map<Instruction, number>(), calls: new Set<number>() },
    });
  }

  #takeInstruction({ code, funcIndex, literal }: IOperatorInformation): void {
    const current = this.#functions.at(-1) as Draft;
    const instruction: Instruction = code;
    if (!current.instructions.has(instruction)) current.instructions.set(instruction, this.#position);
    if (instruction === I32_CONST) current.constant = literal as number;
    if (funcIndex !== undefined) current.calls.add(funcIndex);
  }

  #endFunction(end: number): void {
    const current = this.#functions.at(-1) as Draft;
    current.end = end;
    if (!isConstant(current.instructions)) current.constant = undefined;
  }

  #takeReference({ funcIndex, code }: IOperatorInformation): void {
    if (funcIndex !== undefined && (code as number) === REF_FUNC) this.#elements.add(funcIndex);
  }

  #takeData({ data }: IDataSegmentBody): void {
    if (!this.#active) return;
    const [first, ...rest] = this.#offset.filter(({ code }) => (code as number) !== END);
    const plain = first !== undefined && (first.code as number) === I32_CONST && rest.length === 0;
    this.#data.push({ address: plain ? (first.literal as number) >>> 0 : undefined, bytes: data.length });
  }
}

function isConstant(instructions: ReadonlyMap<Instruction, number>): boolean {
  const rest = [...instructions.keys()].filter((instruction) => instruction !== END && instruction !== RETURN);
  return rest.length === 1 && rest[0] === I32_CONST;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

function limits({ initial, maximum }: { readonly initial: number; readonly maximum?: number | undefined }): Limits {
  return { initial, maximum };
}

const typeNames: Readonly<Record<number, string>> = {
  [-1]: "i32",
  [-2]: "i64",
  [-3]: "f32",
  [-4]: "f64",
  [-5]: "v128",
};

function describeSignature({ params = [], returns = [] }: ITypeEntry): string {
  const list = (types: readonly Type[]) => types.map(({ kind }) => typeNames[kind as number] ?? "reference").join(", ");
  return `(${list(params)}) -> ${list(returns) || "()"}`;
}
