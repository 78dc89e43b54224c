// Requests that never become one: what cannot be parsed, is too long, or does not come to its end.
import { type Server, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type ErrorCode, SluiceError } from "../errors.ts";
import { describeProblem, PROBLEM_TYPE } from "./problem.ts";
import type { Api } from "./server.ts";

const codes: Readonly<Record<string, ErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: "request-timeout",
  HPE_HEADER_OVERFLOW: "headers-too-large",
};

/** With problem details like any other error, and the connection's end. */
export function answerBrokenRequests(server: Pick<Server, "on" | "removeAllListeners">, app: Api): void {
  server.removeAllListeners("clientError");
  server.on("clientError", (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket;
    if (error.code === "ECONNRESET" || !socket.writable) {
      socket.destroy();
      return;
    }
    const code = codes[error.code ?? ""] ?? "request-invalid";
    socket.end(formatAnswer(new SluiceError({ code, where: "HTTP", what: error.message })));
  });
  // An expectation that is not known may be ignored (RFC 9110, 10.1.1).
  server.on("checkExpectation", (request, response) => app.routing(request, response));
}

function formatAnswer(error: SluiceError): string {
  const problem = describeProblem(error);
  const body = JSON.stringify(problem);
  return [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
    "",
    body,
  ].join("\r\n");
}
