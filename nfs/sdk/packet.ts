// One frame of the batch as its author sees it: the host's record, views of the headers, and the verdict.

import {
  LINK_ETHERNET,
  OFFSET_NONE,
  RECORD_BYTES,
  RECORD_MARK,
  RESULT_BYTES,
  RESULT_FLAGS,
  RESULT_FLAG_MARK,
  RESULT_FLAG_RESIZED,
  RESULT_FLAG_REWRITTEN,
  RESULT_HEAD,
  RESULT_LENGTH,
  RESULT_REASON,
  RESULT_TARGET,
  RESULT_VALUE,
  RESULT_VERDICT,
  VERDICT_BRANCH,
  VERDICT_DROP,
  VERDICT_HOST,
  VERDICT_NEXT,
  VERDICT_TRANSMIT,
} from "./abi";
import { Arp } from "./arp";
import { copyDown, copyUp } from "./bytes";
import { recordsAddress, resultsAddress, slotBytes } from "./context";
import { Ethernet, VlanTag } from "./ethernet";
import { Icmp, Icmpv6 } from "./icmp";
import { Ipv4 } from "./ipv4";
import { Ipv6 } from "./ipv6";
import { IP_PROTO_ICMP, IP_PROTO_ICMPV6, IP_PROTO_SCTP, IP_PROTO_TCP, IP_PROTO_UDP } from "./numbers";
import { Reason } from "./reasons";
import { Record } from "./record";
import { Sctp } from "./sctp";
import { Tcp } from "./tcp";
import { Udp } from "./udp";

/** u8 per record: its place in input[], which is also its result's. Kept here so that a Packet is a single address. */
export const positions: usize = memory.data(512);

@unmanaged
@final
export class Packet extends Record {
  // ---- headers: a view, or null unless the whole fixed header is present; options only of sound packets ----

  @inline
  get ethernet(): Ethernet | null {
    return this.link == LINK_ETHERNET && this.length >= Ethernet.BYTES ? Ethernet.at(this.frame) : null;
  }

  /** The VLAN tag at `index`, 0 for the outermost. */
  @inline
  vlanTag(index: u32): VlanTag | null {
    return this.link == LINK_ETHERNET && index < this.vlanCount
      ? VlanTag.at(this.frame + Ethernet.BYTES + index * VlanTag.BYTES)
      : null;
  }

  @inline
  get arp(): Arp | null {
    return this.etherType == 0x0806 && this.l3Offset != OFFSET_NONE ? Arp.at(this.l3) : null;
  }

  @inline
  get ipv4(): Ipv4 | null {
    return this.ipVersion == 4 && this.l3Offset != OFFSET_NONE ? Ipv4.at(this.l3) : null;
  }

  @inline
  get ipv6(): Ipv6 | null {
    return this.ipVersion == 6 && this.l3Offset != OFFSET_NONE ? Ipv6.at(this.l3) : null;
  }

  @inline
  get tcp(): Tcp | null {
    return this.hasTransport(IP_PROTO_TCP) ? Tcp.at(this.l4) : null;
  }

  @inline
  get udp(): Udp | null {
    return this.hasTransport(IP_PROTO_UDP) ? Udp.at(this.l4) : null;
  }

  @inline
  get icmp(): Icmp | null {
    return this.hasTransport(IP_PROTO_ICMP) ? Icmp.at(this.l4) : null;
  }

  @inline
  get icmpv6(): Icmpv6 | null {
    return this.hasTransport(IP_PROTO_ICMPV6) ? Icmpv6.at(this.l4) : null;
  }

  @inline
  get sctp(): Sctp | null {
    return this.hasTransport(IP_PROTO_SCTP) ? Sctp.at(this.l4) : null;
  }

  /** The transport header is present and of this IP protocol. */
  @inline
  hasTransport(ipProto: u32): bool {
    return this.ipProto == ipProto && this.l4Offset != OFFSET_NONE;
  }

  /** Address of the network header. Unchecked: only if `l3Offset` is present. */
  @inline
  get l3(): usize {
    return this.frame + this.l3Offset;
  }

  /** Address of the transport header. Unchecked: only if `l4Offset` is present. */
  @inline
  get l4(): usize {
    return this.frame + this.l4Offset;
  }

  /** Address of the transport payload. Unchecked: only if `payloadOffset` is present. */
  @inline
  get payload(): usize {
    return this.frame + this.payloadOffset;
  }

  // ---- verdicts: the last one given counts; without one the packet goes to the next hop ----

  /** Along the path. */
  @inline
  next(): void {
    store<u8>(this.result, VERDICT_NEXT, RESULT_VERDICT);
  }

  /** Ends here. `detail` says more than the reason: a rule's number, a signature. */
  @inline
  drop(reason: Reason | null = null, detail: u32 = 0): void {
    this.end(VERDICT_DROP, reason, detail);
  }

  /** Hands the packet to the host's own network stack. */
  @inline
  host(reason: Reason | null = null, detail: u32 = 0): void {
    this.end(VERDICT_HOST, reason, detail);
  }

  /** Out of a port at once, past the rest of the path. `port` is a port's index (Config.port). */
  @inline
  transmit(port: u32): void {
    this.send(VERDICT_TRANSMIT, port);
  }

  /** Into a branch that the chain declares for this function. `branch` is a branch's index (Config.branch). */
  @inline
  branch(branch: u32): void {
    this.send(VERDICT_BRANCH, branch);
  }

  /** What later functions of the chain read as `mark`. Not together with drop or host, whose detail takes its place. */
  @inline
  get mark(): u32 {
    return load<u32>(changetype<usize>(this), RECORD_MARK);
  }

  @inline
  set mark(value: u32) {
    store<u32>(this.result, value, RESULT_VALUE);
    this.raise(RESULT_FLAG_MARK);
  }

  // ---- changes: only with `"frames": "write"` in the manifest ----

  /** To be called after header fields were set: the host parses the packet again before the next hop. */
  @inline
  rewritten(): void {
    this.raise(RESULT_FLAG_REWRITTEN);
  }

  /** Address of the first byte, after whatever was pushed and pulled. */
  @inline
  get start(): usize {
    return this.frame + load<i16>(this.result, RESULT_HEAD);
  }

  /** Bytes, after whatever was pushed, pulled, extended and trimmed. */
  @inline
  get size(): u32 {
    const result = this.result;
    return load<u8>(result, RESULT_FLAGS) & RESULT_FLAG_RESIZED ? load<u32>(result, RESULT_LENGTH) : this.length;
  }

  /** Free bytes of the slot before the packet. */
  @inline
  get headroom(): u32 {
    return <u32>(this.start & (slotBytes - 1));
  }

  /** Free bytes of the slot after the packet. */
  @inline
  get tailroom(): u32 {
    return <u32>slotBytes - this.headroom - this.size;
  }

  /** Adds bytes before the packet and leaves them as they are. Returns the new start, 0 if there is no headroom. */
  push(bytes: u32): usize {
    if (bytes > this.headroom || bytes > 0x4000) return 0;
    this.resize(-(<i32>bytes), this.size + bytes);
    return this.start;
  }

  /** Takes bytes from the packet's front. False if nothing would be left. */
  pull(bytes: u32): bool {
    if (bytes >= this.size || bytes > 0x4000) return false;
    this.resize(<i32>bytes, this.size - bytes);
    return true;
  }

  /** Adds bytes at the end and leaves them as they are. Returns their address, 0 if there is no tailroom. */
  extend(bytes: u32): usize {
    if (bytes > this.tailroom) return 0;
    const end = this.start + this.size;
    this.resize(0, this.size + bytes);
    return end;
  }

  /** Takes bytes from the packet's end. False if nothing would be left. */
  trim(bytes: u32): bool {
    if (bytes >= this.size) return false;
    this.resize(0, this.size - bytes);
    return true;
  }

  /** Opens a gap at `offset` by moving what is before it. Returns the gap's address, 0 if there is no room. */
  insert(offset: u32, bytes: u32): usize {
    if (offset > this.size || this.push(bytes) == 0) return 0;
    copyDown(this.start, this.start + bytes, offset);
    return this.start + offset;
  }

  /** Closes the gap [offset, offset + bytes) by moving what is before it. False if the packet has no such bytes. */
  remove(offset: u32, bytes: u32): bool {
    if (bytes > this.size || offset > this.size - bytes || !this.pull(bytes)) return false;
    copyUp(this.start, this.start - bytes, offset);
    return true;
  }

  // ---- the result that this packet's verdict is written to ----

  @inline
  private get result(): usize {
    const record = (changetype<usize>(this) - recordsAddress) / RECORD_BYTES;
    return resultsAddress + <usize>load<u8>(positions + record) * RESULT_BYTES;
  }

  @inline
  private end(verdict: i32, reason: Reason | null, detail: u32): void {
    const result = this.result;
    store<u8>(result, verdict, RESULT_VERDICT);
    store<u16>(result, <u16>changetype<usize>(reason), RESULT_REASON);
    store<u32>(result, detail, RESULT_VALUE);
  }

  @inline
  private send(verdict: i32, target: u32): void {
    const result = this.result;
    store<u8>(result, verdict, RESULT_VERDICT);
    store<u16>(result, target, RESULT_TARGET);
  }

  @inline
  private raise(flag: i32): void {
    const result = this.result;
    store<u8>(result, load<u8>(result, RESULT_FLAGS) | flag, RESULT_FLAGS);
  }

  private resize(head: i32, size: u32): void {
    const result = this.result;
    store<i16>(result, load<i16>(result, RESULT_HEAD) + head, RESULT_HEAD);
    store<u32>(result, size, RESULT_LENGTH);
    this.raise(RESULT_FLAG_RESIZED | RESULT_FLAG_REWRITTEN);
  }
}
