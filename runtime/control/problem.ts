// Errors as the API gives them: problem details (RFC 9457), with the codes of the command line.
import { type ErrorCode, errorKinds, type Fault, SluiceError } from "../errors.ts";

export const PROBLEM_TYPE = "application/problem+json";

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly errors: readonly {
    readonly code: ErrorCode;
    readonly detail: string;
    readonly where: string;
    readonly help?: string | undefined;
    readonly pointer?: string | undefined;
  }[];
}

export function describeProblem(error: SluiceError): Problem {
  const { http, summary } = errorKinds[error.code];
  const [first] = error.faults as [Fault];
  return {
    type: `urn:sluice:error:${error.code}`,
    title: summary,
    status: http,
    code: error.code,
    detail: `${first.where}: ${first.what}`,
    errors: error.faults.map(({ code, where, what, help, pointer }) => ({ code, detail: what, where, help, pointer })),
  };
}

interface HttpError {
  readonly statusCode?: number;
  readonly message: string;
}

const codesByStatus: Readonly<Record<number, ErrorCode>> = {
  400: "request-invalid",
  401: "unauthenticated",
  403: "forbidden",
  404: "not-found",
  408: "request-timeout",
  413: "body-too-large",
  415: "media-type",
  429: "rate-limited",
  431: "headers-too-large",
};

/** Of the server's own errors, too. What is nobody's fault but ours says no more than that. */
export function toSluiceError(error: unknown, where: string): SluiceError {
  if (error instanceof SluiceError) return error;
  if (error instanceof Error && error.cause instanceof SluiceError) return error.cause;
  const { statusCode = 500, message } = error as HttpError;
  const code = statusCode < 500 ? (codesByStatus[statusCode] ?? "request-invalid") : "internal";
  return new SluiceError({ code, where, what: code === "internal" ? "the log says more" : message });
}

/** What a client throws again. */
export function fromProblem(problem: Problem): SluiceError {
  const [first, ...rest] = problem.errors.map(({ code, detail, where, help, pointer }): Fault => {
    return { code, where, what: detail, help, pointer };
  });
  return new SluiceError(first ?? { code: problem.code, where: "API", what: problem.detail }, ...rest);
}
