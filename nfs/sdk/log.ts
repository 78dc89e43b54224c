// Lines for the operator, while the function is being configured.

import { LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_WARN } from "./abi";
import { writeLog } from "./imports";

export namespace log {
  export function debug(message: string): void {
    writeLog(LOG_DEBUG, message);
  }

  export function info(message: string): void {
    writeLog(LOG_INFO, message);
  }

  export function warn(message: string): void {
    writeLog(LOG_WARN, message);
  }

  export function error(message: string): void {
    writeLog(LOG_ERROR, message);
  }
}
