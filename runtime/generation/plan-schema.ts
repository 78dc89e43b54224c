// The upgrade plan as a document: its one JSON Schema, and the same as types. A `title` says what a pattern stands for;
// faults are worded with it.

const stepsLimit = 32;

const time = {
  type: "string",
  pattern: "^0*[1-9][0-9]*(ms|s|m|h)$",
  title: "a time such as 500ms, 2s or 10m",
} as const;

const label = {
  type: "string",
  pattern: "^[A-Za-z][A-Za-z0-9_-]{0,62}$",
  title: "a name (a letter, then up to 62 letters, digits, '_' or '-')",
} as const;

const conditions = {
  type: "array",
  minItems: 1,
  maxItems: 32,
  items: { $ref: "#/$defs/condition" },
} as const;

const changes = {
  document: { type: "string", minLength: 1, description: "Another chain document, relative to the plan." },
  use: {
    type: "object",
    minProperties: 1,
    description: "Other packages, by function.",
    additionalProperties: {
      type: "string",
      format: "function-reference",
      title: "name@range, such as firewall@1 or ids@*",
    },
  },
  set: {
    type: "object",
    minProperties: 1,
    description: 'Configuration by FUNCTION.KEY; a string "@path" is replaced by that file\'s text, "@@" is one "@".',
    propertyNames: { pattern: "^[^.=]+\\.[^=]+$", title: "FUNCTION.KEY, such as fw.default" },
  },
  functions: {
    type: "array",
    items: { type: "string", minLength: 1 },
    description: "Folders to look for functions in, too, relative to the plan.",
  },
  cold: { type: "boolean", default: false, description: "State that cannot be taken over begins anew." },
} as const;

export const planSchema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  $id: "urn:sluice:upgrade-plan",
  title: "Sluice upgrade plan",
  type: "object",
  additionalProperties: false,
  required: ["plan", "chain", "expected", "groups"],
  properties: {
    plan: { ...label, description: "The plan's name, for the history." },
    description: { type: "string" },
    chain: { type: "string", minLength: 1, description: "The chain that it is for." },
    expected: { ...time, description: "How long all steps take together. Twice that is too long." },
    commit: {
      enum: ["automatic", "operator"],
      default: "automatic",
      description: "operator: after the last step it waits for `sluice upgrade commit`.",
    },
    commitWithin: {
      ...time,
      default: "10m",
      description: "From the first switchover until it must be committed; otherwise everything is undone.",
    },
    conditions: { ...conditions, description: "Hold before the plan, after each step, each undo and a fallback." },
    groups: { type: "array", minItems: 1, maxItems: stepsLimit, items: { $ref: "#/$defs/group" } },
  },
  $defs: {
    group: {
      type: "object",
      additionalProperties: false,
      required: ["name", "steps"],
      properties: {
        name: label,
        description: { type: "string" },
        conditions: { ...conditions, description: "Hold after each of its steps." },
        steps: { type: "array", minItems: 1, maxItems: stepsLimit, items: { $ref: "#/$defs/step" } },
      },
    },
    step: {
      type: "object",
      additionalProperties: false,
      required: ["name", "change", "expected"],
      properties: {
        name: label,
        description: { type: "string" },
        change: { type: "object", additionalProperties: false, minProperties: 1, properties: changes },
        expected: {
          ...time,
          description: "From its beginning until its conditions held. A step that takes twice as long is undone.",
        },
        retries: { type: "integer", minimum: 0, maximum: 100, default: 0 },
        wait: { ...time, default: "1s", description: "Between undo and retry." },
        undo: {
          type: "object",
          additionalProperties: false,
          minProperties: 1,
          description: "Without a change: the generation before the step has the traffic again.",
          properties: { ...changes, conditions: { ...conditions, description: "Hold after the undo." } },
        },
        conditions: { ...conditions, description: "Hold after the step." },
      },
    },
    condition: {
      type: "object",
      additionalProperties: false,
      minProperties: 1,
      description: "One of counter (with rate), faults and probe.",
      properties: {
        counter: {
          type: "string",
          pattern: "^[^.]+\\.[^.].*$",
          title: "a counter such as fw.frames, fw.packets{family=ipv4}, lan.receive_frames or engine.dropped",
        },
        rate: {
          type: "object",
          additionalProperties: false,
          minProperties: 1,
          properties: { min: { type: "number", minimum: 0 }, max: { type: "number", minimum: 0 } },
          description: "Of the counter, per second.",
        },
        faults: {
          type: "integer",
          minimum: 0,
          description: "Frames that were faults of functions meanwhile, at the most.",
        },
        over: { ...time, default: "1s", description: "How long counter or faults are watched." },
        probe: {
          type: "object",
          additionalProperties: false,
          required: ["from", "frame", "to"],
          description: "A frame that goes through the chain; where it would leave it is kept.",
          properties: {
            from: { type: "string", description: "The port where it enters." },
            frame: { type: "string", description: "As in tests: udp 10.0.0.1:5000 > 10.0.0.2:53" },
            to: { type: "string", description: "The port where it is to leave, or none: it must not." },
            expect: { type: "string", description: "The frame as it is to leave; absent: whatever it is." },
            within: { ...time, default: "1s" },
          },
        },
      },
    },
  },
} as const;

export interface ChangeDeclaration {
  readonly document?: string;
  readonly use?: Readonly<Record<string, string>>;
  readonly set?: Readonly<Record<string, unknown>>;
  readonly functions?: readonly string[];
  readonly cold?: boolean;
}

export interface ConditionDeclaration {
  readonly counter?: string;
  readonly rate?: { readonly min?: number; readonly max?: number };
  readonly faults?: number;
  readonly over?: string;
  readonly probe?: {
    readonly from: string;
    readonly frame: string;
    readonly to: string;
    readonly expect?: string;
    readonly within?: string;
  };
}

export interface StepDeclaration {
  readonly name: string;
  readonly description?: string;
  readonly change: ChangeDeclaration;
  readonly expected: string;
  readonly retries?: number;
  readonly wait?: string;
  readonly undo?: ChangeDeclaration & { readonly conditions?: readonly ConditionDeclaration[] };
  readonly conditions?: readonly ConditionDeclaration[];
}

export interface GroupDeclaration {
  readonly name: string;
  readonly description?: string;
  readonly conditions?: readonly ConditionDeclaration[];
  readonly steps: readonly StepDeclaration[];
}

export interface PlanDeclaration {
  readonly plan: string;
  readonly description?: string;
  readonly chain: string;
  readonly expected: string;
  readonly commit?: "automatic" | "operator";
  readonly commitWithin?: string;
  readonly conditions?: readonly ConditionDeclaration[];
  readonly groups: readonly GroupDeclaration[];
}
