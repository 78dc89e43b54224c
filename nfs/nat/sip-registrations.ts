// Registrations (RFC 3261, section 10): the mapping that a Contact leads to is called by the registrar for as long as the
// registration lives.
import { expectInward, tellExpected } from "./expectations";
import { mappingOfOutside } from "./mappings";
import {
  ENDPOINT_MS,
  flowOfMessage,
  ipProtoOfMessage,
  newAddress,
  newPort,
  receiverSeen,
  senderOwn,
  translateEndpoint,
} from "./sip-endpoints";
import { DEFAULT_PORT, find, isWord, numberOf } from "./sip-headers";
import { beginsHost, host, takeHost } from "./sip-hosts";
import { mappingAt } from "./store";
import { beginsWith, cursor, read, take, takeNumber } from "./text";

const COLON: u32 = 0x3a;
const LONGEST_S: u32 = 86_400;
const DEFAULT_S: u32 = 3600;

let isRequest = false;
let isSuccess = false;
let isRegister = false;
let registered: u32 = 0;
let contactSeconds: i32 = -1;
let expiresSeconds: i32 = -1;

/** By the first line of a message. */
export function beginRegistration(from: usize, to: usize): void {
  isRegister = beginsWith(from, to, "register ");
  isRequest = !beginsWith(from, to, "sip/2.0 ");
  isSuccess = beginsWith(from, to, "sip/2.0 2");
  registered = 0;
  contactSeconds = -1;
  expiresSeconds = -1;
}

/** By another line of it. */
export function readRegistration(line: usize, end: usize): void {
  if (beginsWith(line, end, "cseq")) isRegister = find(line, end, " register") != 0;
  else if (beginsWith(line, end, "expires")) expiresSeconds = numberOf(line, end);
}

/** The mapping that a Contact leads to: in a request the sender's, in a response the receiver's. */
export function readContact(line: usize, end: usize): void {
  if (!isRegister) return;
  const own = isRequest ? senderOwn : receiverSeen;
  for (let at = line; at < end; at++) {
    if (!beginsHost(load<u8>(at)) || isWord(load<u8>(at - 1))) continue;
    read(at, end);
    if (!takeHost() || host != own) continue;
    const named = take(COLON) ? takeNumber(65535) : -1;
    readLife(own, named < 0 ? DEFAULT_PORT : <u32>named, end);
    return;
  }
}

function readLife(own: u32, port: u32, end: usize): void {
  const ipProto = ipProtoOfMessage;
  const from = cursor;
  if (!isRequest) registered = mappingOfOutside(own, port, ipProto);
  else if (translateEndpoint(own, port)) registered = mappingOfOutside(newAddress, newPort, ipProto);
  const parameter = find(from, end, "expires=");
  if (parameter == 0) return;
  read(parameter, end);
  contactSeconds = takeNumber(99_999_999);
}

/** Calls by the registrar pass for as long as the registration lives; until its answer, for a while. */
export function keepRegistration(registrar: u32, caller: u32): void {
  if (registered == 0 || !isRegister || (!isRequest && !isSuccess)) return;
  const said = contactSeconds >= 0 ? contactSeconds : expiresSeconds;
  const seconds = said < 0 ? DEFAULT_S : min<u32>(said, LONGEST_S);
  const milliseconds = isRequest ? ENDPOINT_MS : seconds * 1000;
  if (!expectInward(registered, registrar, milliseconds, true) || milliseconds == 0) return;
  const flow = flowOfMessage;
  if (flow === null) return;
  const called = mappingAt(registered);
  tellExpected(flow, called.ipProto, caller, called.outsideAddress, called.outsidePort, milliseconds);
}
