// What the running API says of itself, and whether an answer is one that it announces.
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { formats } from "../../runtime/chain/validator.ts";
import type { Resource, Role } from "../../runtime/control/roles.ts";
import type { Answered, Asked, RunningControl } from "./running-control.ts";

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required?: boolean;
  readonly schema: object;
}

type Content = Readonly<Record<string, { readonly schema: object }>>;

export interface Operation {
  readonly operationId: string;
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** `/api/v1/chains/{name}`. */
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Content };
  readonly "x-resource": Resource;
  readonly "x-role": Role;
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

export interface OperationRequest extends Asked {
  /** Values of the address's variables, as they are to stand in it. */
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: string;
}

export const PROBLEM = "application/problem+json";

export class ApiDescription {
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  readonly document: any;
  readonly operations: readonly Operation[];
  readonly #ajv: Ajv2020;
  /** `operationId status`, of every answer that was checked. */
  readonly seen = new Set<string>();

  static async read(control: RunningControl): Promise<ApiDescription> {
    return new ApiDescription((await control.ask("/api/v1/openapi.json")).body);
  }

  private constructor(document: object) {
    this.document = document;
    this.operations = Object.entries(this.document.paths as object).flatMap(([path, item]) =>
      Object.entries(item as object).map(([method, operation]) => {
        return { parameters: [], ...operation, path, method: method.toUpperCase() } as Operation;
      }),
    );
    this.#ajv = new Ajv2020({ strict: false, allErrors: true, formats: { ...formats, binary: true } });
    this.#ajv.addSchema(document, "api");
  }

  find(operationId: string): Operation {
    const found = this.operations.find((operation) => operation.operationId === operationId);
    if (found === undefined) throw new Error(`the API has no operation ${operationId}`);
    return found;
  }

  /** A validator for a schema that stands in the document. */
  compile(...place: readonly string[]): ValidateFunction {
    const pointer = place.map((key) => encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/");
    return this.#ajv.compile({ $ref: `api#/${pointer}` });
  }

  addressOf({ path }: Operation, { path: values = {}, query }: OperationRequest): string {
    const address = path.replace(/\{(\w+)\}/g, (_, name: string) => {
      const value = values[name];
      if (value === undefined) throw new Error(`${path} needs a value for ${name}`);
      return value;
    });
    return query === undefined ? address : `${address}?${query}`;
  }

  /** Asks, and throws unless the answer is one that the operation announces. */
  async ask(control: RunningControl, operationId: string, request: OperationRequest = {}): Promise<Answered> {
    const operation = this.find(operationId);
    const { method } = operation;
    const answered = await control.ask(this.addressOf(operation, request), { ...request, method });
    const fault = this.findFault(operation, answered);
    if (fault !== null) {
      throw new Error(`${operationId} ${answered.status}: ${fault}\n${answered.bytes.toString("utf8").slice(0, 2000)}`);
    }
    this.seen.add(`${operationId} ${answered.status}`);
    return answered;
  }

  /** What is wrong with an answer, or null. */
  findFault({ operationId, method, path, responses }: Operation, { status, headers, body, bytes }: Answered) {
    const response = responses[String(status)];
    if (response === undefined) return `${operationId} does not announce ${status}`;
    if (response.content === undefined) return bytes.length === 0 ? null : "there is a body that is not announced";
    const type = String(headers["content-type"] ?? "").split(";")[0] as string;
    if (status >= 400 && type !== PROBLEM && response.content[type] === undefined) return `it is of the type ${type}`;
    if (response.content[type] === undefined) return `the type ${type} is not announced`;
    if (!/json$/.test(type)) return null;
    const place = ["paths", path, method.toLowerCase(), "responses", String(status), "content", type, "schema"];
    const validate = this.compile(...place);
    return validate(body) ? null : this.#ajv.errorsText(validate.errors);
  }
}
